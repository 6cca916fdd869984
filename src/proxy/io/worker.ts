/** A proxy worker: takes commands, listens, relays and reports, all in one thread, one event after the other. */
import { assert, formatIp } from '../../base/index.ts';
import { AccessLog } from './access-log.ts';
import { Connection } from './connection.ts';
import { Dialer } from './dialer.ts';
import { doorsOf } from './door.ts';
import { Poller } from './poller.ts';
import { Preface } from './preface.ts';
import { Relay } from './relay.ts';
import { ServiceListeners } from './service-listeners.ts';
import { ServiceRuntime } from './service-runtime.ts';
import { StickClaims } from './stick-claims.ts';
import { WaitingRoom } from './waiting-room.ts';
import { endDraining } from './pacer.ts';
import { ownSlot } from './shared-counts.ts';
import { closeWithReset, setVigilance } from './socket-options.ts';
import { stickSource, timedOutSide } from '../index.ts';
import { createRecordLog } from '../../runtime/index.ts';
import type { Clock, Logger, Native, Random, Service, Timer } from '../../runtime/index.ts';
import type {
  AccessLogDestination,
  EndCause,
  RefusalReason,
  WorkerCommand,
  WorkerCounters,
  WorkerReport,
  WorkerService,
} from '../index.ts';
import type { Door } from './door.ts';
import type { Newcomer } from './preface.ts';
import type { RelayOptions } from './relay.ts';
import type { ListenFailure } from './service-listeners.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { Slot } from './shared-counts.ts';
import type { StickReport } from './stick-claims.ts';
import type { WorkerPeers } from './waiting-room.ts';

export type ProxyWorkerOptions = RelayOptions & {
  /** Clients at once. Above it they wait in the kernel's queue. A connection needs two descriptors. */
  readonly connectionsMax: number;
};

/**
 * Measured on loopback: per byte, 128 KiB cost about a quarter less CPU than 64 KiB, and 256 KiB little less than that
 * for twice the memory of a slow reader. Two reads take in data and the FIN behind it in one turn.
 */
export const relayDefaults: RelayOptions = { bufferBytes: 128 * 1024, readsPerTurn: 2 };

type Dependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly report: (report: WorkerReport) => void;
  /** Undefined: this worker counts for itself. */
  readonly peers?: WorkerPeers;
};

/** `source` is what the client counts as. */
type Admittance =
  { readonly ok: true; readonly source: string | undefined } | { readonly ok: false; readonly reason: RefusalReason };

const admitted: Admittance = { ok: true, source: undefined };

const waitingSweepMs = 100;
/** Of all connections, those that may be held by clients who have not said yet which service they want. */
const shareOfArrivals = 0.25;
/** Less than a process gets to stop. */
const accessLogCloseTimeoutMs = 1_000;
const silenceSweepMs = 500;

export class ProxyWorker implements Service {
  readonly name = 'proxy-worker';
  readonly #dependencies: Dependencies;
  readonly #poller: Poller;
  readonly #relay: Relay;
  readonly #claims: StickClaims;
  readonly #waiting: WaitingRoom;
  readonly #dialer: Dialer;
  readonly #listeners: ServiceListeners;
  readonly #preface: Preface;
  readonly #services = new Map<string, ServiceRuntime>();
  #doors: ReadonlyMap<string, Door> = new Map();
  readonly #connections = new Set<Connection>();
  readonly #timers: Timer[] = [];
  #accessLog: AccessLog | undefined;
  #accessLogName = '';
  /** Of access logs that were closed. */
  #accessRecordsDropped = 0;
  #draining = false;

