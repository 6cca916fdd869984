/** Table data that arrives: checks its order, merges it, and knows which of the peer's tables are complete. */

import type { SyncCounters } from './counters.ts';
import type { Batch } from './batch.ts';
import { entriesOf } from './batch.ts';
import type { TableMessage } from './message.ts';
import type { MergeOutcome, ReplicatedTable } from './replica-table.ts';

export type InboundOptions = {
  readonly tables: readonly ReplicatedTable[];
  /** Of which the peer sends snapshots. */
  readonly peerTables: readonly string[];
  /** See `originOf`. */
  readonly peerOrigin: string;
  readonly counters: SyncCounters;
  /** The peer has shown an entry that is older than what is here. */
  readonly onNewerHere: (table: string, key: string) => void;
};

export class Inbound {
  readonly #options: InboundOptions;
  readonly #tables: ReadonlyMap<string, ReplicatedTable>;
  readonly #counters: SyncCounters;
  /** The peer's tables of which a snapshot has not come to its end. */
  readonly #incomplete: Set<string>;
  #receivedSeq = 0;

  constructor(options: InboundOptions) {
    this.#options = options;
    this.#tables = new Map(options.tables.map((table) => [table.name, table]));
    this.#incomplete = new Set(options.peerTables);
    this.#counters = options.counters;
  }

  /** Everything up to this number has been applied. */
  get receivedSeq(): number {
    return this.#receivedSeq;
  }

  get isComplete(): boolean {
    return this.#incomplete.size === 0;
  }

  /** The peer is about to repair a table. */
  expectRepair(table: string): void {
    this.#incomplete.add(table);
  }

  /** False if the message does not follow the one before it. */
  receive(message: TableMessage, nowMs: number): boolean {
    if (message.seq !== this.#receivedSeq + 1) return false;
    this.#receivedSeq = message.seq;
    switch (message.type) {
      case 'snapshot-begin':
        return true;
      case 'snapshot-chunk':
      case 'delta':
        this.#merge(message.table, message.batch, nowMs);
        return true;
      case 'compare':
        return true;
      case 'repair':
        this.#mend(message.table, message.batch, nowMs);
        return true;
      case 'snapshot-end':
      case 'repair-end':
        this.#incomplete.delete(message.table);
        return true;
      case 'desync':
        // Only what the hello announced can become incomplete: the set stays bounded.
        if (this.#tables.has(message.table)) this.#incomplete.add(message.table);
        this.#counters.desyncsByPeer++;
        return true;
    }
  }

  #merge(tableName: string, batch: Batch, nowMs: number): void {
    this.#counters.entriesReceived += batch.keys.length;
    const table = this.#tables.get(tableName);
    if (table === undefined) {
      this.#counters.entriesOfUnknownTables += batch.keys.length;
      return;
    }
    for (const entry of entriesOf(batch, nowMs)) this.#count(table.merge(entry, nowMs));
  }

  #mend(tableName: string, batch: Batch, nowMs: number): void {
    const { peerOrigin, onNewerHere } = this.#options;
    this.#counters.entriesReceived += batch.keys.length;
    const table = this.#tables.get(tableName);
    if (table === undefined) return;
    for (const entry of entriesOf(batch, nowMs)) {
      const outcome = table.mend(entry, peerOrigin, nowMs);
      if (outcome === 'applied') this.#counters.entriesMended++;
      if (outcome === 'newer-here') onNewerHere(tableName, entry.key);
    }
  }

  #count(outcome: MergeOutcome): void {
    switch (outcome) {
      case 'applied':
        return;
      case 'stale':
        this.#counters.entriesStale++;
        return;
      case 'rejected':
        this.#counters.entriesRejected++;
        return;
      case 'full':
        this.#counters.entriesFull++;
        return;
    }
  }
}
