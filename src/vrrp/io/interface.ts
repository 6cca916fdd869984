/** What both families' transports need of a network interface. */
import { readFileSync } from 'node:fs';
import { OperatorError } from '../../runtime/index.ts';

const interfaceNameBytesMax = 15;

/** Throws OperatorError `INTERFACE_MISSING`. */
export function interfaceIndex(name: string): number {
  const isName = /^[^\s/]+$/.test(name) && name !== '.' && name !== '..' && name.length <= interfaceNameBytesMax;
  try {
    if (isName) return Number.parseInt(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'), 10);
  } catch {
    // Told below, as for a name that cannot exist.
  }
  throw new OperatorError(
    'INTERFACE_MISSING',
    `there is no network interface ${name}`,
    'name one that `ip link` shows',
  );
}

/** Why a socket cannot be had: `RAW_SOCKET_DENIED` or `RAW_SOCKET_FAILED`. `failure` is errno's name. */
export function openFailure(what: string, failure: string, cause?: unknown): OperatorError {
  const isDenied = failure === 'EPERM' || failure === 'EACCES';
  const code = isDenied ? 'RAW_SOCKET_DENIED' : 'RAW_SOCKET_FAILED';
  const mend = isDenied ? 'run as root or with CAP_NET_RAW' : 'look at `ip link` and the kernel log';
  return new OperatorError(code, `${what}: ${failure}`, mend, { cause });
}

/** As SO_BINDTODEVICE takes it. */
export function deviceName(name: string): Uint8Array {
  return new TextEncoder().encode(`${name}\0`);
}
