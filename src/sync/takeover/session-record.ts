/**
 * What the standby must know of a connection to take it over: what was fixed when it was established, and nothing that
 * changes with its bytes. In a table, the key is the client's side, and the value a list whose last item is:
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |                Bytes injected toward the server               |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |  Socket to the client, then the one to the server, each:      |
 *   |                First byte sent, sequence number               |
 *   |                First byte received, sequence number           |
 *   |                Timestamp offset                               |
 *   |  MSS                          | Send / receive | Options      |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |  Local port (server side)     |  Remote port                  |
 *   |  Local and remote address, 4 or 16 bytes each               ...
 *
 * Send and receive window scales have four bits each; options are 1 (SACK) and 2 (timestamps). Big-endian.
 */

import { assert, formatEndpoint, formatIp, parseIp, viewOf } from '../../base/index.ts';

export type Endpoint = { readonly address: string; readonly port: number };

/** One of the two sockets of a connection, as it was established. */
export type SocketRecord = {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Sequence numbers of the first byte in each direction. */
  readonly firstSent: number;
  readonly firstReceived: number;
  readonly timestampOffset: number;
  readonly mss: number;
  /** Shifts of the window, 0..14. */
  readonly sendScale: number;
  readonly receiveScale: number;
  readonly hasSack: boolean;
  readonly hasTimestamps: boolean;
};

export type SessionRecord = {
  readonly service: string;
  readonly server: string;
  /** Wall time in milliseconds since 1970: for people. */
  readonly startedWallMs: number;
  readonly front: SocketRecord;
  readonly back: SocketRecord;
  /** What the proxy sent to the server before the client's first byte: the PROXY header. */
  readonly injectedBytes: number;
};

/** Service, server, start, and what is drawn above. */
export type SessionValue = readonly [service: string, server: string, startedWallMs: number, sockets: Uint8Array];

const nameLengthMax = 128;
const socketBytes = 16;
const portsAt = 4 + 2 * socketBytes;
const addressesAt = portsAt + 4;
const keyPattern = /^(?<remote>[^>]+)>(?<local>[^>]+)$/;
const endpointPattern = /^\[?(?<address>[0-9a-f.:]+?)\]?:(?<port>\d{1,5})$/;

/** "10.9.0.31:40000>10.9.0.100:80": no two connections have the same client's side at a time. */
export function sessionKey({ remote, local }: Pick<SocketRecord, 'remote' | 'local'>): string {
  return `${formatEndpoint(remote.address, remote.port)}>${formatEndpoint(local.address, local.port)}`;
}

export function encodeSession({
  service,
  server,
  startedWallMs,
  front,
  back,
  injectedBytes,
}: SessionRecord): SessionValue {
  const [local, remote] = [parseIp(back.local.address), parseIp(back.remote.address)];
  assert(local !== undefined && remote !== undefined && local.length === remote.length, 'two addresses of one family');
  const bytes = new Uint8Array(addressesAt + local.length + remote.length);
  const view = viewOf(bytes);
  view.setUint32(0, injectedBytes);
  writeSocket(view, 4, front);
  writeSocket(view, 4 + socketBytes, back);
  view.setUint16(portsAt, back.local.port);
  view.setUint16(portsAt + 2, back.remote.port);
  bytes.set(local, addressesAt);
  bytes.set(remote, addressesAt + local.length);
  return [service, server, startedWallMs, bytes];
}

/** Undefined for a key or a value that is none. */
export function decodeSession(key: string, value: unknown): SessionRecord | undefined {
  const tuple = keyPattern.exec(key)?.groups;
  const [remote, local] = [readEndpoint(tuple?.['remote']), readEndpoint(tuple?.['local'])];
  if (remote === undefined || local === undefined || !isSessionValue(value)) return undefined;
  const [service, server, startedWallMs, bytes] = value;
  const view = viewOf(bytes);
  const addressBytes = (bytes.length - addressesAt) / 2;
  const addressAt = (at: number): string => formatIp(bytes.subarray(at, at + addressBytes));
  const back = {
    local: { address: addressAt(addressesAt), port: view.getUint16(portsAt) },
    remote: { address: addressAt(addressesAt + addressBytes), port: view.getUint16(portsAt + 2) },
  };
  return {
    ...{ service, server, startedWallMs, injectedBytes: view.getUint32(0) },
    front: { local, remote, ...readSocket(view, 4) },
    back: { ...back, ...readSocket(view, 4 + socketBytes) },
  };
}

/** Cheap, as it is asked for every record that comes; what the fields say is looked at when they are used. */
export function isSessionValue(value: unknown): value is SessionValue {
  if (!Array.isArray(value) || value.length !== 4) return false;
  const [service, server, startedWallMs, bytes] = value as readonly unknown[];
  const areNames = isName(service) && isName(server);
  if (!areNames || typeof startedWallMs !== 'number' || !(bytes instanceof Uint8Array)) return false;
  return bytes.length === addressesAt + 2 * 4 || bytes.length === addressesAt + 2 * 16;
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= nameLengthMax;
}

function writeSocket(view: DataView, at: number, socket: SocketRecord): void {
  view.setUint32(at, socket.firstSent);
  view.setUint32(at + 4, socket.firstReceived);
  view.setUint32(at + 8, socket.timestampOffset);
  view.setUint16(at + 12, socket.mss);
  view.setUint8(at + 14, (socket.sendScale << 4) | socket.receiveScale);
  view.setUint8(at + 15, (socket.hasSack ? 1 : 0) | (socket.hasTimestamps ? 2 : 0));
}

function readSocket(view: DataView, at: number): Omit<SocketRecord, 'local' | 'remote'> {
  const scales = view.getUint8(at + 14);
  const options = view.getUint8(at + 15);
  return {
    firstSent: view.getUint32(at),
    firstReceived: view.getUint32(at + 4),
    timestampOffset: view.getUint32(at + 8),
    mss: view.getUint16(at + 12),
    sendScale: scales >> 4,
    receiveScale: scales & 15,
    hasSack: (options & 1) !== 0,
    hasTimestamps: (options & 2) !== 0,
  };
}

function readEndpoint(text: string | undefined): Endpoint | undefined {
  const groups = endpointPattern.exec(text ?? '')?.groups;
  const address = groups?.['address'] ?? '';
  const port = Number(groups?.['port']);
  return parseIp(address) === undefined || port > 65_535 ? undefined : { address, port };
}
