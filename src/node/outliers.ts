/**
 * Ejects servers at which the workers' connections fail. What is known of ejections is here and in the pools, in the
 * main process alone: workers report failures in a row, and are told who is out. The peer is told as well, and tells: a
 * node that takes over does not have to find out once more.
 */
import type { OutlierConfig } from '../config/index.ts';
import { eligibility, nextOutlierDeadlineMs, serving, setEjected, stepOutlier } from '../proxy/index.ts';
import type {
  OutlierEffect,
  OutlierInput,
  OutlierPool,
  OutlierState,
  PoolUpdate,
  ServerFailures,
  ServerPool,
} from '../proxy/index.ts';
import type { Clock, Logger, Timer } from '../runtime/index.ts';
import type { Change, ReplicaTable } from '../sync/index.ts';
import type { EventLog } from './events.ts';
import { keyOf, splitKey } from './replicated-state.ts';
import type { EjectedServer } from './replicated-state.ts';
import type { EjectionStatus } from './status-document.ts';

export type OutliersPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventLog;
  readonly table: ReplicaTable<EjectedServer>;
  /** Undefined: servers of this service are not ejected (any more). */
  readonly config: (service: string) => OutlierConfig | undefined;
  readonly pool: (service: string) => ServerPool;
  readonly store: (service: string, update: PoolUpdate) => void;
};

const logMessages = {
  eject: 'a server is ejected',
  follow: 'a server is ejected on the peer',
  return: 'a server is no longer ejected',
  hold: 'a server is not ejected: too few others are left',
} as const;

export class Outliers {
  readonly #ports: OutliersPorts;
  readonly #states = new Map<string, OutlierState>();
  /** By service and server, and by worker. */
  readonly #failures = new Map<string, Map<number, number>>();
  readonly #totals = new Map<string, number>();
  /** Ejected by this node, and so let back by it alone. */
  readonly #own = new Set<string>();
  #timer: Timer | undefined;

  constructor(ports: OutliersPorts) {
    this.#ports = ports;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  onFailures(worker: number, reports: readonly ServerFailures[]): void {
    for (const { service, server, failures, reason } of reports) {
      const key = keyOf(service, server);
      const ofWorkers = this.#failures.get(key) ?? new Map<number, number>();
      this.#failures.set(key, ofWorkers.set(worker, failures));
      const sum = [...ofWorkers.values()].reduce((total, count) => total + count, 0);
      this.#step(service, { kind: 'failures', server, failures: sum, reason });
    }
  }

  /** The peer has ejected a server, or let it back. */
  onMerged({ key, value }: Change<EjectedServer>): void {
    const [service, server] = splitKey(key);
    const { clock, table } = this.#ports;
    const nowMs = clock.nowMs();
    this.#own.delete(key);
    if (value === undefined) return this.#step(service, { kind: 'returned-by-peer', server });
    const { reason, inARow: ejections } = value;
    const untilMs = nowMs + (table.lifeMs(key, nowMs) ?? 0);
    if (untilMs === Infinity) return;
    this.#step(service, { kind: 'ejected-by-peer', server, untilMs, reason, ejections });
  }

