import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { originOf } from '../../../src/sync/entry.ts';
import { CompareWalk, differingBuckets } from '../../../src/sync/compare-walk.ts';
import type { SessionEvent } from '../../../src/sync/session.ts';
import { TableDigest } from '../../../src/sync/table-digest.ts';
import { ReplicaTable } from '../../../src/sync/replica-table.ts';
import type { Pair, Side } from './pair.ts';
import { createPair, createTable } from './pair.ts';

const periodMs = 1_000;

/** Their heartbeats are rare: the clock of these tests jumps. */
function connect(options?: Parameters<typeof createPair>[0]): Pair {
  const patience = { heartbeatMs: 3_600_000, paceMs: () => 3_600_000 };
  const pair = createPair({ a: { ...patience, ...options?.a }, b: { ...patience, ...options?.b } });
  pair.settle();
  return pair;
}

/** Lets the time for the next comparison come, and carries everything. */
function nextComparison({ a, b, clock, settle }: Pair): void {
  clock.advance(periodMs);
  for (const side of [a, b]) {
    for (const event of side.session.tick(clock.nowMs())) side.events.push(event);
  }
  settle();
}

/** All shards. */
function sweepAll({ table }: Side, nowMs: number): void {
  for (let shard = 0; shard < 32; shard++) table.sweep(nowMs);
}

function told({ events }: Side): SessionEvent[] {
  return events.filter(({ kind }) => kind === 'differs' || kind === 'mended');
}

function contentOf({ table }: Side): Record<string, unknown> {
  return Object.fromEntries([...table.entries(0)].sort());
}

