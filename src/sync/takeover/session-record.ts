/**
 * What the standby must know of a connection to take it over: what was fixed when it was established, and nothing that
 * changes with its bytes. In a table, the key is the client's side of it. The value is a list of plain text and one
 * list of numbers. A byte array would be a third shorter, but ten thousand new ones a second burden the garbage
 * collector.
 */

import { formatEndpoint, parseIp } from '../../base/index.ts';

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

/** `numbers`: what was injected, then of the socket to the client and of that to the server what `numbersOf` says. */
export type SessionValue = readonly [
  service: string,
  server: string,
  startedWallMs: number,
  /** "10.9.0.21:8080>10.9.0.100:50001" */
  back: string,
  numbers: readonly number[],
];

const nameLengthMax = 128;
const tupleLengthMax = 128;
const socketNumbers = 6;
const numbersCount = 1 + 2 * socketNumbers;
const wordMax = 0xffff_ffff;
const tuplePattern = /^(?<remote>[^>]+)>(?<local>[^>]+)$/;
const endpointPattern = /^\[?(?<address>[0-9a-f.:]+?)\]?:(?<port>\d{1,5})$/;

/** "10.9.0.31:40000>10.9.0.100:80": no two connections have the same client's side at a time. */
export function sessionKey({ remote, local }: Pick<SocketRecord, 'remote' | 'local'>): string {
  return `${formatEndpoint(remote.address, remote.port)}>${formatEndpoint(local.address, local.port)}`;
}

export function encodeSession(record: SessionRecord): SessionValue {
  const { service, server, startedWallMs, front, back, injectedBytes } = record;
  const numbers = [injectedBytes, ...numbersOf(front), ...numbersOf(back)];
  return [service, server, startedWallMs, sessionKey(back), numbers];
}

/** Undefined for a key or a value that is none. */
export function decodeSession(key: string, value: unknown): SessionRecord | undefined {
  if (!isSessionValue(value)) return undefined;
  const [service, server, startedWallMs, backTuple, numbers] = value;
  const [front, back] = [readTuple(key), readTuple(backTuple)];
  if (front === undefined || back === undefined) return undefined;
  return {
    ...{ service, server, startedWallMs, injectedBytes: numbers[0] ?? 0 },
    front: { ...front, ...readNumbers(numbers.slice(1)) },
    back: { ...back, ...readNumbers(numbers.slice(1 + socketNumbers)) },
  };
}

/** Cheap, as it is asked for every record that comes; what the texts say is looked at when they are used. */
export function isSessionValue(value: unknown): value is SessionValue {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [service, server, startedWallMs, back, numbers] = value as readonly unknown[];
  if (!isText(service, nameLengthMax) || !isText(server, nameLengthMax) || !isText(back, tupleLengthMax)) return false;
  if (typeof startedWallMs !== 'number' || !Array.isArray(numbers) || numbers.length !== numbersCount) return false;
  return numbers.every((number) => Number.isInteger(number) && number >= 0 && number <= wordMax);
}

function isText(value: unknown, lengthMax: number): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= lengthMax;
}

function numbersOf(socket: SocketRecord): readonly number[] {
  const scales = (socket.sendScale << 4) | socket.receiveScale;
  const options = (socket.hasSack ? 1 : 0) | (socket.hasTimestamps ? 2 : 0);
  return [socket.firstSent, socket.firstReceived, socket.timestampOffset, socket.mss, scales, options];
}

function readNumbers(numbers: readonly number[]): Omit<SocketRecord, 'local' | 'remote'> {
  const [firstSent = 0, firstReceived = 0, timestampOffset = 0, mss = 0, scales = 0, options = 0] = numbers;
  return {
    ...{ firstSent, firstReceived, timestampOffset, mss },
    sendScale: (scales >> 4) & 15,
    receiveScale: scales & 15,
    hasSack: (options & 1) !== 0,
    hasTimestamps: (options & 2) !== 0,
  };
}

function readTuple(text: string): Pick<SocketRecord, 'remote' | 'local'> | undefined {
  const groups = tuplePattern.exec(text)?.groups;
  const [remote, local] = [readEndpoint(groups?.['remote']), readEndpoint(groups?.['local'])];
  return remote === undefined || local === undefined ? undefined : { remote, local };
}

function readEndpoint(text: string | undefined): Endpoint | undefined {
  const groups = endpointPattern.exec(text ?? '')?.groups;
  const address = groups?.['address'] ?? '';
  const port = Number(groups?.['port']);
  return parseIp(address) === undefined || port > 65_535 ? undefined : { address, port };
}
