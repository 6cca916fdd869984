/** One service inside a worker: its servers with their live counts, its memory of balancing and of sources. */
import { StickTable, eligibility, endCauses, pick } from '../index.ts';
import type {
  BalanceState,
  Candidate,
  EndCause,
  RefusalReason,
  ServerCounters,
  ServerFailures,
  ServiceCounters,
  WorkerServer,
  WorkerService,
} from '../index.ts';
import { FailureRun } from './failure-run.ts';
import type { Random } from '../../runtime/index.ts';

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

const picksAheadMax = 1000;

/** A server and the connections to it; it stays known for as long as it has any. */
export class ServerRuntime implements Candidate {
  spec: WorkerServer;
  readonly counters: Mutable<Omit<ServerCounters, 'server' | 'connectionsCurrent'>> = {
    connectionsTotal: 0,
    bytesIn: 0,
    bytesOut: 0,
    connectFailures: 0,
    connectTimeouts: 0,
  };
  readonly failures = new FailureRun();
  connections = 0;
  configured = true;

  constructor(spec: WorkerServer) {
    this.spec = spec;
  }

  get name(): string {
    return this.spec.name;
  }

  get weight(): number {
    return this.spec.weight;
  }

  snapshot(): ServerCounters {
    return { server: this.name, connectionsCurrent: this.connections, ...this.counters };
  }
}

type OwnCounters = Omit<
  ServiceCounters,
  'service' | 'connectionsCurrent' | 'unsentBytes' | 'refused' | 'ended' | 'servers'
>;

export class ServiceRuntime {
  spec: WorkerService;
  configured = true;
  connections = 0;
  sticks: StickTable | undefined;
  readonly refused: Record<RefusalReason, number> = { 'no-server': 0, 'connect-failed': 0, 'no-descriptor': 0 };
  readonly ended = Object.fromEntries(endCauses.map((cause) => [cause, 0])) as Record<EndCause, number>;
  readonly counters: Mutable<OwnCounters> = {
    connectionsTotal: 0,
    bytesIn: 0,
    bytesOut: 0,
    redispatches: 0,
    stickHits: 0,
    stickClaims: 0,
    stickClaimTimeouts: 0,
  };
  readonly #servers = new Map<string, ServerRuntime>();
  #candidates: readonly ServerRuntime[] = [];
  #balanceState: BalanceState = new Map();

  constructor(spec: WorkerService, random: Random) {
    this.spec = spec;
    this.update(spec, 0);
    this.#startAnywhere(random);
  }

  /** Takes over a changed specification; connections that are open go on as they are. */
  update(spec: WorkerService, nowMs: number): void {
    this.sticks = this.#stickTableFor(spec.stick, nowMs);
    this.spec = spec;
    this.configured = true;
    for (const server of this.#servers.values()) server.configured = false;
    for (const server of spec.servers) this.#updateServer(server);
    this.#forgetRemoved();
    this.#candidates = [...this.#servers.values()].filter(
      (server) => server.configured && eligibility(server.spec) === 'all',
    );
  }

  /** The next server by the service's algorithm; undefined when none is eligible. */
  pick(excluded: ReadonlySet<string>): ServerRuntime | undefined {
    const { server, state } = pick(this.spec.balance, this.#candidates, this.#balanceState, excluded);
    this.#balanceState = state;
    return server;
  }

  /** The server of that name, if it may have a connection of a source that is sticky to it. */
  usableForSticky(name: string, excluded: ReadonlySet<string>): ServerRuntime | undefined {
    const server = this.#servers.get(name);
    if (server?.configured !== true || excluded.has(name)) return undefined;
    return eligibility(server.spec) === 'none' ? undefined : server;
  }

  snapshot(unsentBytes: number): ServiceCounters {
    return {
      service: this.spec.name,
      connectionsCurrent: this.connections,
      unsentBytes,
      ...this.counters,
      refused: { ...this.refused },
      ended: { ...this.ended },
      servers: Array.from(this.#servers.values(), (server) => server.snapshot()),
    };
  }

  /** Servers whose failures in a row have changed since this was last asked. */
  takeFailures(): readonly ServerFailures[] {
    if (this.spec.watchFailures !== true) return [];
    return Array.from(this.#servers.values(), ({ name, failures }) => {
      const news = failures.take();
      return news === undefined ? [] : [{ service: this.spec.name, server: name, ...news }];
    }).flat();
  }

  /** A table of other bounds is a new one with the old one's entries. */
  #stickTableFor(stick: WorkerService['stick'], nowMs: number): StickTable | undefined {
    const before = this.spec.stick;
    if (stick === undefined) return undefined;
    if (this.sticks !== undefined && stick.ttlMs === before?.ttlMs && stick.entriesMax === before.entriesMax)
      return this.sticks;
    const table = new StickTable(stick);
    for (const entry of this.sticks?.entries(nowMs) ?? []) table.learn(entry, nowMs);
    return table;
  }

  #updateServer(spec: WorkerServer): void {
    const known = this.#servers.get(spec.name);
    if (known === undefined) {
      this.#servers.set(spec.name, new ServerRuntime(spec));
      return;
    }
    // What failed before the server was out says nothing about how it is now.
    if (known.spec.isEjected === true && spec.isEjected !== true) known.failures.forget();
    known.spec = spec;
    known.configured = true;
  }

  #forgetRemoved(): void {
    for (const [name, server] of this.#servers) {
      if (!server.configured && server.connections === 0) this.#servers.delete(name);
    }
    this.#balanceState = new Map([...this.#balanceState].filter(([name]) => this.#servers.has(name)));
  }

  /** Workers that all began with the first server would give it one connection each before any other gets one. */
  #startAnywhere(random: Random): void {
    const weights = this.#candidates.reduce((sum, server) => sum + server.weight, 0);
    const picksAhead = Math.floor(random.next() * Math.min(weights, picksAheadMax));
    for (let i = 0; i < picksAhead; i++) this.pick(new Set());
  }
}
