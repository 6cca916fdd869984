/** Two sessions with a network of their own between them, on a clock that the test moves. */

import { ManualClock } from '../../../src/runtime/index.ts';
import type { SyncCounters } from '../../../src/sync/counters.ts';
import { createSyncCounters } from '../../../src/sync/counters.ts';
import { originOf } from '../../../src/sync/entry.ts';
import { FrameDecoder } from '../../../src/sync/frame.ts';
import type { SessionLimits } from '../../../src/sync/limits.ts';
import { defaultSessionLimits } from '../../../src/sync/limits.ts';
import type { ForeignHello, Message } from '../../../src/sync/message.ts';
import { decodeMessage } from '../../../src/sync/message.ts';
import { ReplicaTable } from '../../../src/sync/replica-table.ts';
import type { SessionEvent, SessionOptions } from '../../../src/sync/session.ts';
import { PeerSession } from '../../../src/sync/session.ts';

export type Side = {
  readonly table: ReplicaTable<number>;
  readonly counters: SyncCounters;
  readonly session: PeerSession;
  readonly events: SessionEvent[];
  /** What this side received, in order. */
  readonly received: (Message | ForeignHello)[];
};

export type Pair = {
  readonly clock: ManualClock;
  readonly a: Side;
  readonly b: Side;
  /** Carries everything both ways until nobody has anything more to say. */
  readonly settle: () => void;
  /** Carries one turn's worth in one direction. */
  readonly carry: (from: Side, to: Side) => boolean;
};

export function createPair(
  options: { limits?: Partial<SessionLimits>; a?: Partial<SessionOptions>; b?: Partial<SessionOptions> } = {},
): Pair {
  const clock = new ManualClock();
  const limits = { ...defaultSessionLimits, ...options.limits };
  const a = createSide(clock, { self: 'a', peer: 'b', limits, ...options.a });
  const b = createSide(clock, { self: 'b', peer: 'a', limits, ...options.b });
  const carry = (from: Side, to: Side): boolean => carryTurn(clock, from, to);
  const settle = (): void => {
    while ([carry(a, b), carry(b, a)].includes(true));
  };
  return { clock, a, b, carry, settle };
}

export function createTable(origin: string): ReplicaTable<number> {
  return new ReplicaTable<number>({
    name: 'stick',
    origin,
    entriesMax: 100_000,
    whenFull: 'refuse',
    parse: (value) => (typeof value === 'number' ? value : undefined),
  });
}

function createSide(
  clock: ManualClock,
  options: Partial<SessionOptions> & Pick<SessionOptions, 'self' | 'peer' | 'limits'>,
): Side {
  const table = createTable(originOf(options.self, `boot of ${options.self}`));
  const counters = createSyncCounters();
  const session = new PeerSession({
    configHash: 'same',
    bootId: `boot of ${options.self}`,
    heartbeatMs: 100,
    paceMs: () => 100,
    tables: [table],
    counters,
    nowMs: () => clock.nowMs(),
    onOutput: () => undefined,
    ...options,
  });
  return { table, counters, session, events: [], received: [] };
}

function carryTurn(clock: ManualClock, from: Side, to: Side): boolean {
  const frames = [...from.session.takeControlFrames()];
  for (let frame = from.session.nextTableFrame(clock.nowMs()); frame !== undefined;) {
    frames.push(frame);
    frame = from.session.nextTableFrame(clock.nowMs());
  }
  const decoder = new FrameDecoder();
  for (const payload of frames.flatMap((frame) => [...decoder.push(frame)])) {
    const message = payload.ok ? decodeMessage(payload.value) : payload;
    if (!message.ok) throw new Error(`a session wrote what it cannot read: ${message.reason}`);
    to.received.push(message.value);
    to.events.push(...to.session.receive(message.value, clock.nowMs()));
  }
  return frames.length > 0;
}
