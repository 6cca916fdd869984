import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/sync/entry.ts';
import { compareVersions, originOf } from '../../../src/sync/entry.ts';
import type { Change, ReplicaTableOptions } from '../../../src/sync/replica-table.ts';
import { ReplicaTable } from '../../../src/sync/replica-table.ts';

function tableOf(origin: string, options: Partial<ReplicaTableOptions<number>> = {}): ReplicaTable<number> {
  return new ReplicaTable<number>({
    name: 't',
    origin,
    entriesMax: 1_000,
    whenFull: 'refuse',
    parse: (value) => (typeof value === 'number' ? value : undefined),
    ...options,
  });
}

function content(table: ReplicaTable<number>, nowMs: number): Record<string, number> {
  return Object.fromEntries([...table.entries(nowMs)].sort());
}

function entryOf(changes: Partial<Entry>): Entry {
  return { key: 'k', value: 1, counter: 1, origin: 'b', expiresAtMs: Infinity, ...changes };
}

describe('ReplicaTable', () => {
  it('applies only what is newer, and says what became of the rest', () => {
    const table = tableOf('a');
    expect(table.merge(entryOf({ counter: 5, value: 50 }), 0)).toBe('applied');
    expect(table.merge(entryOf({ counter: 4, value: 40 }), 0)).toBe('stale');
    expect(table.merge(entryOf({ counter: 5, value: 50 }), 0)).toBe('stale');
    expect(table.merge(entryOf({ counter: 6, value: 'text' }), 0)).toBe('rejected');
    expect(table.get('k', 0)).toBe(50);
  });

  it('breaks ties between equal counters by origin', () => {
    const table = tableOf('a');
    expect(table.merge(entryOf({ origin: 'b', value: 2 }), 0)).toBe('applied');
    expect(table.merge(entryOf({ origin: 'c', value: 3 }), 0)).toBe('applied');
    expect(table.merge(entryOf({ origin: 'a', value: 1 }), 0)).toBe('stale');
    expect(table.get('k', 0)).toBe(3);
  });

  it('never gives two changes one version when a node restarts with its memory lost', () => {
    const [before, after] = [tableOf(originOf('a', 'boot1')), tableOf(originOf('a', 'boot2'))];
    const made: Entry[] = [];
    for (const table of [before, after]) table.watchLocalChanges((entry) => made.push(entry));
    before.set('k', 1, 0);
    after.set('k', 2, 0);
    const [first, second] = made;
    expect(first !== undefined && second !== undefined && compareVersions(first, second)).not.toBe(0);
  });

  it('makes a change after a merge newer than what was merged', () => {
    const table = tableOf('a');
    table.merge(entryOf({ counter: 70 }), 0);
    const made: Entry[] = [];
    table.watchLocalChanges((entry) => made.push(entry));
    table.set('k', 2, 0);
    expect(made.map(({ counter, origin }) => [counter, origin])).toEqual([[71, 'a']]);
  });

  it('keeps a deletion against the older entry that comes late', () => {
    const table = tableOf('a');
    table.set('k', 1, 0);
    const [old] = [...table.allEntries()];
    expect(table.delete('k', 0)).toBe(true);
    expect(table.delete('k', 0)).toBe(false);
    expect(old !== undefined && table.merge(old, 0)).toBe('stale');
    expect(table.get('k', 0)).toBeUndefined();
  });

  it('forgets deletions by age, and the oldest when there are too many', () => {
    const table = tableOf('a', { tombstonesMax: 32, tombstoneMs: 60_000 });
    for (let i = 0; i < 40; i++) {
      table.set(`k${i}`, i, 0);
      table.delete(`k${i}`, 0);
    }
    expect(table.tombstoneCount).toBeLessThanOrEqual(32);
    expect(table.merge(entryOf({ key: 'k39', counter: 1 }), 0)).toBe('stale');
    expect(table.merge(entryOf({ key: 'k0', counter: 1 }), 0)).toBe('applied');
    table.sweep(71_000);
    expect(table.tombstoneCount).toBe(0);
    expect(table.size).toBe(1);
  });

  it('hides an entry at its end, keeps its version for a while, then drops it', () => {
    const table = tableOf('a');
    table.merge(entryOf({ counter: 9, expiresAtMs: 1_000 }), 0);
    expect(table.get('k', 999)).toBe(1);
    expect(table.get('k', 1_000)).toBeUndefined();
    expect([...table.entries(1_000)]).toEqual([]);
    expect(table.sweep(1_000)).toBe(0);
    expect(table.merge(entryOf({ counter: 8, value: 8 }), 1_001)).toBe('stale');
    expect(table.sweep(11_000)).toBe(1);
    expect(table.size).toBe(0);
  });

  it('is swept shard by shard, and comes round', () => {
    const table = tableOf('a', { entriesMax: 4 * 4_096 });
    for (let i = 0; i < 100; i++) table.set(`k${i}`, i, 0, 1);
    const dropped = [1, 2, 3, 4].map(() => table.sweep(20_000));
    expect(dropped.every((count) => count > 10)).toBe(true);
    expect(table.size).toBe(0);
    table.set('again', 1, 20_000, 1);
    expect([1, 2, 3, 4].map(() => table.sweep(40_000)).filter((count) => count === 1)).toHaveLength(1);
  });

  it('is not swept again at once when it is small', () => {
    const table = tableOf('a');
    table.sweep(20_000);
    table.set('k', 1, 0, 1);
    expect(table.sweep(24_999)).toBe(0);
    expect(table.sweep(25_000)).toBe(1);
  });

  it('prolongs a life when the key is set again', () => {
    const table = tableOf('a');
    table.set('k', 1, 0, 1_000);
    table.set('k', 1, 900, 1_000);
    expect(table.get('k', 1_800)).toBe(1);
  });

  it('takes no new key when it is full, but changes of those it has, and as many again of the peer', () => {
    const table = tableOf('a', { entriesMax: 2 });
    expect([table.set('a', 1, 0), table.set('b', 1, 0), table.set('c', 1, 0)]).toEqual([true, true, false]);
    expect(table.set('a', 2, 0)).toBe(true);
    const outcomes = ['d', 'e', 'f'].map((key) => table.merge(entryOf({ key }), 0));
    expect(outcomes).toEqual(['applied', 'applied', 'full']);
    expect(content(table, 0)).toEqual({ a: 2, b: 1, d: 1, e: 1 });
  });

  it('forgets what was changed longest ago when it is a cache', () => {
    const table = tableOf('a', { entriesMax: 3, whenFull: 'forget-oldest' });
    for (const key of ['a', 'b', 'c', 'a', 'd']) table.set(key, 1, 0);
    expect(Object.keys(content(table, 0))).toEqual(['a', 'c', 'd']);
    table.merge(entryOf({ key: 'e', counter: 90 }), 0);
    expect(Object.keys(content(table, 0))).toEqual(['a', 'd', 'e']);
    expect([...table.allEntries()].filter((entry) => entry.value === undefined)).toEqual([]);
  });

  it('keeps a large cache at its size', () => {
    const table = tableOf('a', { entriesMax: 10_000, whenFull: 'forget-oldest' });
    for (let i = 0; i < 30_000; i++) table.set(`key ${i}`, i, 0);
    expect(table.size).toBe(10_000);
    const recent = Array.from({ length: 5_000 }, (_, i) => table.get(`key ${25_000 + i}`, 0));
    expect(recent.every((value) => value !== undefined)).toBe(true);
  });

  it('tells of merges with what was visible before and is now, and not of what changes nothing visible', () => {
    const changes: Change<number>[] = [];
    const table = tableOf('a', { onMerged: (change) => changes.push(change) });
    table.merge(entryOf({ counter: 1, value: 1 }), 0);
    table.merge(entryOf({ counter: 2, value: 2 }), 0);
    table.merge(entryOf({ counter: 3, value: undefined, expiresAtMs: 100 }), 0);
    table.merge(entryOf({ counter: 4, value: undefined, expiresAtMs: 100 }), 0);
    table.merge(entryOf({ counter: 5, value: 5, expiresAtMs: 50 }), 60);
    expect(changes).toEqual([
      { key: 'k', value: 1, previous: undefined },
      { key: 'k', value: 2, previous: 1 },
      { key: 'k', value: undefined, previous: 2 },
    ]);
  });

  it('tells watchers of its own changes alone, until they stop watching', () => {
    const table = tableOf('a');
    const seen: string[] = [];
    const unwatch = table.watchLocalChanges((entry) => seen.push(entry.key));
    table.set('x', 1, 0);
    table.merge(entryOf({ key: 'y' }), 0);
    table.delete('x', 0);
    unwatch();
    table.set('z', 1, 0);
    expect(seen).toEqual(['x', 'x']);
  });

  it.each([
    ['an empty key', '', 1, 1],
    ['a life of nothing', 'k', 1, 0],
    ['a value that is not plain', 'k', undefined as unknown as number, 1],
  ])('takes %s for a bug', (_, key, value, ttlMs) => {
    expect(() => tableOf('a').set(key, value, 0, ttlMs)).toThrow('broken invariant');
  });
});

