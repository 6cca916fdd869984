/**
 * Many entries of one table as columns: the same few lists for one entry or for five hundred, so that encoding,
 * checking and decoding cost little per entry.
 */

import type { Entry } from './entry.ts';
import { entryBytes } from './entry.ts';
import * as limits from './limits.ts';
import { isPlain } from './plain.ts';
import type { Plain } from './plain.ts';

export type Batch = {
  /** The distinct origins in this batch; `origins` holds positions in it. */
  readonly nodes: readonly string[];
  readonly keys: readonly string[];
  readonly counters: readonly number[];
  readonly origins: readonly number[];
  /** What is left of the entry's life when it is sent, in whole milliseconds; -1 if it does not expire. */
  readonly ttlsMs: readonly number[];
  /** True for a tombstone, whose value is null. */
  readonly deleted: readonly boolean[];
  readonly values: readonly Plain[];
};

/** Collects entries until the batch has its size. */
export class BatchBuilder {
  readonly #nowMs: number;
  readonly #nodes: string[] = [];
  readonly #keys: string[] = [];
  readonly #counters: number[] = [];
  readonly #origins: number[] = [];
  readonly #ttlsMs: number[] = [];
  readonly #deleted: boolean[] = [];
  readonly #values: Plain[] = [];
  #bytes = 0;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  get isFull(): boolean {
    return this.#keys.length >= limits.batchEntries || this.#bytes >= limits.batchBytes;
  }

  add(entry: Entry, bytes: number = entryBytes(entry)): void {
    this.#keys.push(entry.key);
    this.#counters.push(entry.counter);
    this.#origins.push(this.#positionOf(entry.origin));
    this.#ttlsMs.push(remainingMs(entry, this.#nowMs));
    this.#deleted.push(entry.value === undefined);
    this.#values.push(entry.value ?? null);
    this.#bytes += bytes;
  }

  build(): Batch {
    return {
      nodes: this.#nodes,
      keys: this.#keys,
      counters: this.#counters,
      origins: this.#origins,
      ttlsMs: this.#ttlsMs,
      deleted: this.#deleted,
      values: this.#values,
    };
  }

  /** A batch rarely has more than two origins; a list is searched faster than a map is built. */
  #positionOf(origin: string): number {
    const position = this.#nodes.indexOf(origin);
    return position >= 0 ? position : this.#nodes.push(origin) - 1;
  }
}

/** The entries of a batch that was received at `nowMs`. */
export function* entriesOf(batch: Batch, nowMs: number): Generator<Entry, void, undefined> {
  for (const [index, key] of batch.keys.entries()) {
    const ttlMs = batch.ttlsMs[index] ?? -1;
    yield {
      key,
      value: batch.deleted[index] === true ? undefined : (batch.values[index] ?? null),
      counter: batch.counters[index] ?? 0,
      origin: batch.nodes[batch.origins[index] ?? 0] ?? '',
      expiresAtMs: ttlMs < 0 ? Infinity : nowMs + ttlMs,
    };
  }
}

/** Whether decoded bytes are a batch: columns of one length, every item within its bounds. */
export function isBatch(candidate: unknown): candidate is Batch {
  if (typeof candidate !== 'object' || candidate === null) return false;
  const { nodes, keys, counters, origins, ttlsMs, deleted, values } = candidate as Record<string, unknown>;
  if (!isColumn(keys, isKey) || keys.length > limits.batchEntriesMax) return false;
  if (!isColumn(nodes, isOrigin) || nodes.length > keys.length) return false;
  const count = keys.length;
  return (
    isColumn(counters, isCounter, count) &&
    isColumn(origins, (item) => isIndex(item, nodes.length), count) &&
    isColumn(ttlsMs, isTtl, count) &&
    isColumn(deleted, isBoolean, count) &&
    isColumn(values, isValue, count) &&
    deleted.every((isTombstone, index) => isTombstone !== true || isOwnedTombstone(values[index], ttlsMs[index]))
  );
}

function remainingMs(entry: Entry, nowMs: number): number {
  if (entry.expiresAtMs === Infinity) return -1;
  return Math.max(0, Math.min(limits.ttlMsMax, Math.ceil(entry.expiresAtMs - nowMs)));
}

function isColumn(column: unknown, isItem: (item: unknown) => boolean, length?: number): column is readonly unknown[] {
  if (!Array.isArray(column) || (length !== undefined && column.length !== length)) return false;
  return column.every(isItem);
}

/** A tombstone carries no value, and it ages out. */
function isOwnedTombstone(value: unknown, ttlMs: unknown): boolean {
  return value === null && ttlMs !== -1;
}

function isKey(item: unknown): boolean {
  return typeof item === 'string' && item.length > 0 && item.length <= limits.keyLengthMax;
}

function isOrigin(item: unknown): boolean {
  return typeof item === 'string' && item.length > 0 && item.length <= 2 * limits.nameLengthMax + 1;
}

function isCounter(item: unknown): boolean {
  return typeof item === 'number' && Number.isInteger(item) && item >= 1 && item <= limits.counterMax;
}

function isIndex(item: unknown, length: number): boolean {
  return typeof item === 'number' && Number.isInteger(item) && item >= 0 && item < length;
}

function isTtl(item: unknown): boolean {
  return typeof item === 'number' && Number.isInteger(item) && item >= -1 && item <= limits.ttlMsMax;
}

function isBoolean(item: unknown): boolean {
  return typeof item === 'boolean';
}

function isValue(item: unknown): boolean {
  return isPlain(item, limits.valueBytesMax);
}
