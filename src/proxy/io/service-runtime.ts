/** One service inside a worker: its servers with their live counts, its memory of balancing and of sources. */
import {
  Admission,
  StickTable,
  buildMaglevTable,
  eligibility,
  endCauses,
  isHashed,
  openDoor,
  pick,
  slowStartWeight,
  startDrainPace,
} from '../index.ts';
import type {
  Candidate,
  DrainPace,
  EndCause,
  FrontDoor,
  Latency,
  PoolView,
  RefusalReason,
  ServerCounters,
  ServerFailures,
  ServiceCounters,
  WorkerServer,
  WorkerService,
} from '../index.ts';
import { FailureRun } from './failure-run.ts';
import type { Clock, Random } from '../../runtime/index.ts';
import type { Connection } from './connection.ts';
import type { Slot } from './shared-counts.ts';

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

const picksAheadMax = 1000;

/** Who wants a server: a connection. */
export type Seeker = Pick<Connection, 'source' | 'excluded'>;

export type ServiceRuntimeDependencies = {
  readonly clock: Clock;
  readonly random: Random;
  /** What is counted there; undefined: a slot of its own. */
  readonly slotAt: (index: number | undefined) => Slot;
};

/** A server and the connections to it; it stays known for as long as it has any. */
export class ServerRuntime implements Candidate {
  spec: WorkerServer;
  /** Its connections, of all workers, and the clients that wait for it alone. */
  readonly slot: Slot;
  /** Those of this worker, in the order in which they came. */
  readonly waiting = new Set<Connection>();
  readonly counters: Mutable<Omit<ServerCounters, 'server' | 'connectionsCurrent' | 'queued'>> = {
    connectionsTotal: 0,
    bytesIn: 0,
    bytesOut: 0,
    connectFailures: 0,
    connectTimeouts: 0,
    drained: 0,
    shutdowns: 0,
  };
  readonly failures = new FailureRun();
  /** Of this worker alone. */
  ownConnections = 0;
  configured = true;
  /** The effective weight, which rises while it is on its slow start. */
  weight: number;
  /** When it came into use, as long as it is on its slow start. */
  risingSinceMs: number | undefined;
  latency: Latency | undefined;
  turn = 0;
  /** How its connections are being ended; undefined: they go on. */
  pace: DrainPace | undefined;

  constructor(spec: WorkerServer, slot: Slot) {
    this.spec = spec;
    this.slot = slot;
    this.weight = spec.weight;
  }

  get name(): string {
    return this.spec.name;
  }

  get connections(): number {
    return this.slot.held;
  }

  get isFull(): boolean {
    const { maxconn } = this.spec;
    return maxconn !== undefined && this.slot.held >= maxconn;
  }

  /** It gives up its connections: in drain or maintenance, or removed. */
  get isLeaving(): boolean {
    return !this.configured || this.spec.admin !== 'ready';
  }

  snapshot(): ServerCounters {
    const { name, ownConnections, waiting, counters } = this;
    return { server: name, connectionsCurrent: ownConnections, queued: waiting.size, ...counters };
  }
}

type OwnCounters = Omit<
  ServiceCounters,
  'service' | 'connectionsCurrent' | 'unsentBytes' | 'refused' | 'ended' | 'queued' | 'servers'
>;

export class ServiceRuntime {
  spec: WorkerService;
  configured = true;
  connections = 0;
  sticks: StickTable | undefined;
  /** The clients in the queue, of all workers, and those of them that wait for any server. */
  queueSlot: Slot;
  /** Those of this worker that wait for any server, in the order in which they came. */
  readonly waiting = new Set<Connection>();
  /** Undefined where every client is admitted. */
  admission: Admission | undefined;
  readonly refused: Mutable<ServiceCounters['refused']> = {
    ...{ 'no-server': 0, 'connect-failed': 0, 'no-descriptor': 0 },
    ...{ 'queue-full': 0, 'queue-timeout': 0 },
  };
  readonly ended = Object.fromEntries(endCauses.map((cause) => [cause, 0])) as Record<EndCause, number>;
  readonly counters: Mutable<OwnCounters> = {
    connectionsTotal: 0,
    bytesIn: 0,
    bytesOut: 0,
    redispatches: 0,
    stickHits: 0,
    stickClaims: 0,
    stickClaimTimeouts: 0,
    queuedMax: 0,
  };
  readonly #dependencies: ServiceRuntimeDependencies;
  readonly #servers = new Map<string, ServerRuntime>();
  /** Its clients, of all workers. */
  readonly #clients: Slot;
  readonly #fraction: () => number;
  /** Servers that may get new connections, backups among them; undefined before the first configuration. */
  #eligible: ReadonlySet<ServerRuntime> | undefined;
  #view: PoolView<ServerRuntime> = { servers: [], maglevTable: () => buildMaglevTable([]) };
  /** What the table of `maglev` was made for. */
  #tableKey = '';
  #rising: readonly ServerRuntime[] = [];
  #admissionKey = '';

