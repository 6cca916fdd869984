/**
 * Arbitrates stickiness for all workers and both nodes: the replicated table is the truth, the workers hold copies of
 * it. A source goes to the server it was given first, unless a worker says that exactly this server is of no use.
 */
import { ShardedMap } from '../base/index.ts';
import type { Clock } from '../runtime/index.ts';
import { stickSourceOf } from '../proxy/index.ts';
import type { StickAssignment, StickClaim, StickEntry, StickPrefix, WorkerCommand } from '../proxy/index.ts';
import type { Change, ReplicaTable } from '../sync/index.ts';
import { keyOf, splitKey } from './replicated-state.ts';

export type StickinessPorts = {
  readonly clock: Clock;
  readonly table: ReplicaTable<string>;
  /** Undefined: the service has no stickiness (any more). */
  readonly limits: (service: string) => StickLimits | undefined;
  readonly broadcast: (command: WorkerCommand) => void;
  readonly send: (worker: number, command: WorkerCommand) => void;
};

export type StickLimits = { readonly ttlMs: number; readonly entriesMax: number; readonly prefix: StickPrefix };

/** A client that is remembered. */
export type StickStatus = {
  readonly service: string;
  readonly source: string;
  readonly server: string;
  /** Unless it comes again. */
  readonly expiresInMs: number;
};

/** So many entries go in one message; a message of megabytes would hold up both processes. */
const batchMax = 1_000;

export class Stickiness {
  readonly #ports: StickinessPorts;
  readonly #merged = new Map<string, string | undefined>();
  /** The keys of each service in the order of their changes; those that have expired may still be among them. */
  readonly #order = new Map<string, { readonly entriesMax: number; readonly keys: ShardedMap<string> }>();
  /** Keys that an operator has cleared and that are still to be deleted. */
  readonly #clearing = new Set<string>();

  constructor(ports: StickinessPorts) {
    this.#ports = ports;
  }

