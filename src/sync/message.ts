/**
 * The messages of the sync protocol and their checked decoding. One message is one msgpack map with a `type`; fields
 * that are not known are ignored, so that a later version can add some.
 */

import { Packr, Unpackr } from 'msgpackr';
import type { Result } from '../base/index.ts';
import { fail, ok } from '../base/index.ts';
import type { Batch } from './batch.ts';
import { isBatch } from './batch.ts';
import * as limits from './limits.ts';
import type { Plain } from './plain.ts';
import { isPlain } from './plain.ts';
import { isWholeValue } from './wire-check.ts';

export const refuseReasons = ['protocol-version', 'own-name', 'third-node', 'other-peer', 'other'] as const;

/**
 * Why a hello is not accepted: another protocol version; the name is our own (a node that talks to itself); the name
 * is not our peer's; the sender expects somebody else. `other` stands for a reason that a newer peer may have.
 */
export type RefuseReason = (typeof refuseReasons)[number];

export type Hello = {
  readonly type: 'hello';
  /** The oldest that the sender speaks: a node that knows one version only compares this field with it. */
  readonly protocolVersion: number;
  /** The newest; the same as `protocolVersion` from a node that knows one version only. */
  readonly newestVersion: number;
  readonly node: string;
  /** Whom the sender expects to talk to. */
  readonly peer: string;
  readonly configHash: string;
  readonly bootId: string;
  readonly heartbeatMs: number;
  /** The tables of which a snapshot will follow. */
  readonly tables: readonly string[];
};

/** A hello of which only the version can be read. */
export type ForeignHello = { readonly type: 'foreign-hello'; readonly protocolVersion: number };

/** Messages with table data; `seq` counts them from 1 per connection and direction. */
export type TableMessage =
  | { readonly type: 'snapshot-begin'; readonly seq: number; readonly table: string }
  | { readonly type: 'snapshot-chunk'; readonly seq: number; readonly table: string; readonly batch: Batch }
  | { readonly type: 'snapshot-end'; readonly seq: number; readonly table: string }
  | { readonly type: 'delta'; readonly seq: number; readonly table: string; readonly batch: Batch }
  | { readonly type: 'desync'; readonly seq: number; readonly table: string }
  | Comparison
  | { readonly type: 'repair'; readonly seq: number; readonly table: string; readonly batch: Batch }
  | { readonly type: 'repair-end'; readonly seq: number; readonly table: string };

/** The digests of a slice of a table: of the buckets from `from` up to and without `to`. */
export type Comparison = {
  readonly type: 'compare';
  readonly seq: number;
  readonly table: string;
  /** The peer's table data that the sender has applied. */
  readonly receivedSeq: number;
  readonly from: number;
  readonly to: number;
  /** Those of the slice that have entries. */
  readonly buckets: readonly number[];
  /** Of each of them: the number of entries, and the two halves of the sum of their hashes. */
  readonly counts: readonly number[];
  readonly lows: readonly number[];
  readonly highs: readonly number[];
  /** Buckets about which nothing can be said now. */
  readonly unsure: readonly number[];
};

export const verdicts = ['same', 'different', 'later'] as const;

/** `later`: changes are under way, so that a difference would mean nothing. */
export type Verdict = {
  readonly type: 'verdict';
  /** Of the comparison. */
  readonly seq: number;
  readonly table: string;
  readonly verdict: (typeof verdicts)[number];
  /** Those that differ. */
  readonly buckets: readonly number[];
};

export type Notice = { readonly type: 'notice'; readonly name: string; readonly body: Plain };

export type Request = {
  readonly type: 'request';
  readonly id: number;
  readonly method: string;
  readonly params: Plain;
};

export type Response =
  | { readonly type: 'response'; readonly id: number; readonly ok: true; readonly result: Plain }
  | { readonly type: 'response'; readonly id: number; readonly ok: false; readonly error: string };

/** `withinMs`: how soon the next one comes; undefined from a peer that does not say. */
export type Heartbeat = { readonly type: 'heartbeat'; readonly withinMs?: number };

export type Message =
  | Hello
  | { readonly type: 'welcome' }
  | { readonly type: 'refuse'; readonly reason: RefuseReason }
  | TableMessage
  | Verdict
  | { readonly type: 'ack'; readonly seq: number }
  | Heartbeat
  | Notice
  | Request
  | Response;

export type MessageType = Message['type'];

/** `unknown-type` is for skipping; everything else ends the connection. */
export type DecodeFault = 'not-msgpack' | 'no-type' | 'unknown-type' | `bad-${MessageType}`;

const packr = new Packr({ useRecords: false });
// Copied, for a value that is kept must not keep the whole received chunk alive. No references: data is a tree.
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true, structuredClone: false });

/** The message as msgpack. */
export function encodeMessage(message: Message): Uint8Array {
  return packr.pack(message);
}

/** Reads and checks one message; whatever the bytes are, the answer is a message or a named fault. */
export function decodeMessage(payload: Uint8Array): Result<Message | ForeignHello, DecodeFault> {
  const fields = unpack(payload);
  if (fields === undefined) return fail('not-msgpack');
  if (!isMap(fields) || typeof fields['type'] !== 'string') return fail('no-type');
  const { type } = fields;
  if (!isMessageType(type)) return fail('unknown-type');
  return readers[type](fields) ?? fail<DecodeFault>(`bad-${type}`);
}

type Fields = Readonly<Record<string, unknown>>;

/** Undefined when the fields are not what the type needs. */
type Reader = (fields: Fields) => { readonly ok: true; readonly value: Message | ForeignHello } | undefined;