/** A plain last-writer-wins map with a Lamport clock: what the table must be equal to after every step. */
class Model {
  readonly #origin: string;
  readonly #entries = new Map<string, { counter: number; origin: string; value: number | undefined; endMs: number }>();
  #clock = 0;

  constructor(origin: string) {
    this.#origin = origin;
  }

  change(key: string, value: number | undefined, endMs: number): void {
    this.#clock++;
    this.#entries.set(key, { counter: this.#clock, origin: this.#origin, value, endMs });
  }

  merge({ key, counter, origin, value, expiresAtMs }: Entry): void {
    this.#clock = Math.max(this.#clock, counter);
    const own = this.#entries.get(key);
    const isNewer = own === undefined || counter > own.counter || (counter === own.counter && origin > own.origin);
    if (isNewer) this.#entries.set(key, { counter, origin, value: value as number | undefined, endMs: expiresAtMs });
  }

  has(key: string, nowMs: number): boolean {
    return Object.hasOwn(this.content(nowMs), key);
  }

  content(nowMs: number): Record<string, number> {
    const visible: [string, number][] = [];
    for (const [key, { value, endMs }] of this.#entries) {
      if (value !== undefined && endMs > nowMs) visible.push([key, value]);
    }
    return Object.fromEntries(visible.sort());
  }
}