  constructor(spec: WorkerService, dependencies: ServiceRuntimeDependencies) {
    this.#dependencies = dependencies;
    this.#fraction = () => dependencies.random.next();
    this.spec = spec;
    this.queueSlot = dependencies.slotAt(spec.queue?.slot);
    this.#clients = dependencies.slotAt(spec.frontDoor?.slot);
    this.update(spec);
    this.#startAnywhere();
  }

  get servers(): Iterable<ServerRuntime> {
    return this.#servers.values();
  }

  get frontDoor(): FrontDoor {
    return this.spec.frontDoor ?? openDoor;
  }

  /** Clients look for servers by the address that they come from. */
  get needsSource(): boolean {
    return this.sticks !== undefined || isHashed(this.spec.balance);
  }

  countRefusal(reason: RefusalReason): void {
    this.refused[reason] = (this.refused[reason] ?? 0) + 1;
  }

  /** Takes a place for one more client; false where the service's `maxconn`, of all workers together, leaves none. */
  acquire(): boolean {
    const { connectionsMax } = this.frontDoor;
    if (connectionsMax === undefined) this.#clients.add();
    else if (this.#clients.acquire(connectionsMax) <= 0) return false;
    this.connections++;
    return true;
  }

  /** Gives back what `acquire` took. */
  release(): void {
    this.connections--;
    this.#clients.release();
  }

  /** Takes over a changed specification; answers the servers that have gone down. Connections go on as they are. */
  update(spec: WorkerService): readonly ServerRuntime[] {
    const nowMs = this.#dependencies.clock.nowMs();
    this.sticks = this.#stickTableFor(spec.stick, nowMs);
    this.spec = spec;
    this.configured = true;
    this.#updateAdmission();
    const before = new Map(Array.from(this.#servers.values(), (server) => [server, stateOf(server)]));
    for (const server of this.#servers.values()) server.configured = false;
    for (const server of spec.servers) this.#updateServer(server);
    this.#forgetRemoved();
    for (const server of this.#servers.values()) this.#pace(server, before.get(server), nowMs);
    this.#updateView(nowMs);
    return [...before].flatMap(([server, { health }]) =>
      health === 'up' && server.spec.health === 'down' ? [server] : [],
    );
  }

  /**
   * The next server by the service's algorithm, one that has room; hashing may answer one that is full. Undefined when
   * there is none.
   */
  pick({ source, excluded }: Seeker): ServerRuntime | undefined {
    const nowMs = this.#dependencies.clock.nowMs();
    if (this.#rising.length > 0) this.#weigh(nowMs);
    return pick(this.spec.balance, this.#view, { source, excluded, nowMs, fraction: this.#fraction });
  }

  /** Whether some server might take the connection if only it had room. */
  hasServerFor({ excluded }: Seeker): boolean {
    return this.#view.servers.some(({ name }) => !excluded.has(name));
  }

  /**
   * Takes a place at the server for the connection, which has none yet. False when it is full, or when others have been
   * waiting for longer: who comes out of the queue goes before who has just come.
   */
  occupy(connection: Connection, server: ServerRuntime): boolean {
    const { slot, spec } = server;
    if (spec.maxconn === undefined) {
      slot.add();
    } else {
      const isLate = connection.phase !== 'queued' && (slot.waiting > 0 || this.queueSlot.waiting > 0);
      if (isLate || slot.acquire(spec.maxconn) <= 0) return false;
    }
    connection.server = server;
    server.ownConnections++;
    return true;
  }

  /** The server of that name, if it may have a connection of a source that is sticky to it. */
  usableForSticky(name: string, excluded: ReadonlySet<string>): ServerRuntime | undefined {
    const server = this.#servers.get(name);
    if (server?.configured !== true || excluded.has(name)) return undefined;
    return eligibility(server.spec) === 'none' ? undefined : server;
  }

  /** Whether clients that wait for this server alone still do so for good reason. */
  isWorthWaitingFor(server: ServerRuntime): boolean {
    if (isHashed(this.spec.balance)) return this.#eligible?.has(server) === true;
    return this.usableForSticky(server.name, new Set()) === server;
  }

  snapshot(unsentBytes: number): ServiceCounters {
    const servers = Array.from(this.#servers.values(), (server) => server.snapshot());
    return {
      service: this.spec.name,
      connectionsCurrent: this.connections,
      unsentBytes,
      ...this.counters,
      refused: { ...this.refused },
      ended: { ...this.ended },
      queued: servers.reduce((sum, { queued }) => sum + queued, this.waiting.size),
      servers,
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

  /** Built anew only when it has changed: it may know thousands of prefixes. */
  #updateAdmission(): void {
    const { deny, allow, perSource } = this.frontDoor;
    const key = JSON.stringify([deny, allow, perSource]);
    if (key === this.#admissionKey) return;
    this.#admissionKey = key;
    const isOpen = deny.length === 0 && allow === undefined && perSource === undefined;
    this.admission = isOpen ? undefined : new Admission({ deny, allow, perSource }, this.admission);
  }

  #updateServer(spec: WorkerServer): void {
    const known = this.#servers.get(spec.name);
    if (known === undefined) {
      this.#servers.set(spec.name, new ServerRuntime(spec, this.#dependencies.slotAt(spec.slot)));
      return;
    }
    // What failed before the server was out says nothing about how it is now.
    if (known.spec.isEjected === true && spec.isEjected !== true) known.failures.forget();
    known.spec = spec;
    known.configured = true;
  }

  #forgetRemoved(): void {
    for (const [name, server] of this.#servers) {
      if (!server.configured && server.ownConnections === 0) this.#servers.delete(name);
    }
  }

  /** Its connections are ended from when it leaves; who is ready again keeps those that are left. */
  #pace(server: ServerRuntime, before: ServerState | undefined, nowMs: number): void {
    const { drainMs } = server.spec;
    if (!server.isLeaving) server.pace = undefined;
    else if (before !== undefined && (!before.isLeaving || before.drainMs !== drainMs))
      server.pace = drainMs === undefined ? undefined : startDrainPace(drainMs, nowMs, this.#fraction());
  }

  #updateView(nowMs: number): void {
    const eligible = [...this.#servers.values()].filter(
      (server) => server.configured && eligibility(server.spec) === 'all',
    );
    this.#startSlowly(eligible, nowMs);
    this.#eligible = new Set(eligible);
    const others = eligible.filter(({ spec }) => spec.backup !== true);
    const backups = this.spec.allBackups === true ? eligible : eligible.slice(0, 1);
    const servers = others.length > 0 ? others : backups;
    const key = servers.map(({ name, spec }) => `${name} ${spec.weight}`).join();
    // The table costs milliseconds: it is made when it is asked for, and only for another pool than before.
    const { maglevTable } = this.#view;
    let table: Uint16Array | undefined;
    const makeTable = (): Uint16Array => (table ??= buildMaglevTable(servers));
    this.#view = { servers, maglevTable: key === this.#tableKey ? maglevTable : makeTable };
    this.#tableKey = key;
  }

  /** Servers that come into use now begin with a small weight; at the start of the process all have been in use. */
  #startSlowly(eligible: readonly ServerRuntime[], nowMs: number): void {
    const { balance, slowStartMs } = this.spec;
    const before = this.#eligible;
    const isGradual = slowStartMs !== undefined && !isHashed(balance) && balance !== 'first';
    for (const server of this.#servers.values()) {
      if (!eligible.includes(server)) server.risingSinceMs = undefined;
      else if (isGradual && before?.has(server) === false) server.risingSinceMs = nowMs;
    }
    this.#rising = eligible;
    this.#weigh(nowMs);
  }

  /** Gives each server the weight that it has now. */
  #weigh(nowMs: number): void {
    const { slowStartMs = 0 } = this.spec;
    for (const server of this.#rising) {
      const sinceMs = nowMs - (server.risingSinceMs ?? -Infinity);
      const { weight } = server.spec;
      if (sinceMs >= slowStartMs) server.risingSinceMs = undefined;
      server.weight = sinceMs >= slowStartMs ? weight : slowStartWeight(weight, sinceMs, slowStartMs);
    }
    this.#rising = this.#rising.filter((server) => server.risingSinceMs !== undefined);
  }

  /** Workers that all began with the first server would give it one connection each before any other gets one. */
  #startAnywhere(): void {
    if (isHashed(this.spec.balance)) return;
    const weights = this.#view.servers.reduce((sum, server) => sum + server.weight, 0);
    const picksAhead = Math.floor(this.#dependencies.random.next() * Math.min(weights, picksAheadMax));
    for (let i = 0; i < picksAhead; i++) this.pick({ source: '', excluded: new Set() });
  }
}

type ServerState = Pick<WorkerServer, 'health' | 'drainMs'> & { readonly isLeaving: boolean };

function stateOf({ spec, isLeaving }: ServerRuntime): ServerState {
  return { health: spec.health, drainMs: spec.drainMs, isLeaving };
}
