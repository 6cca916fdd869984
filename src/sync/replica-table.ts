/**
 * A last-writer-wins map that both nodes change. Versions are Lamport counters, never wall clocks: a merge raises the
 * own counter to what it has seen, so a change made after it is newer on both nodes. As both sides merge by the same
 * rule, two tables that have exchanged their entries are equal, whatever was changed while they were apart.
 */

import { assert, ShardedMap } from '../base/index.ts';
import type { Entry } from './entry.ts';
import { compareVersions } from './entry.ts';
import { counterMax, keyLengthMax, ttlMsMax, valueBytesMax } from './limits.ts';
import type { Plain } from './plain.ts';
import { isPlain } from './plain.ts';

import { bucketOf, TableDigest } from './table-digest.ts';

export type ReplicaTableOptions<Value extends Plain> = {
  /** The same on both nodes. */
  readonly name: string;
  /** See `originOf`. */
  readonly origin: string;
  /** Live entries. What the peer made may come on top, up to as many again, unless the oldest give way. */
  readonly entriesMax: number;
  /** A full table forgets what was changed longest ago (a cache) or takes no new keys from this node. */
  readonly whenFull: 'forget-oldest' | 'refuse';
  /** Checks what comes from the peer; undefined skips the entry. */
  readonly parse: (value: Plain) => Value | undefined;
  /** What the peer changed, after it was applied. */
  readonly onMerged?: (change: Change<Value>) => void;
  /** How many deletions are remembered at most; when more, a sixteenth is forgotten. Default 65,536. */
  readonly tombstonesMax?: number;
  /** How long a deletion is remembered. A peer that was away for longer brings the entry back. Default an hour. */
  readonly tombstoneMs?: number;
};

export type Change<Value extends Plain> = {
  readonly key: string;
  /** Undefined: the key is gone. */
  readonly value: Value | undefined;
  readonly previous: Value | undefined;
};

/**
 * What became of an entry: `stale` is not newer than what is there, `rejected` did not pass `parse`, `full` found no
 * room.
 */
export type MergeOutcome = 'applied' | 'stale' | 'rejected' | 'full';

/** What became of an entry that is to mend a difference: `newer-here` is for the peer to take over. */
export type MendOutcome = 'applied' | 'same' | 'newer-here' | 'not-taken';

/** What the replication needs of a table, whatever its values are. */
export type ReplicatedTable = {
  readonly name: string;
  /** The highest counter seen. */
  readonly counter: number;
  readonly digest: TableDigest;
  /** Buckets of the digest up to this one lack what a full cache has forgotten; -1: none. */
  readonly forgottenBucket: number;
  /** Buckets whose entries were not what was written here, see `sweep`. */
  readonly corruptions: number;
  merge(entry: Entry, nowMs: number): MergeOutcome;
  mend(entry: Entry, peerOrigin: string, nowMs: number): MendOutcome;
  /** The entry or tombstone of a key. */
  find(key: string): Entry | undefined;
  allEntries(): IterableIterator<Entry>;
  sweep(nowMs: number): number;
  watchLocalChanges(watcher: (entry: Entry) => void): () => void;
};

/**
 * How long an expired entry stays as a tombstone of its own version. An older version of the key that is still under
 * way must not replace it on one node only.
 */
const expiredGuardMs = 10_000;

/** How long a sweep through a small table pauses before it begins anew. */
const sweepPassMs = 5_000;
const tombstonesPerSweep = 4_096;

export class ReplicaTable<Value extends Plain = Plain> implements ReplicatedTable {
  readonly name: string;
  readonly #options: Required<Omit<ReplicaTableOptions<Value>, 'onMerged'>>;
  readonly #onMerged: ((change: Change<Value>) => void) | undefined;
  readonly #live: ShardedMap<Entry<Value>>;
  readonly #tombstones = new Map<string, Entry<Value>>();
  readonly #watchers = new Set<(entry: Entry) => void>();
  #counter = 0;
  #digest: TableDigest;
  #forgottenBucket = -1;
  #corruptions = 0;
  /** The digest as the sweep finds it, of the shards that it has gone through. */
  #recount: TableDigest;
  #sweptShards = 0;
  #nextPassAtMs = 0;

  constructor(options: ReplicaTableOptions<Value>) {
    const { onMerged, ...others } = options;
    this.name = options.name;
    this.#options = { tombstonesMax: 65_536, tombstoneMs: 3_600_000, ...others };
    this.#onMerged = onMerged;
    this.#live = new ShardedMap(options.entriesMax);
    this.#digest = new TableDigest(options.name);
    this.#recount = new TableDigest(options.name);
  }

  get counter(): number {
    return this.#counter;
  }

  get digest(): TableDigest {
    return this.#digest;
  }

  get forgottenBucket(): number {
    return this.#forgottenBucket;
  }

  get corruptions(): number {
    return this.#corruptions;
  }

  /** Entries that are held, with those that expired and have not been swept out yet. */
  get size(): number {
    return this.#live.size;
  }

  get tombstoneCount(): number {
    return this.#tombstones.size;
  }

