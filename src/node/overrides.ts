/**
 * What operators set of servers at run time, on either node: administrative states and weights. The replicated table is
 * the truth; the pools have what follows from it for the servers that there are.
 */
import type { Result } from '../base/index.ts';
import { setAdmin, setWeight } from '../proxy/index.ts';
import type { PoolUpdate, ServerPool } from '../proxy/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { Clock } from '../runtime/index.ts';
import type { Change, ReplicaTable } from '../sync/index.ts';
import { keyOf, splitKey } from './replicated-state.ts';
import type { Override } from './replicated-state.ts';
import type { ServerPools } from './server-pools.ts';
import type { TellOverride } from './tell-override.ts';

export type ServerAction =
  /** `overMs`: in what time its connections are ended; undefined: as the configuration says. */
  | { readonly action: 'drain' | 'ready' | 'maint'; readonly overMs?: number | undefined }
  | { readonly action: 'weight'; readonly weight: number | undefined };

export type OverridesPorts = {
  readonly clock: Clock;
  readonly tell: TellOverride;
  readonly table: ReplicaTable<Override>;
  readonly pools: ServerPools;
  /** The administrative state of servers may have changed. */
  readonly onApplied: () => void;
};

export class Overrides {
  readonly #ports: OverridesPorts;

  constructor(ports: OverridesPorts) {
    this.#ports = ports;
  }

  /** Throws OperatorError for a service or server that does not exist, and when the table is full. */
  set(service: string, server: string, change: ServerAction): void {
    const { clock, tell, table, pools } = this.#ports;
    pools.require(service, server);
    const key = keyOf(service, server);
    const nowMs = clock.nowMs();
    const override = merge(table.get(key, nowMs), change);
    if (override === undefined) table.delete(key, nowMs);
    else if (!table.set(key, override, nowMs)) {
      throw new OperatorError('TOO_MANY_OVERRIDES', 'there are too many overrides', 'set servers back to ready');
    }
    this.#apply(key, override);
    tell(`${service}: ${server} ${describe(change)}`, { service, server, ...change });
  }

  /** The peer's operator set something. */
  onMerged({ key, value }: Change<Override>): void {
    const [service, server] = splitKey(key);
    this.#apply(key, value);
    this.#ports.tell(`${service}: ${server} set on the peer`, { service, server, ...value });
  }

  /** These and no others from now on, by service/server. */
  restore(overrides: ReadonlyMap<string, Override>): void {
    const { clock, table } = this.#ports;
    const nowMs = clock.nowMs();
    for (const [key] of [...table.entries(nowMs)]) {
      if (overrides.has(key)) continue;
      table.delete(key, nowMs);
      this.#apply(key, undefined);
    }
    for (const [key, override] of overrides) {
      table.set(key, override, nowMs);
      this.#apply(key, override);
    }
  }

  /** Brings all that is set to the pools. */
  applyAll(): void {
    const { clock, table } = this.#ports;
    for (const [key, override] of table.entries(clock.nowMs())) this.#apply(key, override);
  }

  /** A pool that is being made, with what is set of its servers. */
  appliedTo(service: string, pool: ServerPool): ServerPool {
    const { clock, table } = this.#ports;
    let applied = pool;
    for (const server of pool.keys()) {
      const override = table.get(keyOf(service, server), clock.nowMs());
      applied = updated(applied, setAdmin(applied, server, override?.admin ?? 'ready', override?.drainMs));
      applied = updated(applied, setWeight(applied, server, override?.weight));
    }
    return applied;
  }

  /** The server is no more. */
  forget(service: string, server: string): void {
    this.#ports.table.delete(keyOf(service, server), this.#ports.clock.nowMs());
  }

  /** Undefined: back to what is configured. Overrides of servers that do not exist (any more) wait for them. */
  #apply(key: string, override: Override | undefined): void {
    const { pools, onApplied } = this.#ports;
    const [service, server] = splitKey(key);
    const admin = setAdmin(pools.of(service), server, override?.admin ?? 'ready', override?.drainMs);
    if (!admin.ok) return;
    pools.store(service, admin.value);
    // Of the pool as it is by now: a server that was ejected may have come back because this one is gone.
    const weight = setWeight(pools.of(service), server, override?.weight);
    if (weight.ok) pools.store(service, weight.value);
    onApplied();
  }
}

function updated(pool: ServerPool, update: Result<PoolUpdate, string>): ServerPool {
  return update.ok ? update.value.pool : pool;
}

/** Undefined when all is as configured again. */
function merge(known: Override | undefined, change: ServerAction): Override | undefined {
  const admin = change.action === 'weight' ? known?.admin : change.action;
  const weight = change.action === 'weight' ? change.weight : known?.weight;
  const drainMs = change.action === 'weight' ? known?.drainMs : change.overMs;
  const isReady = admin === undefined || admin === 'ready';
  const override = {
    ...(isReady ? {} : { admin }),
    ...(isReady || drainMs === undefined ? {} : { drainMs }),
    ...(weight === undefined ? {} : { weight }),
  };
  return Object.keys(override).length === 0 ? undefined : override;
}

function describe(change: ServerAction): string {
  if (change.action !== 'weight') {
    return `set to ${change.action}${change.overMs === undefined ? '' : ` over ${change.overMs / 1_000} s`}`;
  }
  return change.weight === undefined ? 'back to its configured weight' : `set to weight ${change.weight}`;
}