  constructor(options: ProxyWorkerOptions, dependencies: Dependencies) {
    const { native, clock, logger, peers } = dependencies;
    this.#dependencies = dependencies;
    const poller = new Poller({ native });
    const onClosed = (connection: Connection, cause: EndCause): void => this.#onClosed(connection, cause);
    const relay = new Relay(options, { native, clock, poller, onClosed });
    const claims = new StickClaims({
      clock,
      report: (report) => this.#reportSticks(report),
      connect: (connection, server) => this.#dialer.connect(connection, server),
    });
    const waiting = new WaitingRoom({
      ...{ native, clock, peers },
      // A client that has waited for any server may have one of its own by now.
      onAdmitted: (connection) => this.#dialer.choose(connection),
      onUnavailable: (connection) => this.#dialer.choose(connection),
      onRefused: (connection, reason) => this.#dialer.refuse(connection, reason),
    });
    this.#poller = poller;
    this.#relay = relay;
    this.#claims = claims;
    this.#waiting = waiting;
    const onShortage = (): void => this.#listeners.pauseForShortage();
    this.#dialer = new Dialer({ native, clock, poller, relay, claims, waiting, onClosed, onShortage });
    const arrivalsMax = Math.ceil(options.connectionsMax * shareOfArrivals);
    this.#preface = new Preface(
      { arrivalsMax },
      {
        native,
        clock,
        poller,
        onKnown: (service, newcomer) => this.#onKnown(service, newcomer),
        onRefused: (service, newcomer, reason) => this.#turnAway(service, newcomer, reason),
      },
    );
    this.#listeners = new ServiceListeners({
      native,
      poller,
      logger,
      mayAccept: () => this.#connections.size + this.#preface.size < options.connectionsMax,
      onClient: (door, fd, endpoint) => this.#onClient(door, fd, endpoint),
    });
  }

  start(): Promise<void> {
    const { clock } = this.#dependencies;
    this.#poller.open();
    this.#waiting.open(this.#poller);
    this.#timers.push(
      clock.every(waitingSweepMs, () => this.#sweepWaiting()),
      clock.every(silenceSweepMs, () => this.#sweepSilent()),
    );
    return Promise.resolve();
  }

  /** Resets all connections. To lose none, `drain` first. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) timer.cancel();
    this.#draining = false;
    this.#listeners.configure([]);
    this.#preface.stop();
    for (const connection of this.#connections) this.#end(connection, 'stopped');
    this.#waiting.close();
    this.#poller.close();
    if (this.#accessLog !== undefined) await this.#closeAccessLog();
    this.#dependencies.report({ kind: 'stopped' });
  }

  handle(command: WorkerCommand): void {
    switch (command.kind) {
      case 'configure':
        this.#setAccessLog(command.accessLog);
        this.#configure(command.revision, command.services);
        return;
      case 'stick-learned': {
        const sticks = this.#services.get(command.service)?.sticks;
        for (const entry of command.entries) sticks?.learn(entry, this.#dependencies.clock.nowMs());
        return;
      }
      case 'stick-assigned':
        for (const assignment of command.assignments)
          this.#claims.onAssigned(this.#services.get(assignment.service), assignment);
        return;
      case 'stick-cleared': {
        const sticks = this.#services.get(command.service)?.sticks;
        if (command.sources === 'all') sticks?.clear();
        else for (const source of command.sources) sticks?.clear(source);
        return;
      }
      case 'report-counters':
        this.#dependencies.report({ kind: 'counters', requestId: command.requestId, counters: this.#counters() });
        return;
      case 'reset-connections':
        this.#preface.stop(command.services);
        for (const connection of this.#connections) {
          if (command.services.includes(connection.service.spec.name)) this.#end(connection, 'handed-over');
        }
        return;
      case 'close-server-connections': {
        const servers = [...(this.#services.get(command.service)?.servers ?? [])];
        this.#shutDown(new Set(servers.filter(({ name }) => name === command.server)), 'server-removed');
        return;
      }
      case 'drain':
        this.#drain();
        return;
      case 'stop':
        void this.stop();
        return;
    }
  }

  #setAccessLog(destination: AccessLogDestination | undefined): void {
    const { clock } = this.#dependencies;
    const name = destination === undefined ? '' : JSON.stringify(destination);
    if (name === this.#accessLogName) return;
    this.#accessLogName = name;
    void this.#closeAccessLog();
    if (destination === undefined) return;
    this.#accessLog = new AccessLog({ log: createRecordLog('connection', destination, { clock }), clock });
  }

  /** Resolves when its last records are written, or will not be. */
  async #closeAccessLog(): Promise<void> {
    const log = this.#accessLog;
    if (log === undefined) return;
    this.#accessRecordsDropped += log.droppedRecords;
    this.#accessLog = undefined;
    const timeout = new AbortController();
    await Promise.race([log.close(), this.#dependencies.clock.sleep(accessLogCloseTimeoutMs, timeout.signal)]);
    timeout.abort();
  }

  #configure(revision: number, services: readonly WorkerService[]): void {
    const { clock, random, report } = this.#dependencies;
    const slotAt = (index: number | undefined): Slot => this.#slotAt(index);
    for (const spec of services) {
      const known = this.#services.get(spec.name);
      if (known === undefined) this.#services.set(spec.name, new ServiceRuntime(spec, { clock, random, slotAt }));
      else this.#update(known, spec);
    }
    const failures = this.#configureDoors(this.#draining ? [] : services);
    // Listeners are closed only if all others could be opened: until then their services have clients.
    if (failures.length === 0) this.#retain(new Set(services.map(({ name }) => name)));
    report({ kind: 'configured', revision, failures });
  }

  /** Services that share an address and port share its listener, and whether there is one. */
  #configureDoors(services: readonly WorkerService[]): readonly ListenFailure[] {
    const doors = doorsOf(services.flatMap(({ name }) => this.#services.get(name) ?? []));
    const wanted = new Map(doors.map((door) => [door.name, door]));
    // Of a listener that is closed now, the clients that were waiting there still find its door.
    const before = this.#doors;
    this.#doors = new Map([...before, ...wanted]);
    const moved = new Set(doors.filter((door) => hasMoved(door, before)).map(({ name }) => name));
    const failures = new Map(this.#listeners.configure(doors, moved).map(({ service, error }) => [service, error]));
    if (failures.size === 0) this.#doors = wanted;
    return doors.flatMap((door) => {
      const error = failures.get(door.name);
      return error === undefined ? [] : door.services.map(({ spec }) => ({ service: spec.name, error }));
    });
  }

  #update(service: ServiceRuntime, spec: WorkerService): void {
    const down = service.update(spec);
    if (down.length > 0 && spec.onMarkedDown === 'shutdownSessions') this.#shutDown(new Set(down), 'server-down');
    this.#waiting.onConfigured(service);
  }

  /** Ends what goes to these servers. Those who are still being connected are better off with another one. */
  #shutDown(servers: ReadonlySet<ServerRuntime>, cause: 'server-down' | 'server-removed'): void {
    for (const connection of this.#connections) {
      const { server } = connection;
      if (server === undefined || !servers.has(server)) continue;
      if (connection.phase !== 'relaying') {
        this.#dialer.tryAnother(connection);
        continue;
      }
      server.counters.shutdowns++;
      this.#relay.reset(connection, cause);
    }
  }

  #slotAt(index: number | undefined): Slot {
    const { native, peers } = this.#dependencies;
    return peers === undefined || index === undefined ? ownSlot(native) : peers.counts.slot(index, peers.worker);
  }

  #retain(wanted: ReadonlySet<string>): void {
    for (const [name, service] of this.#services) if (!wanted.has(name)) service.configured = false;
    this.#forgetRemoved();
  }

  /** A service that was removed stays known until its last connection has ended. */
  #forgetRemoved(): void {
    for (const [name, service] of this.#services) {
      if (!service.configured && service.connections === 0) this.#services.delete(name);
    }
  }

  #drain(): void {
    this.#draining = true;
    this.#listeners.configure([]);
    this.#reportDrained();
  }

  #reportDrained(): void {
    if (!this.#draining || this.#connections.size + this.#preface.size > 0) return;
    this.#draining = false;
    this.#dependencies.report({ kind: 'drained' });
  }

  /** `endpoint` holds the client's address until the next client comes. */
  #onClient(name: string, fd: number, endpoint: Uint8Array): void {
    const door = this.#doors.get(name);
    if (door === undefined) {
      closeWithReset(this.#dependencies.native, fd);
      return;
    }
    const ip = endpoint.subarray(4, endpoint[0] === 4 ? 8 : 20);
    this.#preface.begin(door, { fd, ip, trace: this.#accessLog?.begin(endpoint) });
  }

  #onKnown(service: ServiceRuntime, newcomer: Newcomer): void {
    const admitted = this.#admit(service, newcomer.ip);
    if (!admitted.ok) {
      this.#turnAway(service, newcomer, admitted.reason);
      return;
    }
    const source = sourceOf(service, newcomer.ip);
    const connection = new Connection({ service, source, fd: newcomer.fd, driver: this.#dialer });
    connection.trace = newcomer.trace;
    connection.addresses = newcomer.addresses;
    connection.admission = service.admission;
    connection.countedAs = admitted.source;
    this.#connections.add(connection);
    service.counters.connectionsTotal++;
    if (newcomer.pollerId >= 0) this.#watchFrom(connection, newcomer);
    this.#dialer.begin(connection);
  }

  /** Takes a place of the service's for the client, or says why it gets none. */
  #admit(service: ServiceRuntime, ip: Uint8Array): Admittance {
    const { admission } = service;
    if (admission?.denies(ip) === true) return { ok: false, reason: 'denied' };
    if (!service.acquire()) return { ok: false, reason: 'maxconn' };
    if (admission === undefined) return admitted;
    const result = admission.admit(ip, this.#dependencies.clock.nowMs());
    if (!result.ok) service.release();
    return result;
  }

  /** Goes on with a socket that is watched already; what it told is not told again. */
  #watchFrom({ front }: Connection, { pollerId, events }: Newcomer): void {
    front.pollerId = pollerId;
    front.note(events);
    this.#poller.retarget(pollerId, front);
  }

  /** Ends what has not become a connection, and is counted as none. */
  #turnAway(service: ServiceRuntime, newcomer: Newcomer, reason: RefusalReason): void {
    const { fd, pollerId, trace, addresses } = newcomer;
    const workerConnections = this.#connections.size;
    service.countRefusal(reason);
    if (trace !== undefined)
      this.#accessLog?.writeRefusal(service, { trace, addresses }, { reason, workerConnections });
    if (pollerId >= 0) this.#poller.release(pollerId);
    closeWithReset(this.#dependencies.native, fd);
    this.#onRoom();
  }

  /** All connections end here, whoever ended them. */
  #onClosed(connection: Connection, cause: EndCause): void {
    const { service, phase, trace, admission, countedAs } = connection;
    assert(phase !== 'closed', 'a connection ends once');
    if (trace !== undefined)
      this.#accessLog?.write(connection, trace, { cause, phase, workerConnections: this.#connections.size });
    connection.phase = 'closed';
    this.#connections.delete(connection);
    service.release();
    if (countedAs !== undefined) admission?.release(countedAs, this.#dependencies.clock.nowMs());
    service.ended[cause]++;
    connection.countBytes();
    this.#waiting.vacate(connection);
    this.#onRoom();
  }

  #onRoom(): void {
    this.#listeners.resumeAfterLimit();
    this.#reportDrained();
  }

  #end(connection: Connection, cause: EndCause): void {
    if (connection.phase === 'relaying') this.#relay.reset(connection, cause);
    else this.#dialer.abort(connection, cause);
  }

  #sweepWaiting(): void {
    const nowMs = this.#dependencies.clock.nowMs();
    this.#listeners.retryAfterShortage();
    this.#preface.sweep(nowMs);
    this.#claims.sweep(nowMs);
    this.#dialer.sweep(nowMs);
    this.#relay.sweep(nowMs);
    this.#waiting.sweep(nowMs);
    endDraining(this.#services.values(), this.#connections, this.#relay, nowMs);
    const servers = [...this.#services.values()].flatMap((service) => service.takeFailures());
    if (servers.length > 0) this.#dependencies.report({ kind: 'server-failures', servers });
  }

  /** Marking and looking again later spares the relay a look at the clock for every read. */
  #sweepSilent(): void {
    const nowMs = this.#dependencies.clock.nowMs();
    for (const connection of this.#connections) {
      if (connection.active) {
        connection.active = false;
        connection.silentSinceMs = nowMs;
        if (!connection.isVigilant && connection.phase === 'relaying') this.#watchOver(connection);
        continue;
      }
      if (connection.phase !== 'relaying' || connection.lost !== undefined) continue;
      const { front, back, service, silentSinceMs } = connection;
      const side = timedOutSide(service.spec.inactivity, front, back, nowMs - silentSinceMs);
      if (side !== undefined) this.#relay.reset(connection, `${side}-timeout`);
    }
  }

  /** What would cost every short connection several system calls is done for those that have lived to see a sweep. */
  #watchOver(connection: Connection): void {
    connection.isVigilant = true;
    setVigilance(this.#dependencies.native, connection.back.fd, connection.service.spec.tcp);
  }

  #counters(): WorkerCounters {
    const unsentBytes = new Map<ServiceRuntime, number>();
    for (const connection of this.#connections) {
      connection.countBytes();
      const { service, front, back } = connection;
      const unsent = (front.unsent?.length ?? 0) + (back.unsent?.length ?? 0);
      if (unsent > 0) unsentBytes.set(service, (unsentBytes.get(service) ?? 0) + unsent);
    }
    this.#forgetRemoved();
    const services = Array.from(this.#services.values(), (service) => service.snapshot(unsentBytes.get(service) ?? 0));
    const accessRecordsDropped = this.#accessRecordsDropped + (this.#accessLog?.droppedRecords ?? 0);
    return { services, ...this.#listeners.counters, accessRecordsDropped };
  }

  #reportSticks({ claims, touched }: StickReport): void {
    if (claims.length > 0) this.#dependencies.report({ kind: 'stick-claims', claims });
    if (touched.length > 0) this.#dependencies.report({ kind: 'stick-touched', entries: touched });
  }
}

/** Its services have a door elsewhere. */
function hasMoved({ name, services }: Door, before: ReadonlyMap<string, Door>): boolean {
  return !before.has(name) && [...before.values()].some((door) => door.services.some((one) => services.includes(one)));
}

/** What the client is known by where a server is chosen. */
function sourceOf({ needsSource, spec }: ServiceRuntime, ip: Uint8Array): string {
  if (!needsSource) return '';
  return spec.stick === undefined ? formatIp(ip) : stickSource(ip, spec.stick.prefix);
}
