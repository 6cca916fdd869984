/**
 * Arbitrates stickiness for all workers and both nodes: the replicated table is the truth, the workers hold copies of
 * it. A source goes to the server it was given first, unless a worker says that exactly this server is of no use.
 */
import type { Clock } from '../runtime/index.ts';
import type { StickAssignment, StickClaim, StickEntry, WorkerCommand } from '../proxy/index.ts';
import type { Change, ReplicaTable } from '../sync/index.ts';
import { keyOf, splitKey } from './replicated-state.ts';

export type StickinessPorts = {
  readonly clock: Clock;
  readonly table: ReplicaTable<string>;
  /** Undefined: the service has no stickiness (any more). */
  readonly ttlMs: (service: string) => number | undefined;
  readonly broadcast: (command: WorkerCommand) => void;
  readonly send: (worker: number, command: WorkerCommand) => void;
};

/** So many entries go in one message; a message of megabytes would hold up both processes. */
const batchMax = 1_000;

export class Stickiness {
  readonly #ports: StickinessPorts;
  readonly #merged = new Map<string, string | undefined>();

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
      const known = this.#ports.table.get(keyOf(service, source), this.#ports.clock.nowMs());
      const server = known === undefined || known === replaces ? wanted : known;
      this.#set(service, source, server);
      return { requestId, service, source, server };
    });
  }

  /** Entries that are in use live on. One that was given to another server meanwhile is not taken back. */
  touch(entries: readonly { service: string; source: string; server: string }[]): void {
    for (const { service, source, server } of entries) {
      const known = this.#ports.table.get(keyOf(service, source), this.#ports.clock.nowMs());
      if (known === undefined || known === server) this.#set(service, source, server);
    }
  }

  /** The peer changed an entry: the workers hear of all such changes of this turn together. */
  onMerged({ key, value }: Change<string>): void {
    if (this.#merged.size === 0) this.#ports.clock.afterPoll(() => this.#tellMerged());
    this.#merged.set(key, value);
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

  #set(service: string, source: string, server: string): void {
    const ttlMs = this.#ports.ttlMs(service);
    if (ttlMs === undefined) return;
    this.#ports.table.set(keyOf(service, source), server, this.#ports.clock.nowMs(), ttlMs);
  }

  #tellMerged(): void {
    const learned = new Map<string, StickEntry[]>();
    const cleared = new Map<string, string[]>();
    for (const [key, server] of this.#merged) {
      const [service, source] = splitKey(key);
      if (server !== undefined) addTo(learned, key, server);
      else cleared.set(service, [...(cleared.get(service) ?? []), source]);
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
