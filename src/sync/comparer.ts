/**
 * The comparison of all tables on one connection. The node whose name sorts first asks, right after its last change: in
 * their order, so that the other one has all of them when it looks.
 */

import { CompareWalk, differingBuckets, isLastSlice } from './compare-walk.ts';
import type { SyncCounters } from './counters.ts';
import type { Comparison, Verdict } from './message.ts';
import type { ReplicatedTable } from './replica-table.ts';

export type ComparerOptions = {
  readonly tables: readonly ReplicatedTable[];
  /** False: the peer asks, or cannot be asked. */
  readonly asks: boolean;
  readonly periodMs: number;
  readonly counters: SyncCounters;
};

type Course = {
  readonly table: ReplicatedTable;
  readonly walk: CompareWalk;
  /** Infinity while a slice waits for its verdict. */
  dueAtMs: number;
  asked: Comparison | undefined;
  /** Whether all slices since the table's first one were the same. */
  isClean: boolean;
  comparedAtMs: number | undefined;
  /** How often each bucket was mended. */
  readonly mended: Map<number, number>;
};

/** What has been mended so often in vain, as the peer takes none of it, is left as it is for this connection. */
const mendsMax = 3;
const mendedBucketsMax = 65_536;

export class Comparer {
  readonly #options: ComparerOptions;
  readonly #courses: ReadonlyMap<string, Course>;

  constructor(options: ComparerOptions, nowMs: number) {
    this.#options = options;
    const dueAtMs = options.asks ? nowMs + options.periodMs : Infinity;
    const course = { asked: undefined, isClean: true, comparedAtMs: undefined };
    this.#courses = new Map(
      options.tables.map((table) => {
        const own = { table, walk: new CompareWalk(table), mended: new Map<number, number>() };
        return [table.name, { ...course, ...own, dueAtMs }];
      }),
    );
  }

  /** When the peer was last found to have all that this node has, in every table; undefined: not yet. */
  get comparedAtMs(): number | undefined {
    let earliestMs = Infinity;
    for (const { comparedAtMs } of this.#courses.values()) earliestMs = Math.min(earliestMs, comparedAtMs ?? NaN);
    return Number.isFinite(earliestMs) ? earliestMs : undefined;
  }

  /** A slice of a table of which nothing waits to be sent; undefined if it is not its time. */
  ask(tableName: string, seq: number, receivedSeq: number, nowMs: number): Comparison | undefined {
    const course = this.#courses.get(tableName);
    if (course === undefined || nowMs < course.dueAtMs) return undefined;
    course.dueAtMs = Infinity;
    course.asked = course.walk.next(seq, receivedSeq, nowMs);
    return course.asked;
  }

  /** Answers the peer. */
  judge(comparison: Comparison, nowMs: number): Verdict {
    const { seq, table } = comparison;
    const course = this.#courses.get(table);
    if (course === undefined) return laterVerdict(comparison);
    const buckets = this.#worthMending(course, differingBuckets(course.table, comparison, nowMs));
    this.#note(course, comparison, buckets, nowMs);
    return { type: 'verdict', seq, table, verdict: buckets.length === 0 ? 'same' : 'different', buckets };
  }

  /** The peer's answer. False if nothing was asked. */
  receive({ seq, table, verdict, buckets }: Verdict, nowMs: number): boolean {
    const course = this.#courses.get(table);
    if (course?.asked?.seq !== seq) return false;
    const { asked } = course;
    course.asked = undefined;
    course.dueAtMs = nowMs + this.#options.periodMs;
    if (verdict === 'later') {
      this.#options.counters.comparisonsPutOff++;
      course.walk.repeat();
    } else {
      this.#note(course, asked, buckets, nowMs);
    }
    return true;
  }

  #note(course: Course, comparison: Comparison, different: readonly number[], nowMs: number): void {
    const { counters } = this.#options;
    counters.comparisons++;
    counters.bucketsDifferent += different.length;
    if (different.length > 0) course.isClean = false;
    if (!isLastSlice(comparison)) return;
    if (course.isClean) course.comparedAtMs = nowMs;
    course.isClean = true;
  }

  #worthMending({ mended }: Course, buckets: readonly number[]): readonly number[] {
    if (mended.size > mendedBucketsMax) mended.clear();
    const worth = buckets.filter((bucket) => (mended.get(bucket) ?? 0) < mendsMax);
    for (const bucket of worth) mended.set(bucket, (mended.get(bucket) ?? 0) + 1);
    return worth;
  }
}

export function laterVerdict({ seq, table }: Comparison): Verdict {
  return { type: 'verdict', seq, table, verdict: 'later', buckets: [] };
}
