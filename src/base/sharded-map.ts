/**
 * A map of strings cut into shards by a hash of the key. One JavaScript Map of a million entries copies all of them
 * when it grows, which takes tens of milliseconds at once; a shard's growth takes well under one.
 */
export class ShardedMap<Item> {
  readonly #shards: readonly Map<string, Item>[];
  readonly #sizeMax: number;
  #size = 0;

  /** `sizeMax` is what `setLast` keeps to; it also decides on the number of shards. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
    this.#shards = Array.from({ length: shardCountFor(sizeMax) }, () => new Map<string, Item>());
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): Item | undefined {
    return this.#shardOf(key).get(key);
  }

  /** A key that is there keeps its place in the order. */
  set(key: string, item: Item): void {
    const shard = this.#shardOf(key);
    const sizeBefore = shard.size;
    shard.set(key, item);
    this.#size += shard.size - sizeBefore;
  }

  /** Puts the key last in its shard. When the map is over its size, the first of that shard goes, and is answered. */
  setLast(key: string, item: Item): Item | undefined {
    const shard = this.#shardOf(key);
    if (!shard.delete(key)) this.#size++;
    shard.set(key, item);
    if (this.#size <= this.#sizeMax) return undefined;
    for (const [oldest, gone] of shard) {
      shard.delete(oldest);
      this.#size--;
      return gone;
    }
    return undefined;
  }

  delete(key: string): boolean {
    const deleted = this.#shardOf(key).delete(key);
    if (deleted) this.#size--;
    return deleted;
  }

  /** What is first in the order of the key's shard. */
  first(key: string): readonly [key: string, item: Item] | undefined {
    for (const first of this.#shardOf(key)) return first;
    return undefined;
  }

  /** Shard by shard; what is added or removed meanwhile may or may not be seen. */
  *entries(): Generator<readonly [key: string, item: Item], void, undefined> {
    for (const shard of this.#shards) yield* shard;
  }

  *values(): Generator<Item, void, undefined> {
    for (const shard of this.#shards) yield* shard.values();
  }

  get shardCount(): number {
    return this.#shards.length;
  }

  /** The number of the key's shard, from 0. */
  indexOf(key: string): number {
    return hash(key) & (this.#shards.length - 1);
  }

  /** What is in one shard. */
  shard(index: number): ReadonlyMap<string, Item> {
    return this.#shards[index] ?? new Map<string, Item>();
  }

  #shardOf(key: string): Map<string, Item> {
    return this.#shards[this.indexOf(key)] as Map<string, Item>;
  }
}

const shardSize = 4_096;
const shardCountMax = 256;

/** A power of two. A small map is one shard, so that its order is exact. */
function shardCountFor(sizeMax: number): number {
  let count = 1;
  while (count < shardCountMax && count * shardSize < sizeMax) count *= 2;
  return count;
}

/** FNV-1a over the UTF-16 units, its upper half folded in. */
function hash(key: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) value = Math.imul(value ^ key.charCodeAt(i), 0x01000193);
  return value ^ (value >>> 16);
}