describe('a comparison', () => {
  it('finds tables the same, and says since when', () => {
    const pair = connect();
    for (let i = 0; i < 3_000; i++) pair.a.table.set(`k${i}`, i, 0);
    pair.b.table.set('m', 1, 0);
    pair.settle();
    expect(pair.a.session.comparedAtMs).toBeUndefined();
    nextComparison(pair);
    expect([pair.a.session.comparedAtMs, pair.b.session.comparedAtMs]).toEqual([1_000, 1_000]);
    expect(pair.a.counters).toMatchObject({ comparisons: 1, bucketsDifferent: 0, entriesMended: 0 });
    expect([...told(pair.a), ...told(pair.b)]).toEqual([]);
  });

  it.each<[string, 'a' | 'b', number, (side: Side) => void]>([
    // It is missing in the bucket of its old version, and too much in that of its new one.
    ['changed on one node alone', 'b', 2, ({ table }) => table.merge(entry('k7', 9, 1_000_000), 0)],
    ['made on one node alone', 'a', 1, ({ table }) => table.merge(entry('other', 9, 5), 0)],
  ])('finds an entry that was %s, tells it, counts it, and mends it', (_, name, buckets, fault) => {
    const pair = connect();
    for (let i = 0; i < 3_000; i++) pair.a.table.set(`k${i}`, i, 0);
    pair.settle();
    fault(pair[name]);
    expect(contentOf(pair.a)).not.toEqual(contentOf(pair.b));
    nextComparison(pair);
    expect(contentOf(pair.a)).toEqual(contentOf(pair.b));
    for (const side of [pair.a, pair.b]) {
      expect(told(side)).toMatchObject([{ kind: 'differs', table: 'stick', buckets }, { kind: 'mended' }]);
      expect(side.counters.bucketsDifferent).toBe(buckets);
    }
    expect(pair.a.counters.entriesMended + pair.b.counters.entriesMended).toBeGreaterThan(0);
    nextComparison(pair);
    expect(pair.a.session.comparedAtMs).toBe(2_000);
    expect(pair.a.counters.bucketsDifferent).toBe(buckets);
  });

  it.each(['a', 'b'] as const)('finds a deletion that node %s alone knows of, and carries it out on both', (name) => {
    const pair = connect();
    for (let i = 0; i < 10; i++) pair.a.table.set(`k${i}`, i, 0);
    pair.settle();
    pair[name].table.merge({ ...entry('k7', 0, 5_000), value: undefined, expiresAtMs: 3_600_000 }, 0);
    nextComparison(pair);
    expect([pair.a.table.get('k7', 0), pair.b.table.get('k7', 0)]).toEqual([undefined, undefined]);
    nextComparison(pair);
    expect(pair.a.counters.bucketsDifferent).toBe(1);
    expect(pair.a.session.comparedAtMs).toBe(2_000);
  });

  it('sends again only what differs', () => {
    const pair = connect();
    for (let i = 0; i < 10_000; i++) pair.a.table.set(`k${i}`, i, 0);
    pair.settle();
    const before = pair.b.counters.entriesReceived;
    pair.b.table.merge(entry('k7', 9, 1_000_000), 0);
    nextComparison(pair);
    expect(pair.b.table.get('k7', 0)).toBe(9);
    expect(pair.b.counters.entriesReceived - before).toBeLessThanOrEqual(1_024);
  });

  it('waits while changes of the one who is asked are under way', () => {
    const pair = connect();
    pair.a.table.set('k', 1, 0);
    pair.settle();
    pair.clock.advance(periodMs);
    pair.b.table.set('m', 1, 0);
    pair.carry(pair.a, pair.b);
    pair.carry(pair.b, pair.a);
    expect(pair.a.counters).toMatchObject({ comparisons: 0, comparisonsPutOff: 1 });
    pair.settle();
    nextComparison(pair);
    expect(pair.a.counters).toMatchObject({ comparisons: 1, bucketsDifferent: 0 });
  });

  it('takes entries that expire on one side before the other for no difference', () => {
    const pair = connect();
    for (let i = 0; i < 100; i++) pair.a.table.set(`k${i}`, i, 0, 5_000);
    pair.a.table.set('stays', 1, 0);
    pair.settle();
    pair.clock.advance(20_000);
    sweepAll(pair.a, pair.clock.nowMs());
    expect([pair.a.table.size, pair.b.table.size]).toEqual([1, 101]);
    nextComparison(pair);
    expect(pair.a.counters).toMatchObject({ bucketsDifferent: 0 });
    sweepAll(pair.b, pair.clock.nowMs());
    nextComparison(pair);
    expect(pair.a.counters).toMatchObject({ bucketsDifferent: 0, comparisons: 2 });
    expect(pair.a.session.comparedAtMs).toBe(22_000);
  });

  it('gives up on what the peer does not take', () => {
    const table = new ReplicaTable<number>({
      name: 'stick',
      origin: originOf('b', 'boot of b'),
      entriesMax: 10,
      whenFull: 'refuse',
      parse: (value) => (value === 13 ? undefined : Number(value)),
    });
    const pair = connect({ b: { tables: [table] } });
    pair.a.table.set('k', 13, 0);
    pair.settle();
    for (let i = 0; i < 10; i++) nextComparison(pair);
    expect(table.size).toBe(0);
    expect(pair.b.counters.bucketsDifferent).toBe(3);
    expect(pair.a.session.comparedAtMs).toBe(10_000);
  });

  it('goes through a large table slice by slice', () => {
    const [a, b] = [createTable('a'), createTable('b')];
    for (let i = 0; i < 2_000; i++) {
      for (const table of [a, b]) table.merge(entry(`k${i}`, i, 1 + i * 1_024), 0);
    }
    b.merge(entry('k1999', 0, 1_999 * 1_024 + 2), 0);
    const walk = new CompareWalk(a);
    const slices = [1, 2, 3, 4].map((seq) => walk.next(seq, 0, 0));
    expect(slices.map(({ buckets }) => buckets.length)).toEqual([512, 512, 512, 464]);
    expect(slices.map((slice) => differingBuckets(b, slice, 0))).toEqual([[], [], [], [1_999]]);
    expect(walk.next(5, 0, 0).from).toBe(0);
  });
});

