/**
 * Table data on its way out: gives the tables their turns, numbers the messages, keeps to the window and knows what
 * the peer has acknowledged.
 */

import type { SyncCounters } from './counters.ts';
import type { Comparer } from './comparer.ts';
import { encodeFrame } from './frame.ts';
import type { SessionLimits } from './limits.ts';
import type { Entry } from './entry.ts';
import type { ReplicatedTable } from './replica-table.ts';
import type { Outgoing } from './table-feed.ts';
import { TableFeed } from './table-feed.ts';
import { BoundedQueue } from '../base/index.ts';

export type OutboundOptions = {
  readonly tables: readonly ReplicatedTable[];
  readonly limits: SessionLimits;
  readonly counters: SyncCounters;
  /** The time of a local change, on the clock that is passed to everything else. */
  readonly nowMs: () => number;
  /** Something new is there to be sent; called at every change, so it must be quick. */
  readonly onOutput: () => void;
};

/** Changes that the peer has not acknowledged: waiting or under way. */
export type Lag = {
  readonly entries: number;
  readonly bytes: number;
  /** The age of the oldest of them in milliseconds, 0 if there is none. */
  readonly oldestMs: number;
};

type Unacknowledged = Omit<Outgoing, 'message'> & { readonly seq: number; readonly bytes: number };

export class Outbound {
  readonly #options: OutboundOptions;
  readonly #feeds: readonly TableFeed[];
  readonly #unwatch: readonly (() => void)[];
  readonly #unacknowledged: BoundedQueue<Unacknowledged>;
  #nextFeed = 0;
  #sentSeq = 0;
  #ackedSeq = 0;
  #entries = 0;
  #changes = 0;
  #bytes = 0;

  /** Takes part in the tables' changes from here on, until `stop`. */
  constructor(options: OutboundOptions) {
    this.#options = options;
    this.#feeds = options.tables.map((table) => new TableFeed(table, options.limits));
    this.#unwatch = options.tables.map((table, index) => this.#watch(table, this.#feeds[index] as TableFeed));
    // Never refuses: every message has at least a byte, and the window is checked before each.
    this.#unacknowledged = new BoundedQueue(options.limits.windowBytesMax + 1);
  }

  stop(): void {
    for (const unwatch of this.#unwatch) unwatch();
  }

  /**
   * The next frame of table data; undefined if there is none or the window is closed. A table of which all has been
   * sent is compared, when it is time; `receivedSeq` is what has been applied of the peer's.
   */
  nextFrame(nowMs: number, comparer?: Comparer, receivedSeq = 0): Uint8Array | undefined {
    const { windowEntriesMax, windowBytesMax } = this.#options.limits;
    if (this.#entries >= windowEntriesMax || this.#bytes >= windowBytesMax) return undefined;
    const outgoing = this.#nextOutgoing(nowMs) ?? this.#nextComparison(nowMs, comparer, receivedSeq);
    if (outgoing === undefined) return undefined;
    const frame = encodeFrame(outgoing.message);
    this.#track(outgoing, frame.length);
    return frame;
  }

  /** The peer has applied everything up to this number. False if it cannot have. */
  acknowledge(seq: number): boolean {
    if (seq > this.#sentSeq || seq < this.#ackedSeq) return false;
    this.#ackedSeq = seq;
    for (let front = this.#unacknowledged.peek(); front !== undefined && front.seq <= seq;) {
      this.#unacknowledged.shift();
      this.#entries -= front.entries;
      this.#changes -= front.changes;
      this.#bytes -= front.bytes;
      front = this.#unacknowledged.peek();
    }
    return true;
  }

  /** Whether the peer has a whole snapshot of every table. */
  get isSettled(): boolean {
    return this.#feeds.every((feed) => feed.isSettled(this.#ackedSeq));
  }

  /** Whether the peer, which has this node's data up to `seq`, has all there is of a table. */
  hasSentAll(table: string, seq: number): boolean {
    return this.#feedOf(table)?.hasSentAll(seq) ?? false;
  }

  /** Sends some buckets of a table once more. */
  repair(table: string, buckets: readonly number[]): void {
    this.#feedOf(table)?.repair(buckets);
    this.#options.onOutput();
  }

  /** Sends an entry of which the peer has shown an older version. */
  resend(table: string, key: string): void {
    const entry = this.#options.tables.find(({ name }) => name === table)?.find(key);
    const feed = this.#feedOf(table);
    if (entry !== undefined && feed !== undefined) this.#queue(feed, entry);
  }

  lag(nowMs: number): Lag {
    const waiting = this.#feeds.map((feed) => feed.waiting);
    const underWay = Array.from(this.#unacknowledged).filter((sent) => sent.changes > 0);
    const oldestMs = Math.min(...[...waiting, ...underWay].map((part) => part.oldestChangeMs));
    return {
      entries: this.#changes + sum(waiting.map((part) => part.entries)),
      bytes: sum(underWay.map((part) => part.bytes)) + sum(waiting.map((part) => part.bytes)),
      oldestMs: oldestMs === Infinity ? 0 : Math.max(0, nowMs - oldestMs),
    };
  }

  #watch(table: ReplicatedTable, feed: TableFeed): () => void {
    return table.watchLocalChanges((entry) => this.#queue(feed, entry));
  }

  #queue(feed: TableFeed, entry: Entry): void {
    if (!feed.add(entry, this.#options.nowMs())) this.#options.counters.desyncs++;
    this.#options.onOutput();
  }

  #feedOf(table: string): TableFeed | undefined {
    return this.#feeds[this.#options.tables.findIndex(({ name }) => name === table)];
  }

  /** One message per table in turn, so that a large table does not hold up a small one. */
  #nextOutgoing(nowMs: number): Outgoing | undefined {
    for (let tried = 0; tried < this.#feeds.length; tried++) {
      const feed = this.#feeds[this.#nextFeed];
      this.#nextFeed = (this.#nextFeed + 1) % this.#feeds.length;
      const outgoing = feed?.next(this.#sentSeq + 1, this.#ackedSeq, nowMs);
      if (outgoing !== undefined) return outgoing;
    }
    return undefined;
  }

  #nextComparison(nowMs: number, comparer: Comparer | undefined, receivedSeq: number): Outgoing | undefined {
    if (comparer === undefined) return undefined;
    for (const [index, { name }] of this.#options.tables.entries()) {
      if (this.#feeds[index]?.isSettled(this.#ackedSeq) !== true) continue;
      const message = comparer.ask(name, this.#sentSeq + 1, receivedSeq, nowMs);
      if (message !== undefined) return { message, entries: 0, changes: 0, oldestChangeMs: Infinity };
    }
    return undefined;
  }

  #track(outgoing: Outgoing, bytes: number): void {
    const { message, entries, changes, oldestChangeMs } = outgoing;
    this.#sentSeq = message.seq;
    this.#unacknowledged.push({ seq: message.seq, entries, changes, oldestChangeMs, bytes });
    this.#entries += entries;
    this.#changes += changes;
    this.#bytes += bytes;
    this.#options.counters.entriesSent += entries;
    if (message.type === 'snapshot-end') this.#options.counters.snapshotsSent++;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
