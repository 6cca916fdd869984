/**
 * Passive outlier detection for the servers of one service: a server at which connections have failed so and so often
 * in a row is ejected for a while, each time longer. Too many are never out at once: then the failures are more likely
 * to be this node's own, and a bad server is better than none (Envoy's outlier detection and panic threshold).
 */

export type OutlierConfig = {
  /** Failures in a row until a server is ejected, >= 1. */
  readonly consecutiveFailures: number;
  /** How long it is out for the first time; the n-th time in a row n times as long. */
  readonly ejectionTimeMs: number;
  readonly ejectionTimeMaxMs: number;
  /** No server is ejected if more than this part of all, 0..1, were out then, for whatever reason; never the last. */
  readonly panicShare: number;
};

export type Ejection = { readonly untilMs: number; readonly reason: string };

/** What is known of one server; a server of which nothing is known is not in the state. */
export type OutlierStanding = {
  /** In a row, until now. */
  readonly failures: number;
  /** Of the last one. */
  readonly reason: string;
  readonly ejection: Ejection | undefined;
  /** Ejections in a row; one less for each `ejectionTimeMs` since the last one ended. */
  readonly ejections: number;
  readonly endedAtMs: number;
  /** Only the panic threshold keeps it in. */
  readonly isHeld: boolean;
};

export type OutlierState = ReadonlyMap<string, OutlierStanding>;

/** Every server of the service: whether it could serve if it is not ejected. */
export type OutlierPool = ReadonlyMap<string, boolean>;

export type OutlierInput =
  /** So many failures in a row, as of now; 0: it has served since. */
  | { readonly kind: 'failures'; readonly server: string; readonly failures: number; readonly reason: string }
  /** The peer has ejected it, as the `ejections`-th time in a row; and lets it back. */
  | {
      readonly kind: 'ejected-by-peer';
      readonly server: string;
      readonly untilMs: number;
      readonly reason: string;
      readonly ejections: number;
    }
  | { readonly kind: 'returned-by-peer'; readonly server: string }
  /** Time has gone on, or the pool has changed. */
  | { readonly kind: 'tick' };

export type OutlierEffect =
  | {
      readonly kind: 'eject';
      readonly server: string;
      readonly reason: string;
      readonly failures: number;
      readonly durationMs: number;
      /** Which in a row it is, from 1. */
      readonly ejections: number;
    }
  /** The peer has ejected it, and it is out here as well. */
  | { readonly kind: 'follow'; readonly server: string; readonly reason: string; readonly durationMs: number }
  /** Back in use: its time is over, or the others are out, or the peer has let it back. */
  | { readonly kind: 'return'; readonly server: string; readonly cause: 'time' | 'panic' | 'peer' }
  /** It would have been ejected, but too many are out. */
  | { readonly kind: 'hold'; readonly server: string; readonly reason: string; readonly failures: number };

export type OutlierStep = { readonly state: OutlierState; readonly effects: readonly OutlierEffect[] };

const unknown: OutlierStanding = {
  failures: 0,
  reason: '',
  ejection: undefined,
  ejections: 0,
  endedAtMs: 0,
  isHeld: false,
};

/** When the next `tick` is due; undefined: no server is out. */
export function nextOutlierDeadlineMs(state: OutlierState): number | undefined {
  const deadlines = [...state.values()].flatMap(({ ejection }) => ejection?.untilMs ?? []);
  return deadlines.length === 0 ? undefined : Math.min(...deadlines);
}

export function stepOutlier(
  config: OutlierConfig,
  state: OutlierState,
  input: OutlierInput,
  pool: OutlierPool,
  nowMs: number,
): OutlierStep {
  const draft = new Draft(config, state, pool, nowMs);
  draft.learn(input);
  draft.returnDue();
  draft.returnForPanic();
  draft.ejectDue();
  return { state: draft.servers, effects: draft.effects };
}

/** A state while it is being changed. */
class Draft {
  readonly servers: Map<string, OutlierStanding>;
  readonly effects: OutlierEffect[] = [];
  readonly #config: OutlierConfig;
  readonly #pool: OutlierPool;
  readonly #nowMs: number;