  /** It has counted nothing yet. */
  onWorkerStarted(worker: number): void {
    for (const ofWorkers of this.#failures.values()) ofWorkers.delete(worker);
  }

  /** With fewer servers left, those that are out may be better than none. To be called for new settings as well. */
  onPoolChanged(service: string): void {
    if (this.#states.has(service)) this.#step(service, { kind: 'tick' });
    this.#takeBack(service);
  }

  /** Ejections of a server since the node started. */
  ejectionsTotal(service: string, server: string): number {
    return this.#totals.get(keyOf(service, server)) ?? 0;
  }

  /** Undefined while the server is not ejected. */
  status(service: string, server: string): EjectionStatus | undefined {
    const standing = this.#states.get(service)?.get(server);
    if (standing?.ejection === undefined) return undefined;
    const { untilMs, reason } = standing.ejection;
    const remainingMs = Math.max(0, untilMs - this.#ports.clock.nowMs());
    return { reason, remainingMs, inARow: standing.ejections };
  }

  #step(service: string, input: OutlierInput): void {
    const config = this.#ports.config(service);
    if (config === undefined) {
      this.#forget(service);
      return;
    }
    const known = this.#states.get(service) ?? new Map();
    const pool = outlierPool(this.#ports.pool(service));
    const { state, effects } = stepOutlier(config, known, input, pool, this.#ports.clock.nowMs());
    this.#states.set(service, state);
    for (const effect of effects) this.#perform(service, effect);
    this.#schedule();
  }

  /** It is not watched any more: who is out comes back. */
  #forget(service: string): void {
    for (const server of this.#states.get(service)?.keys() ?? []) this.#letBack(keyOf(service, server));
    this.#states.delete(service);
    this.#takeBack(service);
  }

  /** Servers of a pool that was put back may be out by an ejection that is not known here any more. */
  #takeBack(service: string): void {
    const { pool, store } = this.#ports;
    for (const { name, isEjected } of pool(service).values()) {
      if (!isEjected || this.#states.get(service)?.get(name)?.ejection !== undefined) continue;
      const update = setEjected(pool(service), name, false);
      if (update.ok) store(service, update.value);
    }
  }

  #perform(service: string, effect: OutlierEffect): void {
    const { server } = effect;
    if (effect.kind !== 'hold') {
      // The workers forget what they have counted, too, when the server is back.
      this.#failures.delete(keyOf(service, server));
      const update = setEjected(this.#ports.pool(service), server, effect.kind !== 'return');
      if (update.ok) this.#ports.store(service, update.value);
    }
    const key = keyOf(service, server);
    if (effect.kind === 'eject') this.#totals.set(key, (this.#totals.get(key) ?? 0) + 1);
    this.#tellPeer(key, effect);
    this.#ports.logger[effect.kind === 'return' ? 'info' : 'warn']({ service, ...effect }, logMessages[effect.kind]);
    this.#ports.events.add('server', `${service}: ${describe(effect)}`, { service, ...effect });
  }

  #tellPeer(key: string, effect: OutlierEffect): void {
    const { table, clock } = this.#ports;
    if (effect.kind === 'eject') {
      const { reason, ejections: inARow, durationMs } = effect;
      this.#own.add(key);
      table.set(key, { reason, inARow }, clock.nowMs(), durationMs);
    } else if (effect.kind === 'return') {
      this.#letBack(key);
    }
  }

  #letBack(key: string): void {
    const { table, clock } = this.#ports;
    if (this.#own.delete(key)) table.delete(key, clock.nowMs());
  }

  #schedule(): void {
    const { clock } = this.#ports;
    this.#timer?.cancel();
    const deadlines = [...this.#states.values()].flatMap((state) => nextOutlierDeadlineMs(state) ?? []);
    if (deadlines.length === 0) return;
    this.#timer = clock.after(Math.max(0, Math.min(...deadlines) - clock.nowMs()), () => this.#tick());
  }

  #tick(): void {
    for (const service of this.#states.keys()) this.#step(service, { kind: 'tick' });
  }
}

/** Which servers would get new connections if they were not ejected. */
function outlierPool(pool: ServerPool): OutlierPool {
  return new Map(
    [...pool.values()].map((server) => [server.name, eligibility(serving({ ...server, isEjected: false })) === 'all']),
  );
}

const returnCauses = { time: '', panic: ': too few others are left', peer: ' on the peer' } as const;

function describe(effect: OutlierEffect): string {
  switch (effect.kind) {
    case 'eject': {
      const { server, failures, reason, durationMs } = effect;
      return `${server} ejected for ${durationMs / 1_000} s (${failures} failures in a row, last: ${reason})`;
    }
    case 'follow':
      return `${effect.server} is ejected on the peer, for ${effect.durationMs / 1_000} s more (${effect.reason})`;
    case 'return':
      return `${effect.server} is no longer ejected${returnCauses[effect.cause]}`;
    case 'hold': {
      const { server, failures, reason } = effect;
      return `${server} not ejected, too few others are left (${failures} failures in a row, last: ${reason})`;
    }
  }
}