describe('a fault of the memory', () => {
  type Weight = { weight: number };

  function tableOf(node: string): ReplicaTable<Weight> {
    const origin = originOf(node, `boot of ${node}`);
    const parse = (value: unknown): Weight => ({ ...(value as Weight) });
    return new ReplicaTable<Weight>({ name: 'overrides', origin, entriesMax: 100, whenFull: 'refuse', parse });
  }

  it.each(['a', 'b'] as const)('of node %s is found by the sweep, told, and mended with what was written', (name) => {
    const tables = { a: tableOf('a'), b: tableOf('b') };
    const pair = connect({ a: { tables: [tables.a] }, b: { tables: [tables.b] } });
    const writer = name === 'a' ? 'b' : 'a';
    tables[writer].set('web/s1', { weight: 7 }, 0);
    tables[writer].set('web/s2', { weight: 8 }, 0);
    pair.settle();
    nextComparison(pair);
    expect(pair.a.counters.bucketsDifferent).toBe(0);
    const held = tables[name].get('web/s1', 0);
    if (held !== undefined) held.weight = 3;
    tables[name].sweep(0);
    expect(tables[name].corruptions).toBe(1);
    nextComparison(pair);
    expect(told(pair[name])).toEqual([
      { kind: 'differs', table: 'overrides', buckets: 1 },
      { kind: 'mended', table: 'overrides', entries: 1 },
    ]);
    expect([tables.a.get('web/s1', 0), tables.b.get('web/s1', 0)]).toEqual([{ weight: 7 }, { weight: 7 }]);
    nextComparison(pair);
    expect(pair.a.counters.bucketsDifferent).toBe(1);
  });
});

describe('a digest', () => {
  const change = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), value: fc.nat(3), isSet: fc.boolean() });

  it('is that of the entries that are there, whatever became of others', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.array(fc.nat(40)), (changes, sweeps) => {
        const table = createTable('a');
        for (const [index, { key, value, isSet }] of changes.entries()) {
          if (isSet) table.set(key, value, index);
          else table.delete(key, index);
          if (sweeps.includes(index)) table.sweep(index * 10_000);
        }
        const expected = new TableDigest('stick');
        for (const each of table.allEntries()) if (each.value !== undefined) expected.add(each);
        expect(table.digest.differences(expected)).toBe(0);
        expect(table.corruptions).toBe(0);
      }),
    );
  });

  it.each<[string, Partial<ReturnType<typeof entry>>]>([
    ['key', { key: 'l' }],
    ['value', { value: 2 }],
    ['version', { counter: 6 }],
    ['writer', { origin: 'other' }],
  ])('is another one for another %s', (_, changes) => {
    const digest = new TableDigest('stick');
    expect(digest.isSame(entry('k', 1, 5), { ...entry('k', 1, 5), ...changes })).toBe(false);
    expect(digest.isSame(entry('k', 1, 5), { ...entry('k', 1, 5), expiresAtMs: 9 })).toBe(true);
  });

  it("does not depend on the order of a value's keys, but on everything else of it", () => {
    const digest = new TableDigest('stick');
    const of = (value: object) => ({ ...entry('k', 1, 5), value: value as never });
    expect(digest.isSame(of({ x: 1, y: [true, null] }), of({ y: [true, null], x: 1 }))).toBe(true);
    expect(digest.isSame(of({ x: 1, y: 2 }), of({ x: 2, y: 1 }))).toBe(false);
    expect(digest.isSame(of([1, 2]), of([2, 1]))).toBe(false);
    expect(digest.isSame(of(new Uint8Array([1, 0])), of(new Uint8Array([1])))).toBe(false);
  });
});

function entry(key: string, value: number, counter: number) {
  return { key, value, counter, origin: 'x/1', expiresAtMs: Infinity };
}