const readers: Readonly<Record<MessageType, Reader>> = {
  hello: readHello,
  welcome: () => ok({ type: 'welcome' }),
  refuse: readRefuse,
  'snapshot-begin': ({ seq, table }) =>
    isSeq(seq) && isName(table) ? ok({ type: 'snapshot-begin', seq, table }) : undefined,
  'snapshot-chunk': ({ seq, table, batch }) =>
    isSeq(seq) && isName(table) && isBatch(batch) ? ok({ type: 'snapshot-chunk', seq, table, batch }) : undefined,
  'snapshot-end': ({ seq, table }) =>
    isSeq(seq) && isName(table) ? ok({ type: 'snapshot-end', seq, table }) : undefined,
  delta: ({ seq, table, batch }) =>
    isSeq(seq) && isName(table) && isBatch(batch) ? ok({ type: 'delta', seq, table, batch }) : undefined,
  desync: ({ seq, table }) => (isSeq(seq) && isName(table) ? ok({ type: 'desync', seq, table }) : undefined),
  compare: readCompare,
  verdict: readVerdict,
  repair: ({ seq, table, batch }) =>
    isSeq(seq) && isName(table) && isBatch(batch) ? ok({ type: 'repair', seq, table, batch }) : undefined,
  'repair-end': ({ seq, table }) => (isSeq(seq) && isName(table) ? ok({ type: 'repair-end', seq, table }) : undefined),
  ack: ({ seq }) => (isSeq(seq) ? ok({ type: 'ack', seq }) : undefined),
  heartbeat: readHeartbeat,
  notice: ({ name, body }) =>
    isName(name) && isPlain(body, limits.noticeBytesMax) ? ok({ type: 'notice', name, body }) : undefined,
  request: ({ id, method, params }) =>
    isSeq(id) && isName(method) && isPlain(params, limits.bodyBytesMax)
      ? ok({ type: 'request', id, method, params })
      : undefined,
  response: readResponse,
};

function readHeartbeat({ withinMs }: Fields): ReturnType<Reader> {
  if (withinMs === undefined) return ok({ type: 'heartbeat' });
  return isPeriod(withinMs) ? ok({ type: 'heartbeat', withinMs }) : undefined;
}

/** The version is read first: what else a hello of another version says is that version's business. */
function readHello(fields: Fields): ReturnType<Reader> {
  const { protocolVersion, node, peer, configHash, bootId, heartbeatMs, tables } = fields;
  const newestVersion = fields['newestVersion'] ?? protocolVersion;
  if (!isSeq(protocolVersion) || !isSeq(newestVersion)) return undefined;
  if (protocolVersion > limits.newestVersion || newestVersion < limits.oldestVersion) {
    return ok({ type: 'foreign-hello', protocolVersion });
  }
  if (!isName(node) || !isName(peer) || !isName(configHash) || !isName(bootId)) return undefined;
  if (!isPeriod(heartbeatMs)) return undefined;
  if (!Array.isArray(tables) || tables.length > limits.tablesMax || !tables.every(isName)) return undefined;
  const versions = { protocolVersion, newestVersion };
  return ok({ type: 'hello', ...versions, node, peer, configHash, bootId, heartbeatMs, tables });
}

function readRefuse({ reason }: Fields): ReturnType<Reader> {
  if (!isName(reason)) return undefined;
  return ok({ type: 'refuse', reason: refuseReasons.find((known) => known === reason) ?? 'other' });
}

function readResponse({ id, ok: isOk, result, error }: Fields): ReturnType<Reader> {
  if (!isSeq(id)) return undefined;
  if (isOk === true && isPlain(result, limits.bodyBytesMax)) return ok({ type: 'response', id, ok: true, result });
  if (isOk !== false || typeof error !== 'string' || error.length > limits.errorLengthMax) return undefined;
  return ok({ type: 'response', id, ok: false, error });
}

function readCompare(fields: Fields): ReturnType<Reader> {
  const { seq, table, receivedSeq, from, to, buckets, counts, lows, highs, unsure } = fields;
  if (!isSeq(seq) || !isName(table) || !isSeq(receivedSeq) || !isBucket(from) || !isBucket(to)) return undefined;
  if (!isBucketList(buckets) || !isBucketList(unsure)) return undefined;
  const { length } = buckets;
  if (!isWords(counts, length) || !isWords(lows, length) || !isWords(highs, length)) return undefined;
  return ok({ type: 'compare', seq, table, receivedSeq, from, to, buckets, counts, lows, highs, unsure });
}

function readVerdict({ seq, table, verdict, buckets }: Fields): ReturnType<Reader> {
  const known = verdicts.find((each) => each === verdict);
  if (!isSeq(seq) || !isName(table) || known === undefined || !isBucketList(buckets)) return undefined;
  return ok({ type: 'verdict', seq, table, verdict: known, buckets });
}

/** Undefined for bytes that are no msgpack; msgpack's own nil comes out as null. */
function unpack(payload: Uint8Array): unknown {
  if (!isWholeValue(payload)) return undefined;
  try {
    return unpackr.unpack(payload);
  } catch {
    return undefined;
  }
}

function isMessageType(type: string): type is MessageType {
  return Object.hasOwn(readers, type);
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= limits.nameLengthMax;
}

function isBucket(value: unknown): value is number {
  return isSeq(value) && value <= limits.bucketIdMax;
}

function isBucketList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length <= limits.bucketsMax && value.every(isBucket);
}

/** So many integers of 32 bits. */
function isWords(value: unknown, length: number): value is readonly number[] {
  return Array.isArray(value) && value.length === length && value.every((word) => word === (Number(word) | 0));
}

/** Milliseconds, up to an hour. */
function isPeriod(value: unknown): value is number {
  return typeof value === 'number' && value >= 1 && value <= 3_600_000;
}

function isSeq(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}