/** A node and the way of its changes to the other one: a network that may keep, repeat, reorder and lose them. */
class Node {
  readonly table: ReplicaTable<number>;
  readonly model: Model;
  readonly underWay: Entry[] = [];

  constructor(origin: string) {
    this.table = tableOf(origin);
    this.model = new Model(origin);
    this.table.watchLocalChanges((entry) => this.underWay.push(entry));
  }

  receive(entry: Entry, nowMs: number): void {
    this.table.merge(entry, nowMs);
    this.model.merge(entry);
  }
}

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const side = fc.constantFrom(0, 1);
const step = fc.oneof(
  fc.record({ kind: fc.constant('set'), side, key, value: fc.nat(99), ttlMs: fc.constantFrom(Infinity, 50, 500) }),
  fc.record({ kind: fc.constant('delete'), side, key }),
  fc.record({ kind: fc.constant('deliver'), side, which: fc.nat(), again: fc.boolean() }),
  fc.record({ kind: fc.constant('disconnect') }),
  fc.record({ kind: fc.constant('snapshot'), side }),
  fc.record({ kind: fc.constant('wait'), ms: fc.nat(100) }),
);

type Step = {
  readonly kind: string;
  readonly side?: number;
  readonly key?: string;
  readonly value?: number;
  readonly ttlMs?: number;
  readonly which?: number;
  readonly again?: boolean;
  readonly ms?: number;
};

class World {
  readonly nodes: readonly [Node, Node] = [new Node('a'), new Node('b')];
  nowMs = 0;

  perform({ kind, side = 0, key = '', value = 0, ttlMs = Infinity, which = 0, again = false, ms = 0 }: Step): void {
    const [own, other] = side === 0 ? this.nodes : [this.nodes[1], this.nodes[0]];
    if (kind === 'set') {
      own.table.set(key, value, this.nowMs, ttlMs);
      own.model.change(key, value, this.nowMs + ttlMs);
    } else if (kind === 'delete') {
      const wasThere = own.model.has(key, this.nowMs);
      expect(own.table.delete(key, this.nowMs)).toBe(wasThere);
      if (wasThere) own.model.change(key, undefined, Infinity);
    } else if (kind === 'deliver' && own.underWay.length > 0) {
      const position = which % own.underWay.length;
      const [entry] = again ? own.underWay.slice(position, position + 1) : own.underWay.splice(position, 1);
      if (entry !== undefined) other.receive(entry, this.nowMs);
    } else if (kind === 'disconnect') {
      for (const node of this.nodes) node.underWay.length = 0;
    } else if (kind === 'snapshot') {
      for (const entry of own.table.allEntries()) other.receive(entry, this.nowMs);
    } else if (kind === 'wait') {
      this.nowMs += ms;
      for (const node of this.nodes) node.table.sweep(this.nowMs);
    }
  }
}

describe('two tables', () => {
  it('are each what a plain map would be, and equal once both have sent a snapshot', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps: readonly Step[]) => {
        const world = new World();
        for (const each of [...steps, { kind: 'snapshot', side: 0 }, { kind: 'snapshot', side: 1 }]) {
          world.perform(each);
          for (const { table, model } of world.nodes) {
            expect(content(table, world.nowMs)).toEqual(model.content(world.nowMs));
          }
        }
        const [a, b] = world.nodes;
        expect(content(a.table, world.nowMs)).toEqual(content(b.table, world.nowMs));
      }),
      { numRuns: 500 },
    );
  });
});
