/**
 * A 64-bit hash of what an entry says: key, version and value, in two independent halves of 32 bits. It finds faults,
 * not forgers: whoever can forge entries knows the sync key.
 */

import type { Entry } from './entry.ts';
import type { Plain } from './plain.ts';

const tags = { nothing: 1, true: 2, false: 3, number: 4, string: 5, bytes: 6, list: 7, map: 8 } as const;
const number = new Float64Array(1);
const numberWords = new Uint32Array(number.buffer);

/** Hashes one entry after the other; `low` and `high` are the halves of the last one. */
export class ContentHasher {
  low = 0;
  high = 0;
  readonly #seed: number;
  /** There are few origins at a time, and each is in thousands of entries. */
  #lastOrigin = '';
  #lastOriginWord = 0;

  /** Equal entries of tables with different names have different hashes. */
  constructor(table: string) {
    this.#seed = this.#wordOf(table);
  }

  hash({ key, value, counter, origin }: Entry): void {
    if (origin !== this.#lastOrigin) {
      this.#lastOriginWord = this.#wordOf(origin);
      this.#lastOrigin = origin;
    }
    this.#begin(this.#seed);
    this.#add(this.#lastOriginWord);
    this.#add(counter | 0);
    this.#add((counter / 2 ** 32) | 0);
    this.#addText(key);
    this.#addValue(value ?? null);
    this.#finish();
  }

  #wordOf(text: string): number {
    this.#begin(0);
    this.#addText(text);
    this.#finish();
    return this.low ^ this.high;
  }

  #begin(seed: number): void {
    this.low = seed ^ 0x9e3779b9;
    this.high = seed ^ 0x7f4a7c15;
  }

  /** The multipliers and shifts of MurmurHash3's two finalisers. */
  #add(word: number): void {
    const low = Math.imul(this.low ^ word, 0x85ebca6b);
    this.low = low ^ (low >>> 13);
    const high = Math.imul(this.high ^ word, 0xcc9e2d51);
    this.high = high ^ (high >>> 15);
  }

  #finish(): void {
    const low = Math.imul(this.low ^ (this.low >>> 16), 0xc2b2ae35);
    this.low = low ^ (low >>> 16);
    const high = Math.imul(this.high ^ (this.high >>> 16), 0x1b873593);
    this.high = high ^ (high >>> 16);
  }

  #addValue(value: Plain): void {
    if (value === null) return this.#add(tags.nothing);
    if (typeof value === 'boolean') return this.#add(value ? tags.true : tags.false);
    if (typeof value === 'number') return this.#addNumber(value);
    if (typeof value !== 'string') return this.#addObject(value);
    this.#add(tags.string);
    this.#addText(value);
  }

  #addObject(value: Uint8Array | readonly Plain[] | { readonly [key: string]: Plain }): void {
    if (value instanceof Uint8Array) return this.#addBytes(value);
    if (Array.isArray(value)) return this.#addList(value);
    this.#addMap(value as Readonly<Record<string, Plain>>);
  }

  #addNumber(value: number): void {
    number[0] = value;
    this.#add(tags.number);
    this.#add((numberWords[0] ?? 0) | 0);
    this.#add((numberWords[1] ?? 0) | 0);
  }

  #addText(text: string): void {
    const { length } = text;
    this.#add(length);
    for (let i = 0; i < length; i += 2) {
      // Beyond the end it is NaN, which counts as 0.
      this.#add(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
    }
  }

  #addBytes(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#add(tags.bytes);
    this.#add(length);
    for (let i = 0; i < length; i += 4) {
      const low = (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8);
      this.#add(low | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24));
    }
  }

  #addList(list: readonly Plain[]): void {
    this.#add(tags.list);
    this.#add(list.length);
    for (const item of list) this.#addValue(item);
  }

  /** The order of the keys does not count: a parser may have put them into another one. */
  #addMap(map: Readonly<Record<string, Plain>>): void {
    this.#add(tags.map);
    const { low, high } = this;
    let [lowSum, highSum] = [0, 0];
    for (const key of Object.keys(map)) {
      this.low = low;
      this.high = high;
      this.#addText(key);
      this.#addValue(map[key] ?? null);
      this.#finish();
      lowSum = (lowSum + this.low) | 0;
      highSum = (highSum + this.high) | 0;
    }
    this.low = low ^ lowSum;
    this.high = high ^ highSum;
    this.#add(Object.keys(map).length);
  }
}
