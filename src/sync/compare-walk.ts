/** Compares a table with the peer's, slice by slice and round and round. */

import { bucketIdMax, bucketsMax } from './limits.ts';
import type { Comparison } from './message.ts';
import type { ReplicatedTable } from './replica-table.ts';
import { isSameDigest } from './table-digest.ts';

/** Goes through a table's buckets for the node that asks. */
export class CompareWalk {
  readonly #table: ReplicatedTable;
  /** Where slices begin, as the table was at the beginning of this round: to sort its buckets each time takes long. */
  #bounds: readonly number[] = [];
  #cursor = 0;
  #sliceBegan = 0;

  constructor(table: ReplicatedTable) {
    this.#table = table;
  }

  /** The next slice, as it is now. */
  next(seq: number, receivedSeq: number, nowMs: number): Comparison {
    const { digest, name, forgottenBucket } = this.#table;
    const from = Math.max(this.#cursor, forgottenBucket + 1);
    if (this.#cursor === 0)
      this.#bounds = sorted(digest.ids()).filter((_, index) => index > 0 && index % bucketsMax === 0);
    const bound = this.#bounds.find((id) => id > from) ?? bucketIdMax;
    // Some may have come since.
    const all = sorted(digest.ids().filter((id) => id >= from && id < bound));
    const ids = all.slice(0, bucketsMax);
    const to = all[bucketsMax] ?? bound;
    this.#sliceBegan = this.#cursor;
    this.#cursor = to === bucketIdMax ? 0 : to;
    const sure = ids.filter((id) => !digest.isExpiring(id, nowMs));
    return {
      ...{ type: 'compare', seq, table: name, receivedSeq, from, to },
      buckets: sure,
      counts: sure.map((id) => digest.get(id)?.count ?? 0),
      lows: sure.map((id) => digest.get(id)?.low ?? 0),
      highs: sure.map((id) => digest.get(id)?.high ?? 0),
      unsure: ids.filter((id) => digest.isExpiring(id, nowMs)),
    };
  }

  /** The last slice was not compared: it is the next one again. */
  repeat(): void {
    this.#cursor = this.#sliceBegan;
  }
}

function sorted(ids: Iterable<number>): readonly number[] {
  return [...ids].sort((a, b) => a - b);
}

/** Whether a slice is the last one of a table. */
export function isLastSlice({ to }: Comparison): boolean {
  return to === bucketIdMax;
}

/** The buckets of a slice that say something else here; without those of which one of the nodes cannot be sure. */
export function differingBuckets(table: ReplicatedTable, comparison: Comparison, nowMs: number): readonly number[] {
  const { digest, forgottenBucket } = table;
  const { from, to, buckets, counts, lows, highs } = comparison;
  const theirs = new Map(
    buckets.map((id, index) => [id, { count: counts[index] ?? 0, low: lows[index] ?? 0, high: highs[index] ?? 0 }]),
  );
  const unsure = new Set(comparison.unsure);
  const isAskedFor = (id: number): boolean => id >= from && id < to && id > forgottenBucket && !unsure.has(id);
  const suspects = [...new Set([...buckets, ...digest.ids()])].filter(isAskedFor);
  return suspects
    .filter((id) => !digest.isExpiring(id, nowMs) && !isSameDigest(digest.get(id), theirs.get(id)))
    .slice(0, bucketsMax);
}
