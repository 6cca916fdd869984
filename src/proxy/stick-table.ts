import { ShardedMap } from '../base/index.ts';

/** Which server each source goes to: bounded, forgetting what was not used for `ttlMs`. */

export type StickEntry = {
  readonly source: string;
  readonly server: string;
  /** Time since it was last used: clocks of two processes or nodes cannot be compared, ages can. */
  readonly ageMs: number;
};

type Stored = { readonly server: string; usedAtMs: number; reportedAtMs: number };

export class StickTable {
  readonly #ttlMs: number;
  readonly #entriesMax: number;
  // Each shard in the order of use: the first is the one unused for longest.
  #entries: ShardedMap<Stored>;

  /** `entriesMax` >= 1: when full, the entry unused for longest makes room. */
  constructor(options: { ttlMs: number; entriesMax: number }) {
    this.#ttlMs = options.ttlMs;
    this.#entriesMax = options.entriesMax;
    this.#entries = new ShardedMap(options.entriesMax);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The source's server; looking does not count as use. */
  lookup(source: string, nowMs: number): string | undefined {
    return this.#live(source, nowMs)?.server;
  }

  /**
   * Takes an entry as told, even if another server is known here. One older than the time to live is not taken, and
   * use that was seen here more recently is not forgotten.
   */
  learn(entry: StickEntry, nowMs: number): void {
    if (entry.ageMs >= this.#ttlMs) return;
    const known = this.#live(entry.source, nowMs);
    const toldMs = nowMs - entry.ageMs;
    const usedAtMs = known?.server === entry.server ? Math.max(known.usedAtMs, toldMs) : toldMs;
    this.#entries.setLast(entry.source, { server: entry.server, usedAtMs, reportedAtMs: nowMs });
    this.#dropExpired(entry.source, nowMs);
  }

  /**
   * Counts as use. True when the others should be told: once per tenth of the time to live, so that a replica's entry
   * is never more than that too old.
   */
  touch(source: string, nowMs: number): boolean {
    const entry = this.#live(source, nowMs);
    if (entry === undefined) return false;
    entry.usedAtMs = nowMs;
    this.#entries.setLast(source, entry);
    if (nowMs - entry.reportedAtMs < this.#ttlMs / 10) return false;
    entry.reportedAtMs = nowMs;
    return true;
  }

  /** Forgets one source, or all. */
  clear(source?: string): void {
    if (source === undefined) this.#entries = new ShardedMap(this.#entriesMax);
    else this.#entries.delete(source);
  }

  /** All live entries, in each shard the one unused for longest first. */
  *entries(nowMs: number): Generator<StickEntry> {
    for (const [source, { server, usedAtMs }] of this.#entries.entries()) {
      const ageMs = nowMs - usedAtMs;
      if (ageMs < this.#ttlMs) yield { source, server, ageMs };
    }
  }

  #live(source: string, nowMs: number): Stored | undefined {
    const entry = this.#entries.get(source);
    if (entry === undefined || nowMs - entry.usedAtMs < this.#ttlMs) return entry;
    this.#entries.delete(source);
    return undefined;
  }

  /** Of the shard of a source, from its front. */
  #dropExpired(source: string, nowMs: number): void {
    for (let first = this.#entries.first(source); first !== undefined; first = this.#entries.first(source)) {
      const [oldest, { usedAtMs }] = first;
      if (nowMs - usedAtMs < this.#ttlMs) return;
      this.#entries.delete(oldest);
    }
  }
}