  constructor(config: OutlierConfig, state: OutlierState, pool: OutlierPool, nowMs: number) {
    this.#config = config;
    this.#pool = pool;
    this.#nowMs = nowMs;
    this.servers = new Map([...state].filter(([server]) => pool.has(server)));
  }

  learn(input: OutlierInput): void {
    switch (input.kind) {
      case 'failures':
        return this.#note(input.server, input.failures, input.reason);
      case 'ejected-by-peer':
        return this.#follow(input);
      case 'returned-by-peer':
        if (this.servers.get(input.server)?.ejection !== undefined) this.#return(input.server, 'peer');
        return;
      case 'tick':
        return;
    }
  }

  /** What fails while the server is out began before, and tells nothing new. */
  #note(server: string, failures: number, reason: string): void {
    const standing = this.servers.get(server) ?? unknown;
    if (!this.#pool.has(server) || standing.ejection !== undefined) return;
    const isHeld = standing.isHeld && failures > 0;
    this.servers.set(server, { ...standing, failures, reason, isHeld });
  }

  returnDue(): void {
    for (const [server, { ejection }] of this.servers) {
      if (ejection !== undefined && ejection.untilMs <= this.#nowMs) this.#return(server, 'time');
    }
  }

  /** Others have gone down meanwhile: who would be back first comes back now. */
  returnForPanic(): void {
    for (;;) {
      if (!this.#isTooFew()) return;
      const [first] = [...this.servers]
        .filter(([server, { ejection }]) => ejection !== undefined && this.#pool.get(server) === true)
        .sort(([, a], [, b]) => (a.ejection?.untilMs ?? 0) - (b.ejection?.untilMs ?? 0));
      if (first === undefined) return;
      this.#return(first[0], 'panic');
    }
  }

  ejectDue(): void {
    for (const [server, standing] of this.servers) {
      const { failures, ejection, isHeld, reason } = standing;
      if (ejection !== undefined || failures < this.#config.consecutiveFailures) continue;
      if (this.#pool.get(server) !== true) continue;
      if (!this.#isTooFew(server)) {
        this.#eject(server, standing);
      } else if (!isHeld) {
        this.servers.set(server, { ...standing, isHeld: true });
        this.effects.push({ kind: 'hold', server, reason, failures });
      }
    }
  }

  #eject(server: string, standing: OutlierStanding): void {
    const { ejectionTimeMs, ejectionTimeMaxMs } = this.#config;
    const { failures, reason } = standing;
    const forgiven = Math.floor((this.#nowMs - standing.endedAtMs) / ejectionTimeMs);
    const ejections = Math.max(0, standing.ejections - forgiven) + 1;
    const durationMs = Math.min(ejections * ejectionTimeMs, ejectionTimeMaxMs);
    const ejection = { untilMs: this.#nowMs + durationMs, reason };
    this.servers.set(server, { ...standing, ejection, ejections, isHeld: false });
    this.effects.push({ kind: 'eject', server, reason, failures, durationMs, ejections });
  }

  #follow({ server, untilMs, reason, ejections }: OutlierInput & { kind: 'ejected-by-peer' }): void {
    if (!this.#pool.has(server)) return;
    const known = this.servers.get(server) ?? unknown;
    this.servers.set(server, { ...known, ejection: { untilMs, reason }, ejections, isHeld: false });
    if (known.ejection !== undefined) return;
    this.effects.push({ kind: 'follow', server, reason, durationMs: untilMs - this.#nowMs });
  }

  #return(server: string, cause: 'time' | 'panic' | 'peer'): void {
    const { ejections } = this.servers.get(server) ?? unknown;
    this.servers.set(server, { ...unknown, ejections, endedAtMs: this.#nowMs });
    this.effects.push({ kind: 'return', server, cause });
  }

  /** Whether too few servers are left now, or would be without that one. */
  #isTooFew(without?: string): boolean {
    const left = [...this.#pool].filter(
      ([server, isAvailable]) => isAvailable && server !== without && this.servers.get(server)?.ejection === undefined,
    ).length;
    return left === 0 || this.#pool.size - left > this.#config.panicShare * this.#pool.size;
  }
}
