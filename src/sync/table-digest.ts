/**
 * A digest of a table that is kept up with each change, whatever the order of the changes was: two tables with the
 * same digests hold the same entries. It comes in buckets by version, 1,024 counters each. Entries that were written
 * together expire together, so an expiry, which each node sees by its own clock, concerns few buckets; and what has
 * not been touched for long is in buckets that do not change.
 */

import { ContentHasher } from './content-hash.ts';
import type { Entry } from './entry.ts';

/** The sum of its entries' hashes, half by half. */
export type BucketDigest = { readonly count: number; readonly low: number; readonly high: number };

type Bucket = { count: number; low: number; high: number; expiresAtMs: number };

const bucketCounters = 1_024;

/** Where an entry with this counter belongs; buckets are numbered in the order of their versions. */
export function bucketOf(counter: number): number {
  return Math.floor(counter / bucketCounters);
}

export class TableDigest {
  readonly #hasher: ContentHasher;
  readonly #buckets = new Map<number, Bucket>();

  constructor(table: string) {
    this.#hasher = new ContentHasher(table);
  }

  add(entry: Entry): void {
    const id = bucketOf(entry.counter);
    let bucket = this.#buckets.get(id);
    if (bucket === undefined) {
      bucket = { count: 0, low: 0, high: 0, expiresAtMs: Infinity };
      this.#buckets.set(id, bucket);
    }
    this.#hasher.hash(entry);
    bucket.count++;
    bucket.low = (bucket.low + this.#hasher.low) | 0;
    bucket.high = (bucket.high + this.#hasher.high) | 0;
    if (entry.expiresAtMs < bucket.expiresAtMs) bucket.expiresAtMs = entry.expiresAtMs;
  }

  /** Takes out an entry that was added. */
  remove(entry: Entry): void {
    const id = bucketOf(entry.counter);
    const bucket = this.#buckets.get(id);
    if (bucket === undefined) return;
    if (--bucket.count === 0) {
      this.#buckets.delete(id);
      return;
    }
    this.#hasher.hash(entry);
    bucket.low = (bucket.low - this.#hasher.low) | 0;
    bucket.high = (bucket.high - this.#hasher.high) | 0;
  }

  get(bucket: number): BucketDigest | undefined {
    return this.#buckets.get(bucket);
  }

  /** The buckets that have entries, in no particular order. */
  ids(): MapIterator<number> {
    return this.#buckets.keys();
  }

  /** Whether entries of it have expired: the peer may see that sooner or later, and a difference means nothing. */
  isExpiring(bucket: number, nowMs: number): boolean {
    return (this.#buckets.get(bucket)?.expiresAtMs ?? Infinity) <= nowMs;
  }

  /** How many buckets say something else in the other digest. */
  differences(other: TableDigest): number {
    let count = 0;
    for (const [id, digest] of this.#buckets) if (!isSameDigest(digest, other.get(id))) count++;
    for (const id of other.ids()) if (!this.#buckets.has(id)) count++;
    return count;
  }

  /** Which of two contents with one version is kept where nobody knows who is right: the same on both nodes. */
  isGreater(entry: Entry, than: Entry): boolean {
    this.#hasher.hash(than);
    const { low, high } = this.#hasher;
    this.#hasher.hash(entry);
    return this.#hasher.high === high ? this.#hasher.low > low : this.#hasher.high > high;
  }

  isSame(entry: Entry, other: Entry): boolean {
    this.#hasher.hash(other);
    const { low, high } = this.#hasher;
    this.#hasher.hash(entry);
    return this.#hasher.high === high && this.#hasher.low === low;
  }
}

export function isSameDigest(a: BucketDigest | undefined, b: BucketDigest | undefined): boolean {
  return a?.count === b?.count && a?.low === b?.low && a?.high === b?.high;
}
