import { viewOf } from '../../base/index.ts';
import type { Native } from '../../runtime/index.ts';
import type { ClientAddresses, SocketAddress } from '../index.ts';

const endpointBytes = 20;

/** Both ends of an accepted socket; undefined if it has been reset and has none any more. */
export function addressesOf(native: Native, fd: number): ClientAddresses | undefined {
  const source = new Uint8Array(endpointBytes);
  const destination = new Uint8Array(endpointBytes);
  if (native.remoteName(fd, source) < 0 || native.localName(fd, destination) < 0) return undefined;
  return { source: readEndpoint(source), destination: readEndpoint(destination) };
}

/** An endpoint as Native writes it: family, 0, port, address. */
function readEndpoint(endpoint: Uint8Array): SocketAddress {
  return { ip: endpoint.subarray(4, endpoint[0] === 4 ? 8 : 20), port: viewOf(endpoint).getUint16(2) };
}
