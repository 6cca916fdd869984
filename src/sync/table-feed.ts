/**
 * What one table still has to send on one connection: first a snapshot, with changes flowing in between, then changes
 * alone. Changes wait in a bounded queue, the latest per key. When it overflows it is dropped and the peer told
 * `desync`; once the peer has acknowledged that, and with it all that was under way, a new snapshot begins.
 */

import { BatchBuilder } from './batch.ts';
import type { Batch } from './batch.ts';
import { bucketOf } from './table-digest.ts';
import { ChangeQueue } from './change-queue.ts';
import type { Entry } from './entry.ts';
import type { SessionLimits } from './limits.ts';
import type { TableMessage } from './message.ts';
import type { ReplicatedTable } from './replica-table.ts';

/** A message to send, the changes in it, and when the oldest of them was made. */
export type Outgoing = {
  readonly message: TableMessage;
  readonly entries: number;
  readonly changes: number;
  readonly oldestChangeMs: number;
};

type Phase =
  /** The queue overflowed; the peer does not know yet. */
  | { readonly name: 'desynced' }
  /** A snapshot begins when the peer has acknowledged this message. */
  | { readonly name: 'draining'; readonly seq: number }
  /** Entries newer than `counterEnd` are not part of it: they travel as changes, or came from the peer. */
  | {
      readonly name: 'snapshot';
      readonly entries: Iterator<Entry>;
      readonly counterEnd: number;
      /** Undefined: the whole table; otherwise it is a repair, of these buckets. */
      readonly only: ReadonlySet<number> | undefined;
    }
  | { readonly name: 'streaming'; readonly snapshotEndSeq: number };

export class TableFeed {
  readonly #table: ReplicatedTable;
  readonly #limits: SessionLimits;
  readonly #queue = new ChangeQueue();
  #phase: Phase = { name: 'draining', seq: 0 };
  #lastWasDelta = false;
  #deltaSeq = 0;

  constructor(table: ReplicatedTable, limits: SessionLimits) {
    this.#table = table;
    this.#limits = limits;
  }

  /** Queues a change made at `nowMs`. False if it overflowed the queue just now. */
  add(entry: Entry, nowMs: number): boolean {
    // What is not sent one by one will be in the snapshot.
    if (this.#phase.name === 'desynced' || this.#phase.name === 'draining') return true;
    this.#queue.put(entry, nowMs);
    const { queueEntriesMax, queueBytesMax } = this.#limits;
    if (this.#queue.size <= queueEntriesMax && this.#queue.bytes <= queueBytesMax) return true;
    this.#queue.clear();
    this.#phase = { name: 'desynced' };
    return false;
  }

  /** The next message, to be sent with this number; undefined if there is nothing (yet). */
  next(seq: number, ackedSeq: number, nowMs: number): Outgoing | undefined {
    const table = this.#table.name;
    switch (this.#phase.name) {
      case 'desynced':
        this.#phase = { name: 'draining', seq };
        return withoutEntries({ type: 'desync', seq, table });
      case 'draining':
        if (ackedSeq < this.#phase.seq) return undefined;
        this.#phase = {
          name: 'snapshot',
          entries: this.#table.allEntries(),
          counterEnd: this.#table.counter,
          only: undefined,
        };
        return withoutEntries({ type: 'snapshot-begin', seq, table });
      case 'snapshot':
        // By turns: neither does a long snapshot hold up changes, nor do many changes hold up the snapshot.
        this.#lastWasDelta = !this.#lastWasDelta && this.#queue.size > 0;
        return this.#lastWasDelta ? this.#nextDelta(seq, nowMs) : this.#nextOfSnapshot(this.#phase, seq, nowMs);
      case 'streaming':
        return this.#queue.size > 0 ? this.#nextDelta(seq, nowMs) : undefined;
    }
  }

  /** Whether the peer has a whole snapshot; what changed since is on its way. */
  isSettled(ackedSeq: number): boolean {
    return this.#phase.name === 'streaming' && this.#phase.snapshotEndSeq <= ackedSeq;
  }

  /** Whether the peer, which has this node's data up to `seq`, has all there is. */
  hasSentAll(seq: number): boolean {
    return this.isSettled(seq) && this.#queue.size === 0 && this.#deltaSeq <= seq;
  }

  /** Sends these buckets once more, unless the whole table is on its way in any case. */
  repair(buckets: readonly number[]): void {
    if (this.#phase.name !== 'streaming') return;
    const counterEnd = this.#table.counter;
    this.#phase = { name: 'snapshot', entries: this.#table.allEntries(), counterEnd, only: new Set(buckets) };
  }

  /** Changes that wait, their size at most, and when the oldest was made (Infinity if none waits). */
  get waiting(): { readonly entries: number; readonly bytes: number; readonly oldestChangeMs: number } {
    return { entries: this.#queue.size, bytes: this.#queue.bytes, oldestChangeMs: this.#queue.oldestMs() };
  }

  #nextDelta(seq: number, nowMs: number): Outgoing {
    const builder = new BatchBuilder(nowMs);
    const oldestChangeMs = this.#queue.oldestMs();
    while (!builder.isFull) {
      const change = this.#queue.take();
      if (change === undefined) break;
      builder.add(change.entry, change.bytes);
    }
    const batch = builder.build();
    const changes = batch.keys.length;
    const message = { type: 'delta', seq, table: this.#table.name, batch } as const;
    this.#deltaSeq = seq;
    return { message, entries: changes, changes, oldestChangeMs };
  }

  #nextOfSnapshot(snapshot: Phase & { name: 'snapshot' }, seq: number, nowMs: number): Outgoing {
    const batch = nextChunk(snapshot, nowMs);
    const table = this.#table.name;
    const isRepair = snapshot.only !== undefined;
    if (batch === undefined) {
      this.#phase = { name: 'streaming', snapshotEndSeq: seq };
      return withoutEntries({ type: isRepair ? 'repair-end' : 'snapshot-end', seq, table });
    }
    const type = isRepair ? 'repair' : 'snapshot-chunk';
    return { ...withoutEntries({ type, seq, table, batch }), entries: batch.keys.length };
  }
}

/** Entries looked at for one chunk: skipped ones take time as well. A chunk may be empty. */
const chunkVisitsMax = 4_096;

/** Undefined at the end of the snapshot. */
function nextChunk(snapshot: Phase & { name: 'snapshot' }, nowMs: number): Batch | undefined {
  const builder = new BatchBuilder(nowMs);
  for (let visits = 0; visits < chunkVisitsMax && !builder.isFull; visits++) {
    const next = snapshot.entries.next();
    if (next.done === true) {
      if (visits === 0) return undefined;
      break;
    }
    const { counter } = next.value;
    if (counter > snapshot.counterEnd || snapshot.only?.has(bucketOf(counter)) === false) continue;
    builder.add(next.value);
  }
  return builder.build();
}

function withoutEntries(message: TableMessage): Outgoing {
  return { message, entries: 0, changes: 0, oldestChangeMs: Infinity };
}
