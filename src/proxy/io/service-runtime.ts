/** One service inside a worker: its servers, its clients, and its memory of sources. */
import { Admission, StickTable, eligibility, endCauses, isHashed, openDoor } from '../index.ts';
import { ServerRuntime } from './server-runtime.ts';
import { ServersInUse } from './servers-in-use.ts';
import type {
  EndCause,
  FrontDoor,
  Phase,
  RefusalReason,
  ServerFailures,
  ServiceCounters,
  WorkerServer,
  WorkerService,
} from '../index.ts';
import type { Clock, Random } from '../../runtime/index.ts';
import type { Counting } from './server-runtime.ts';
import type { Slot } from './shared-counts.ts';

export type ServiceRuntimeDependencies = {
  readonly clock: Clock;
  readonly random: Random;
  /** What is counted there; undefined: a slot of its own. */
  readonly slotAt: (index: number | undefined) => Slot;
};

/** Who takes a place at a server: a connection. */
type Occupant = { readonly phase: Phase; server: ServerRuntime | undefined };

type OwnCounters = Omit<
  ServiceCounters,
  'service' | 'connectionsCurrent' | 'unsentBytes' | 'refused' | 'ended' | 'queued' | 'servers'
>;

export class ServiceRuntime {
  spec: WorkerService;
  /** Those of its servers that get new connections. */
  readonly inUse: ServersInUse;
  configured = true;
  connections = 0;
  sticks: StickTable | undefined;
  /** The clients in the queue, of all workers, and those of them that wait for any server. */
  queueSlot: Slot;
  /** Clients of this worker that wait for any server. */
  queued = 0;
  /** Undefined where every client is admitted. */
  admission: Admission | undefined;
  readonly refused: Counting<ServiceCounters['refused']> = {
    ...{ 'no-server': 0, 'connect-failed': 0, 'no-descriptor': 0 },
    ...{ 'queue-full': 0, 'queue-timeout': 0 },
  };
  readonly ended = Object.fromEntries(endCauses.map((cause) => [cause, 0])) as Record<EndCause, number>;
  readonly counters: Counting<OwnCounters> = {
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
  #admissionKey = '';

  constructor(spec: WorkerService, dependencies: ServiceRuntimeDependencies) {
    this.#dependencies = dependencies;
    this.spec = spec;
    this.inUse = new ServersInUse(spec, dependencies);
    this.queueSlot = dependencies.slotAt(spec.queue?.slot);
    this.#clients = dependencies.slotAt(spec.frontDoor?.slot);
    this.update(spec);
    this.inUse.startAnywhere();
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
    const before = new Map(Array.from(this.#servers.values(), (server) => [server, server.standing]));
    for (const server of this.#servers.values()) server.configured = false;
    for (const server of spec.servers) this.#updateServer(server);
    this.#forgetRemoved();
    const fraction = (): number => this.#dependencies.random.next();
    for (const server of this.#servers.values()) server.setPace(before.get(server), nowMs, fraction);
    this.inUse.update(spec, [...this.#servers.values()], nowMs);
    return [...before].flatMap(([server, { health }]) =>
      health === 'up' && server.spec.health === 'down' ? [server] : [],
    );
  }

  /**
   * Takes a place at the server for the connection, which has none yet. False when it is full, or when others have been
   * waiting for longer: who comes out of the queue goes before who has just come.
   */
  occupy(connection: Occupant, server: ServerRuntime): boolean {
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
    if (isHashed(this.spec.balance)) return this.inUse.isEligible(server);
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
      queued: servers.reduce((sum, { queued }) => sum + queued, this.queued),
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
    if (known === undefined)
      this.#servers.set(spec.name, new ServerRuntime(spec, this.#dependencies.slotAt(spec.slot)));
    else known.update(spec);
  }

  #forgetRemoved(): void {
    for (const [name, server] of this.#servers) {
      if (!server.configured && server.ownConnections === 0) this.#servers.delete(name);
    }
  }
}