  get(key: string, nowMs: number): Value | undefined {
    return visibleValue(this.#live.get(key), nowMs);
  }

  /** How long a key lives on, in milliseconds; Infinity: for good; undefined: it is not there. */
  lifeMs(key: string, nowMs: number): number | undefined {
    const expiresAtMs = this.#live.get(key)?.expiresAtMs ?? nowMs;
    return expiresAtMs > nowMs ? expiresAtMs - nowMs : undefined;
  }

  /** What is alive at `nowMs`; the table may change between two steps. */
  *entries(nowMs: number): Generator<readonly [key: string, value: Value], void, undefined> {
    for (const entry of this.#live.values()) {
      const value = visibleValue(entry, nowMs);
      if (value !== undefined) yield [entry.key, value];
    }
  }

  /**
   * Sets a key, for `ttlMs` or for good; setting it again is how its life is prolonged. False, and nothing changed,
   * when the table is full and refuses. The value must be plain, at most `valueBytesMax`, and not be changed later.
   */
  set(key: string, value: Value, nowMs: number, ttlMs = Infinity): boolean {
    assert(
      key.length > 0 && key.length <= keyLengthMax,
      `table ${this.name}: a key of 1 to ${keyLengthMax} characters`,
    );
    assert(isPlain(value, valueBytesMax), `table ${this.name}: a plain value of at most ${valueBytesMax} bytes`);
    assert(ttlMs > 0, `table ${this.name}: an entry that lives`);
    if (!this.#hasRoomFor(key, this.#options.entriesMax)) return false;
    this.#change({ key, value, ...this.#nextVersion(), expiresAtMs: ttlMs > ttlMsMax ? Infinity : nowMs + ttlMs });
    return true;
  }

  /** Deletes a key and remembers that it was deleted. False if it was not there. */
  delete(key: string, nowMs: number): boolean {
    if (this.get(key, nowMs) === undefined) return false;
    const expiresAtMs = nowMs + this.#options.tombstoneMs;
    this.#change({ key, value: undefined, ...this.#nextVersion(), expiresAtMs });
    return true;
  }

  /** Drops a key on this node alone, as a full cache does: the peer keeps it, and a later version comes back. */
  forget(key: string): void {
    const entry = this.#live.get(key);
    if (entry === undefined) return;
    this.#drop(entry);
    this.#noteForgotten(entry);
  }

  /**
   * Applies an entry of the peer's if it is newer than what is here. Also for what was read from disk, before the link
   * starts: a merge is not passed on.
   */
  merge(entry: Entry, nowMs: number): MergeOutcome {
    this.#counter = Math.max(this.#counter, entry.counter);
    const current = this.#live.get(entry.key) ?? this.#tombstones.get(entry.key);
    if (current !== undefined && compareVersions(entry, current) <= 0) return 'stale';
    const value = entry.value === undefined ? undefined : this.#options.parse(entry.value);
    if (entry.value !== undefined && value === undefined) return 'rejected';
    // A pair that was split may hold twice what each of them may: refusing would leave the two tables different.
    if (value !== undefined && !this.#hasRoomFor(entry.key, 2 * this.#options.entriesMax)) return 'full';
    this.#store({ ...entry, value });
    this.#tellMerged(entry, value, visibleValue(current, nowMs), nowMs);
    return 'applied';
  }

  /**
   * Applies an entry of a bucket that differs. Of two contents with one version that of the node counts that wrote it;
   * where its process has ended, both nodes choose the same one.
   */
  mend(entry: Entry, peerOrigin: string, nowMs: number): MendOutcome {
    const current = this.find(entry.key);
    if (entry.expiresAtMs <= nowMs) return 'same';
    const order = current === undefined ? 1 : compareVersions(entry, current);
    if (order < 0) return 'newer-here';
    if (current === undefined || order > 0) return this.merge(entry, nowMs) === 'applied' ? 'applied' : 'not-taken';
    return this.#settleContent(entry, current, peerOrigin, nowMs);
  }

  /** The entry or tombstone of a key. */
  find(key: string): Entry<Value> | undefined {
    return this.#live.get(key) ?? this.#tombstones.get(key);
  }

  /** Everything held, tombstones included; entries that change on the way may come twice or not at all. */
  *allEntries(): Generator<Entry<Value>, void, undefined> {
    yield* this.#live.values();
    yield* this.#tombstones.values();
  }

  /**
   * Goes through one shard of the table, the next one with each call, and drops what expired some time ago. Answers how
   * many. The digest is counted anew on the way: after a whole pass, what is there is what counts, not what was written
   * once, so that a fault of the memory or of the program shows as a difference from the peer.
   */
  sweep(nowMs: number): number {
    const tombstones = this.#sweepTombstones(nowMs);
    if (this.#sweptShards === 0 && nowMs < this.#nextPassAtMs) return tombstones;
    if (this.#sweptShards === 0) this.#nextPassAtMs = nowMs + sweepPassMs;
    const dropped = this.#sweepShard(this.#live.shard(this.#sweptShards), nowMs);
    if (++this.#sweptShards === this.#live.shardCount) this.#endPass();
    return tombstones + dropped;
  }

  /** Calls back for each change made on this node, in order. Answers the function that ends it. */
  watchLocalChanges(watcher: (entry: Entry) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #nextVersion(): { counter: number; origin: string } {
    assert(this.#counter < counterMax, `table ${this.name}: the counter has not run out`);
    return { counter: ++this.#counter, origin: this.#options.origin };
  }

  #hasRoomFor(key: string, entriesMax: number): boolean {
    if (this.#options.whenFull === 'forget-oldest') return true;
    return this.#live.size < entriesMax || this.#live.get(key) !== undefined;
  }

  #change(entry: Entry<Value>): void {
    this.#store(entry);
    for (const watcher of this.#watchers) watcher(entry);
  }

  #store(entry: Entry<Value>): void {
    const { key } = entry;
    if (entry.value === undefined) {
      const live = this.#live.get(key);
      if (live !== undefined) this.#drop(live);
      this.#tombstones.delete(key);
      this.#tombstones.set(key, entry);
      if (this.#tombstones.size > this.#options.tombstonesMax) forgetOldest(this.#tombstones);
      return;
    }
    this.#tombstones.delete(key);
    this.#count(entry, this.#live.get(key));
    if (this.#options.whenFull === 'refuse') {
      this.#live.set(key, entry);
      return;
    }
    const forgotten = this.#live.setLast(key, entry);
    if (forgotten === undefined) return;
    this.#count(undefined, forgotten);
    this.#noteForgotten(forgotten);
  }

  #drop(entry: Entry<Value>): void {
    this.#count(undefined, entry);
    this.#live.delete(entry.key);
  }

  /** Keeps up the digest, and that of the sweep where it has been: one entry comes or goes, or replaces another. */
  #count(added: Entry | undefined, removed: Entry | undefined): void {
    const key = added?.key ?? removed?.key ?? '';
    const isSwept = this.#sweptShards > 0 && this.#live.indexOf(key) < this.#sweptShards;
    if (removed !== undefined) {
      this.#digest.remove(removed);
      if (isSwept) this.#recount.remove(removed);
    }
    if (added === undefined) return;
    this.#digest.add(added);
    if (isSwept) this.#recount.add(added);
  }

  /** What is not newer than it, the peer may have forgotten or not: that means nothing. */
  #noteForgotten({ counter }: Entry): void {
    this.#forgottenBucket = Math.max(this.#forgottenBucket, bucketOf(counter));
  }

  #sweepShard(shard: ReadonlyMap<string, Entry<Value>>, nowMs: number): number {
    let dropped = 0;
    for (const entry of shard.values()) {
      if (entry.expiresAtMs + expiredGuardMs > nowMs) {
        this.#recount.add(entry);
      } else {
        this.#drop(entry);
        dropped++;
      }
    }
    return dropped;
  }

  #endPass(): void {
    this.#corruptions += this.#digest.differences(this.#recount);
    this.#digest = this.#recount;
    this.#recount = new TableDigest(this.name);
    this.#sweptShards = 0;
  }

  /** They stand in the order of their deletion, and so nearly in that of their expiry. */
  #sweepTombstones(nowMs: number): number {
    let dropped = 0;
    for (const [key, { expiresAtMs }] of this.#tombstones) {
      if (expiresAtMs + expiredGuardMs > nowMs || dropped === tombstonesPerSweep) break;
      this.#tombstones.delete(key);
      dropped++;
    }
    return dropped;
  }

  #settleContent(entry: Entry, current: Entry<Value>, peerOrigin: string, nowMs: number): MendOutcome {
    if (this.#digest.isSame(entry, current) || entry.origin === this.#options.origin) return 'same';
    const value = entry.value === undefined ? undefined : this.#options.parse(entry.value);
    if (entry.value !== undefined && value === undefined) return 'not-taken';
    if (entry.origin !== peerOrigin && !this.#digest.isGreater(entry, current)) return 'same';
    this.#store({ ...entry, value });
    this.#tellMerged(entry, value, visibleValue(current, nowMs), nowMs);
    return 'applied';
  }

  #tellMerged(entry: Entry, value: Value | undefined, previous: Value | undefined, nowMs: number): void {
    if (this.#onMerged === undefined) return;
    const visible = entry.expiresAtMs > nowMs ? value : undefined;
    if (visible === undefined && previous === undefined) return;
    this.#onMerged({ key: entry.key, value: visible, previous });
  }
}

function visibleValue<Value extends Plain>(entry: Entry<Value> | undefined, nowMs: number): Value | undefined {
  return entry !== undefined && entry.expiresAtMs > nowMs ? entry.value : undefined;
}

/** A sixteenth at once: a Map is slow to find its first item when those before it were deleted one by one. */
function forgetOldest(map: Map<string, unknown>): void {
  let count = Math.max(1, map.size >> 4);
  for (const key of map.keys()) {
    if (count-- === 0) return;
    map.delete(key);
  }
}
