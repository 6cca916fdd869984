import { createSocket } from 'node:dgram';
import { ipFamily } from '../base/index.ts';
import type { NodeConfig } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';

/**
 * What a connection to `target` is made from: the node's own address, or, where that is of the other family, whatever
 * the kernel chooses. It leaves virtual addresses out while it has another (they are host addresses, IPv6 deprecated).
 */
export function sourceFor(target: string, ownAddress: string): string | undefined {
  return ipFamily(target) === ipFamily(ownAddress) ? ownAddress : undefined;
}

/**
 * Throws OperatorError `NODE_ADDRESS` unless the node's address is this host's. With another host's address, by a wrong
 * --node for example, adverts would leave all the same, in the other one's name, and no server could be checked.
 */
export async function requireOwnAddress({ name, address }: NodeConfig): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const bound = Promise.withResolvers<undefined>();
  socket.once('error', bound.reject);
  socket.bind({ address }, () => bound.resolve(undefined));
  try {
    await bound.promise;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new OperatorError(
      'NODE_ADDRESS',
      `the address ${address} of node ${name} is not on this host (${code})`,
      'name the right node with --node, add the address to an interface, or correct it in the configuration',
      { cause },
    );
  } finally {
    socket.close();
  }
}