  /** Live entries of each service. */
  counts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const [key] of this.#ports.table.entries(this.#ports.clock.nowMs())) {
      const [service] = splitKey(key);
      counts.set(service, (counts.get(service) ?? 0) + 1);
    }
    return counts;
  }

  claim(claims: readonly StickClaim[]): readonly StickAssignment[] {
    return claims.map(({ requestId, service, source, server: wanted, replaces }) => {
      const known = this.#get(service, source);
      const server = known === undefined || known === replaces ? wanted : known;
      this.#set(service, source, server);
      return { requestId, service, source, server };
    });
  }

  /** Entries that are in use live on. One that was given to another server meanwhile is not taken back. */
  touch(entries: readonly { service: string; source: string; server: string }[]): void {
    for (const { service, source, server } of entries) {
      const known = this.#get(service, source);
      if (known === undefined || known === server) this.#set(service, source, server);
    }
  }

  /** The peer changed an entry: the workers hear of all such changes of this turn together. */
  onMerged({ key, value }: Change<string>): void {
    if (this.#merged.size === 0) this.#ports.clock.afterPoll(() => this.#tellMerged());
    this.#merged.set(key, value);
    const [service] = splitKey(key);
    if (value === undefined) this.#order.get(service)?.keys.delete(key);
    else this.#note(service, key);
  }

  /** A source goes to this server, until it has not come for the rest of the entry's life. */
  restore(key: string, server: string, expiresAtMs: number): void {
    const { clock, table } = this.#ports;
    const nowMs = clock.nowMs();
    if (expiresAtMs <= nowMs) return;
    this.#clearing.delete(key);
    const previous = table.get(key, nowMs);
    table.set(key, server, nowMs, expiresAtMs - nowMs);
    this.onMerged({ key, value: server, previous });
  }

  /** Those of one service or of all, of one source (or the network that it counts for) or of all. */
  *list(wanted: {
    readonly service?: string | undefined;
    readonly source?: string | undefined;
  }): Generator<StickStatus> {
    const { table, clock } = this.#ports;
    const nowMs = clock.nowMs();
    for (const [key, server] of table.entries(nowMs)) {
      const [service, source] = splitKey(key);
      if (wanted.service !== undefined && service !== wanted.service) continue;
      if (wanted.source !== undefined && source !== this.#sourceOf(service, wanted.source)) continue;
      if (this.#clearing.has(key) || this.#ports.limits(service) === undefined) continue;
      yield { service, source, server, expiresInMs: table.lifeMs(key, nowMs) ?? 0 };
    }
  }

  /**
   * Forgets one source of a service (or the network that it counts for), or all; on both nodes and in their workers.
   * Answers how many there were.
   */
  clear(service: string, source: string | undefined): number {
    if (source !== undefined) return this.#clearOne(service, this.#sourceOf(service, source) ?? source);
    this.#ports.broadcast({ kind: 'stick-cleared', service, sources: 'all' });
    const cleared = [...this.list({ service })].length;
    const isUnderWay = this.#clearing.size > 0;
    for (const key of this.#order.get(service)?.keys.values() ?? []) this.#clearing.add(key);
    this.#order.delete(service);
    if (!isUnderWay) this.#deleteCleared();
    return cleared;
  }

  #clearOne(service: string, source: string): number {
    this.#ports.broadcast({ kind: 'stick-cleared', service, sources: [source] });
    const key = keyOf(service, source);
    this.#order.get(service)?.keys.delete(key);
    return this.#ports.table.delete(key, this.#ports.clock.nowMs()) ? 1 : 0;
  }

  /** A batch per turn; what is given to a server meanwhile stays. */
  #deleteCleared(): void {
    const { table, clock } = this.#ports;
    let count = 0;
    for (const key of this.#clearing) {
      if (count++ === batchMax) break;
      this.#clearing.delete(key);
      table.delete(key, clock.nowMs());
    }
    if (this.#clearing.size > 0) clock.afterPoll(() => this.#deleteCleared());
  }

  #sourceOf(service: string, text: string): string | undefined {
    const limits = this.#ports.limits(service);
    return limits && stickSourceOf(text, limits.prefix);
  }

  /** A new worker knows nothing: it is told everything, a batch per turn. */
  teach(worker: number): void {
    const entries = this.#ports.table.entries(this.#ports.clock.nowMs());
    const next = (): void => {
      const batch = new Map<string, StickEntry[]>();
      let isDone = false;
      for (let count = 0; count < batchMax; count++) {
        const entry = entries.next();
        if (entry.done === true) {
          isDone = true;
          break;
        }
        addTo(batch, ...entry.value);
      }
      for (const [service, list] of batch) this.#ports.send(worker, { kind: 'stick-learned', service, entries: list });
      if (!isDone) this.#ports.clock.afterPoll(next);
    };
    next();
  }

  /** Forgets the sources of services that have no stickiness (any more), a batch per turn. */
  forgetStrangers(): void {
    this.#forget((service) => this.#ports.limits(service) === undefined);
  }

  #forget(isUnwanted: (service: string) => boolean): void {
    const { table, clock } = this.#ports;
    const entries = table.entries(clock.nowMs());
    const next = (): void => {
      for (let count = 0; count < batchMax; count++) {
        const entry = entries.next();
        if (entry.done === true) return;
        const [key] = entry.value;
        const [service] = splitKey(key);
        if (!isUnwanted(service)) continue;
        this.#order.delete(service);
        table.delete(key, clock.nowMs());
      }
      clock.afterPoll(next);
    };
    next();
  }

  #set(service: string, source: string, server: string): void {
    const limits = this.#ports.limits(service);
    if (limits === undefined) return;
    const key = keyOf(service, source);
    this.#clearing.delete(key);
    this.#ports.table.set(key, server, this.#ports.clock.nowMs(), limits.ttlMs);
    this.#note(service, key);
  }

  #get(service: string, source: string): string | undefined {
    const key = keyOf(service, source);
    return this.#clearing.has(key) ? undefined : this.#ports.table.get(key, this.#ports.clock.nowMs());
  }

  /** Puts the key last; where there are too many, one of those that have not been changed for long goes. */
  #note(service: string, key: string): void {
    const { entriesMax = Infinity } = this.#ports.limits(service) ?? {};
    const known = this.#order.get(service);
    const order = known?.entriesMax === entriesMax ? known : this.#orderOf(service, entriesMax, known?.keys);
    const gone = order.keys.setLast(key, key);
    if (gone !== undefined) this.#ports.table.forget(gone);
  }

  /** Anew, for a service that may have another number of entries than before. */
  #orderOf(service: string, entriesMax: number, before: ShardedMap<string> | undefined) {
    const order = { entriesMax, keys: new ShardedMap<string>(entriesMax) };
    this.#order.set(service, order);
    for (const key of before?.values() ?? []) {
      const gone = order.keys.setLast(key, key);
      if (gone !== undefined) this.#ports.table.forget(gone);
    }
    return order;
  }

  #tellMerged(): void {
    const learned = new Map<string, StickEntry[]>();
    const cleared = new Map<string, string[]>();
    for (const [key, server] of this.#merged) {
      const [service, source] = splitKey(key);
      if (server !== undefined) addTo(learned, key, server);
      else if (cleared.get(service)?.push(source) === undefined) cleared.set(service, [source]);
    }
    this.#merged.clear();
    for (const [service, entries] of learned) this.#ports.broadcast({ kind: 'stick-learned', service, entries });
    for (const [service, sources] of cleared) this.#ports.broadcast({ kind: 'stick-cleared', service, sources });
  }
}

function addTo(batches: Map<string, StickEntry[]>, key: string, server: string): void {
  const [service, source] = splitKey(key);
  const entry = { source, server, ageMs: 0 };
  const batch = batches.get(service);
  if (batch === undefined) batches.set(service, [entry]);
  else batch.push(entry);
}
