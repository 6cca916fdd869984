/** How many connections each source has, and how quickly it opens new ones. */

export type PerSourceSpec = {
  /** Connections that a source may have at once; undefined: any number. */
  readonly connectionsMax: number | undefined;
  /** New connections in a period; undefined: any number. */
  readonly rate: { readonly connections: number; readonly periodMs: number } | undefined;
  /** IPv6 addresses that have this many first bits in common are one source, 1..128. */
  readonly ipv6PrefixLength: number;
};

/**
 * A token bucket, full at first: it holds the connections of one period and is refilled evenly. So a source may open
 * that many in an instant, and as many again in each period that follows.
 */
type Source = { connections: number; tokens: number; filledAtMs: number };

export class SourceLimits {
  #spec: PerSourceSpec;
  readonly #idleMax: number;
  /** Those with connections: as many as the worker has connections, at most. */
  readonly #active = new Map<string, Source>();
  /** Those without, whose bucket is not full again; in the order in which they have ended their last connection. */
  readonly #idle = new Map<string, Source>();

  /** When `idleMax` (>= 1) sources without a connection are known, the one idle for longest is forgotten. */
  constructor(spec: PerSourceSpec, idleMax: number) {
    this.#spec = spec;
    this.#idleMax = idleMax;
  }

  get size(): number {
    return this.#active.size + this.#idle.size;
  }

  /** Sources keep their connections, and what they have used of their rate. */
  update(spec: PerSourceSpec): void {
    this.#spec = spec;
  }

  /** What an address counts as. */
  sourceOf(ip: Uint8Array): string {
    if (ip.length === 4) return ip.join('.');
    const bits = this.#spec.ipv6PrefixLength;
    const bytes = ip.slice(0, Math.ceil(bits / 8));
    if (bits % 8 !== 0) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) & (0xff00 >> (bits % 8));
    return bytes.join(':');
  }

  /** Counts a new connection of the source, which `release` takes back; or says why it may not be. */
  admit(key: string, nowMs: number): 'source-connections' | 'source-rate' | undefined {
    const { connectionsMax, rate } = this.#spec;
    const known = this.#active.get(key) ?? this.#idle.get(key);
    if (known !== undefined && connectionsMax !== undefined && known.connections >= connectionsMax) {
      return 'source-connections';
    }
    const source = known ?? { connections: 0, tokens: rate?.connections ?? 0, filledAtMs: nowMs };
    if (rate !== undefined) {
      refill(source, rate, nowMs);
      if (source.tokens < 1) return 'source-rate';
      source.tokens--;
    }
    source.connections++;
    this.#idle.delete(key);
    this.#active.set(key, source);
    return undefined;
  }

  release(key: string, nowMs: number): void {
    const source = this.#active.get(key);
    if (source === undefined) return;
    source.connections--;
    if (source.connections > 0) return;
    this.#active.delete(key);
    this.#forgetIdle(nowMs);
    if (this.#spec.rate !== undefined) this.#idle.set(key, source);
  }

  /** Makes room for one, and drops those of which there is nothing left to know. */
  #forgetIdle(nowMs: number): void {
    for (const [key, { filledAtMs }] of this.#idle) {
      const isFull = nowMs - filledAtMs >= (this.#spec.rate?.periodMs ?? 0);
      if (!isFull && this.#idle.size < this.#idleMax) return;
      this.#idle.delete(key);
    }
  }
}

function refill(source: Source, rate: { connections: number; periodMs: number }, nowMs: number): void {
  const gained = ((nowMs - source.filledAtMs) * rate.connections) / rate.periodMs;
  source.tokens = Math.min(rate.connections, source.tokens + gained);
  source.filledAtMs = nowMs;
}
