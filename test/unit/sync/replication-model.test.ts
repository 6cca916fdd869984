/** Two nodes with two tables, changed at random while their connection comes and goes, against a plain map. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../src/runtime/index.ts';
import { createSyncCounters } from '../../../src/sync/counters.ts';
import { originOf } from '../../../src/sync/entry.ts';
import type { Entry } from '../../../src/sync/entry.ts';
import { FrameDecoder } from '../../../src/sync/frame.ts';
import { defaultSessionLimits } from '../../../src/sync/limits.ts';
import { decodeMessage } from '../../../src/sync/message.ts';
import { ReplicaTable } from '../../../src/sync/replica-table.ts';
import { PeerSession } from '../../../src/sync/session.ts';

const tableNames = ['overrides', 'sticks'] as const;
const limits = { ...defaultSessionLimits, queueEntriesMax: 6, windowEntriesMax: 3, comparePeriodMs: 10 };

/** The last writer by version: what both nodes must come to, whatever happened on the way. */
type Model = Map<string, Entry>;

class Node {
  readonly tables;
  readonly #name: string;
  readonly #clock: ManualClock;
  readonly counters = createSyncCounters();
  session: PeerSession;

  constructor(name: string, clock: ManualClock, model: Model) {
    this.#name = name;
    this.#clock = clock;
    this.tables = tableNames.map(
      (table) =>
        new ReplicaTable<number>({
          ...{ name: table, origin: originOf(name, 'boot'), entriesMax: 1_000, whenFull: 'refuse' },
          parse: (value) => (typeof value === 'number' ? value : undefined),
        }),
    );
    for (const table of this.tables) {
      table.watchLocalChanges((entry) => {
        const key = `${table.name} ${entry.key}`;
        const known = model.get(key);
        const isNewer = known === undefined || entry.counter > known.counter;
        if (isNewer || (entry.counter === known.counter && entry.origin > known.origin)) model.set(key, entry);
      });
    }
    this.session = this.#createSession();
  }

  reconnect(): void {
    this.session.stop();
    this.session = this.#createSession();
  }

  #createSession(): PeerSession {
    const peer = this.#name === 'a' ? 'b' : 'a';
    const times = { heartbeatMs: 3_600_000, paceMs: () => 3_600_000, nowMs: () => this.#clock.nowMs() };
    const identity = { self: this.#name, peer, configHash: 'same', bootId: 'boot' };
    const { counters, tables } = this;
    return new PeerSession({ ...identity, ...times, limits, tables, counters, onOutput: () => undefined });
  }

  /** So many frames at most, as they would be written now. */
  frames(): Uint8Array[] {
    const nowMs = this.#clock.nowMs();
    const frames = [...this.session.takeControlFrames()];
    for (let frame = this.session.nextTableFrame(nowMs); frame !== undefined;) {
      frames.push(frame);
      frame = this.session.nextTableFrame(nowMs);
    }
    return frames;
  }

  receive(frame: Uint8Array): void {
    for (const payload of new FrameDecoder().push(frame)) {
      const message = payload.ok ? decodeMessage(payload.value) : payload;
      if (!message.ok) throw new Error(message.reason);
      const events = this.session.receive(message.value, this.#clock.nowMs());
      expect(events.filter(({ kind }) => kind === 'ended')).toEqual([]);
    }
  }

  content(): Record<string, number> {
    const nowMs = this.#clock.nowMs();
    return Object.fromEntries(
      this.tables.flatMap((table) => [...table.entries(nowMs)].map(([key, value]) => [`${table.name} ${key}`, value])),
    );
  }
}

class World {
  readonly clock = new ManualClock();
  readonly model: Model = new Map();
  readonly nodes = [new Node('a', this.clock, this.model), new Node('b', this.clock, this.model)] as const;
  /** Written and not yet read, in each direction: TCP keeps their order, but one direction may wait for the other. */
  readonly #underWay: readonly [Uint8Array[], Uint8Array[]] = [[], []];

  perform({ kind, side, table, key, value, count, lasts }: Step): void {
    const own = this.nodes[side];
    const its = own.tables[table];
    const nowMs = this.clock.nowMs();
    if (kind === 'set') its?.set(key, value, nowMs, lasts ? Infinity : 1_000_000);
    if (kind === 'delete') its?.delete(key, nowMs);
    if (kind === 'write') this.#underWay[side].push(...own.frames());
    if (kind === 'read') for (const frame of this.#underWay[side].splice(0, count)) this.#other(side).receive(frame);
    if (kind === 'wait') this.clock.advance(count);
    if (kind === 'sweep') its?.sweep(nowMs);
    if (kind === 'reconnect') this.reconnect();
  }

  reconnect(): void {
    for (const direction of this.#underWay) direction.length = 0;
    for (const node of this.nodes) node.reconnect();
  }

  settle(): void {
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (const side of [0, 1] as const) {
        this.#underWay[side].push(...this.nodes[side].frames());
        isBusy ||= this.#underWay[side].length > 0;
        for (const frame of this.#underWay[side].splice(0)) this.#other(side).receive(frame);
      }
    }
  }

  #other(side: 0 | 1): Node {
    return side === 0 ? this.nodes[1] : this.nodes[0];
  }
}

const step = fc.record({
  kind: fc.constantFrom('set', 'set', 'set', 'delete', 'write', 'write', 'read', 'read', 'wait', 'sweep', 'reconnect'),
  side: fc.constantFrom<0 | 1>(0, 1),
  table: fc.nat(1),
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'),
  value: fc.nat(9),
  count: fc.integer({ min: 1, max: 12 }),
  lasts: fc.boolean(),
});

type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never;

describe('two nodes', () => {
  it('come to what the last writers wrote, and find their tables the same, whatever was lost and came late', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const world = new World();
        for (const each of steps) world.perform(each);
        world.settle();
        const written = [...world.model].flatMap(([key, { value }]) => (value === undefined ? [] : [[key, value]]));
        const expected = Object.fromEntries(written) as Record<string, number>;
        for (const node of world.nodes) expect(node.content()).toEqual(expected);
        world.clock.advance(100);
        world.settle();
        const nowMs = world.clock.nowMs();
        for (const { session, counters } of world.nodes) {
          expect(session.inSyncSinceMs).toBeDefined();
          expect(session.comparedAtMs).toBe(nowMs);
          expect(counters.bucketsDifferent).toBe(0);
        }
        const [a, b] = world.nodes;
        for (const [index, table] of a.tables.entries()) {
          expect(b.tables[index]?.digest.differences(table.digest)).toBe(0);
        }
      }),
      { numRuns: 400 },
    );
  });
});
