import fc from 'fast-check';
import { pack, Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { BatchBuilder } from '../../../src/sync/batch.ts';
import { encodeFrame } from '../../../src/sync/frame.ts';
import * as limits from '../../../src/sync/limits.ts';
import type { Message } from '../../../src/sync/message.ts';
import { decodeMessage, encodeMessage } from '../../../src/sync/message.ts';

const entry = { key: 'k', value: { a: [1, null] }, counter: 5, origin: 'lb1/f00', expiresAtMs: 1_500 };

function batchOf(...entries: Parameters<BatchBuilder['add']>[0][]): ReturnType<BatchBuilder['build']> {
  const builder = new BatchBuilder(1_000);
  for (const each of entries) builder.add(each);
  return builder.build();
}

const batch = batchOf(
  entry,
  { ...entry, key: 'gone', value: undefined },
  { ...entry, key: 'for good', origin: 'lb2/f01', expiresAtMs: Infinity },
);

const hello = {
  type: 'hello',
  protocolVersion: 1,
  newestVersion: 2,
  node: 'lb1',
  peer: 'lb2',
  configHash: 'c0ffee',
  bootId: 'b001',
  heartbeatMs: 100,
  tables: ['stick'],
} as const;

const messages: readonly Message[] = [
  hello,
  { type: 'welcome' },
  { type: 'refuse', reason: 'third-node' },
  { type: 'snapshot-begin', seq: 1, table: 'stick' },
  { type: 'snapshot-chunk', seq: 2, table: 'stick', batch },
  { type: 'snapshot-chunk', seq: 2, table: 'stick', batch: batchOf() },
  { type: 'snapshot-end', seq: 3, table: 'stick' },
  {
    ...{ type: 'compare', seq: 4, table: 'stick', receivedSeq: 3, from: 0, to: 2 ** 38 },
    ...{ buckets: [1, 7], counts: [1_024, 1], lows: [-1, 5], highs: [0, 2 ** 31 - 1], unsure: [8] },
  },
  { type: 'verdict', seq: 4, table: 'stick', verdict: 'different', buckets: [7] },
  { type: 'repair', seq: 5, table: 'stick', batch },
  { type: 'repair-end', seq: 6, table: 'stick' },
  { type: 'delta', seq: 4, table: 'stick', batch },
  { type: 'desync', seq: 5, table: 'stick' },
  { type: 'ack', seq: 5 },
  { type: 'heartbeat' },
  { type: 'heartbeat', withinMs: 5 },
  { type: 'notice', name: 'epoch', body: 8 },
  { type: 'request', id: 1, method: 'prepare', params: { bytes: Buffer.from([0, 255]) } },
  { type: 'response', id: 1, ok: true, result: null },
  { type: 'response', id: 1, ok: false, error: 'not now' },
];

const delta = { type: 'delta', seq: 1, table: 'stick', batch };
const withBatch = (changes: object): object => ({ ...delta, batch: { ...batch, ...changes } });
const shared = [1, 2, 3];
const three = <Item>(item: Item): Item[] => [item, item, item];

const malformed: readonly (readonly [what: string, fields: unknown, reason: string])[] = [
  ['a list', [1, 2], 'no-type'],
  ['a number', 5, 'no-type'],
  ['nil', null, 'no-type'],
  ['a type that is no text', { type: 5 }, 'no-type'],
  ['a type of a later version', { type: 'digest', seq: 1 }, 'unknown-type'],
  ['a type that every object has', { type: 'constructor' }, 'unknown-type'],
  ['a hello without a version', { ...hello, protocolVersion: 'one' }, 'bad-hello'],
  ['a hello without a node', { ...hello, node: '' }, 'bad-hello'],
  ['a hello with a long name', { ...hello, peer: 'x'.repeat(limits.nameLengthMax + 1) }, 'bad-hello'],
  ['a heartbeat that comes within no time', { type: 'heartbeat', withinMs: 0 }, 'bad-heartbeat'],
  ['a hello without a heartbeat', { ...hello, heartbeatMs: Number.NaN }, 'bad-hello'],
  ['a hello with too many tables', { ...hello, tables: Array(limits.tablesMax + 1).fill('t') }, 'bad-hello'],
  ['a refusal without a reason', { type: 'refuse' }, 'bad-refuse'],
  ['a negative number', { type: 'ack', seq: -1 }, 'bad-ack'],
  ['a fraction', { type: 'ack', seq: 1.5 }, 'bad-ack'],
  ['a snapshot of no table', { type: 'snapshot-begin', seq: 1 }, 'bad-snapshot-begin'],
  ['an end without a number', { type: 'snapshot-end', table: 't' }, 'bad-snapshot-end'],
  ['a desync without a table', { type: 'desync', seq: 1, table: 7 }, 'bad-desync'],
  ['a delta without a batch', { ...delta, batch: undefined }, 'bad-delta'],
  ['columns of unequal length', withBatch({ counters: [1, 2] }), 'bad-delta'],
  ['a column that is no list', withBatch({ keys: 'abc' }), 'bad-delta'],
  ['an empty key', withBatch({ keys: three('') }), 'bad-delta'],
  ['a long key', withBatch({ keys: three('k'.repeat(limits.keyLengthMax + 1)) }), 'bad-delta'],
  ['a counter of 0', withBatch({ counters: three(0) }), 'bad-delta'],
  ['a counter that would run out', withBatch({ counters: three(limits.counterMax + 1) }), 'bad-delta'],
  ['an origin that is not listed', withBatch({ origins: three(2) }), 'bad-delta'],
  ['an endless list of origins', withBatch({ nodes: Array(4).fill('n') }), 'bad-delta'],
  ['a life below none', withBatch({ ttlsMs: three(-2) }), 'bad-delta'],
  ['a tombstone with a value', withBatch({ deleted: three(true) }), 'bad-delta'],
  ['a tombstone for ever', withBatch({ deleted: three(true), values: three(null) }), 'bad-delta'],
  ['a value that is a date', withBatch({ deleted: three(false), values: three(new Date(0)) }), 'not-msgpack'],
  [
    'a value that is too large',
    withBatch({ deleted: three(false), values: three('v'.repeat(limits.valueBytesMax)) }),
    'bad-delta',
  ],
  ['a large notice', { type: 'notice', name: 'n', body: 'x'.repeat(limits.noticeBytesMax) }, 'bad-notice'],
  ['a notice without a body', { type: 'notice', name: 'n' }, 'bad-notice'],
  ['a request without a method', { type: 'request', id: 1, params: null }, 'bad-request'],
  ['a response that is neither', { type: 'response', id: 1, ok: 'yes', result: 1 }, 'bad-response'],
  ['an endless error', { type: 'response', id: 1, ok: false, error: 'e'.repeat(2_000) }, 'bad-response'],
];

describe('decodeMessage', () => {
  it.each(messages.map((message) => [message.type, message] as const))('reads what was written: %s', (_, message) => {
    expect(decodeMessage(encodeMessage(message))).toEqual({ ok: true, value: message });
  });

  it.each(malformed)('names the fault of %s', (_, fields, reason) => {
    expect(decodeMessage(pack(fields))).toEqual({ ok: false, reason });
  });

  it.each([
    ['a cut message', encodeMessage({ type: 'ack', seq: 1 }).subarray(0, 5)],
    ['bytes after the message', Uint8Array.of(0x80, 0x80)],
    ['an array of four thousand million', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['references', new Packr({ structuredClone: true }).pack({ type: 'notice', name: 'n', body: [shared, shared] })],
    ['a nesting of a hundred thousand levels', new Uint8Array(100_000).fill(0x91)],
  ])('takes %s for no msgpack', (_, bytes) => {
    expect(decodeMessage(bytes)).toEqual({ ok: false, reason: 'not-msgpack' });
  });

  it('ignores fields that a later version added', () => {
    expect(decodeMessage(pack({ ...hello, colour: 'blue' }))).toEqual({ ok: true, value: hello });
  });

  it('reads of a hello of another version the version alone', () => {
    const other = { type: 'hello', protocolVersion: 3, nodes: ['lb1'] };
    expect(decodeMessage(pack(other))).toEqual({ ok: true, value: { type: 'foreign-hello', protocolVersion: 3 } });
  });

  it.each<[string, object, number | undefined]>([
    ['of one version', { protocolVersion: 1 }, 1],
    ['that names a newer one as well', { protocolVersion: 1, newestVersion: 9 }, 9],
    ['that does not speak the oldest one', { protocolVersion: 2, newestVersion: 3 }, 3],
  ])('reads the hello of a node %s', (_, versions, newestVersion) => {
    const { newestVersion: _ours, ...others } = hello;
    expect(decodeMessage(pack({ ...others, ...versions }))).toMatchObject({ ok: true, value: { newestVersion } });
  });

  it('keeps a reason of refusal that it does not know as `other`', () => {
    const decoded = decodeMessage(pack({ type: 'refuse', reason: 'bad-moon' }));
    expect(decoded).toEqual({ ok: true, value: { type: 'refuse', reason: 'other' } });
  });

  it('answers any bytes with a message or a reason', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => typeof decodeMessage(bytes).ok === 'boolean'));
  });

  it('answers any change of a byte of a message with a message or a reason', () => {
    const bytes = encodeMessage({ type: 'delta', seq: 4, table: 'stick', batch });
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (position, byte) => {
        const changed = Uint8Array.from(bytes);
        changed[position] = byte;
        expect(typeof decodeMessage(changed).ok).toBe('boolean');
      }),
    );
  });
});

describe('BatchBuilder', () => {
  it('ends a batch by bytes so early that the largest entry still fits into a frame', () => {
    const builder = new BatchBuilder(0);
    const value = '\uffff'.repeat(Math.floor(limits.valueBytesMax / 3) - 5);
    for (let i = 0; !builder.isFull; i++) {
      builder.add({ ...entry, key: `${i}`.padEnd(limits.keyLengthMax, '\uffff'), value });
    }
    expect(encodeFrame({ type: 'delta', seq: 1, table: 't', batch: builder.build() }).length).toBeGreaterThan(
      limits.batchBytes,
    );
  });

  it('ends a batch by entries', () => {
    const builder = new BatchBuilder(0);
    for (let i = 0; i < limits.batchEntries; i++) {
      expect(builder.isFull).toBe(false);
      builder.add({ ...entry, value: 1 });
    }
    expect(builder.isFull).toBe(true);
  });

  it('sends what is left of a life, none if it is over', () => {
    expect(batchOf({ ...entry, expiresAtMs: 1_000.4 }, { ...entry, expiresAtMs: 900 }, entry).ttlsMs).toEqual([
      1, 0, 500,
    ]);
  });
});
