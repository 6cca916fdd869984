/** A proxy worker: takes commands, listens, relays and reports, all in one thread, one event after the other. */
import { AccessLog } from './access-log.ts';
import { Connections } from './connections.ts';
import { Dialer } from './dialer.ts';
import { Frontend } from './frontend.ts';
import { Poller } from './poller.ts';
import { Preface } from './preface.ts';
import { Relay } from './relay.ts';
import { ServiceListeners } from './service-listeners.ts';
import { ServiceTable } from './service-table.ts';
import { StickClaims } from './stick-claims.ts';
import { WaitingRoom } from './waiting-room.ts';
import type { Clock, Logger, Native, Random, Service, Timer } from '../../runtime/index.ts';
import type { EndCause, WorkerCommand, WorkerCounters, WorkerReport } from '../index.ts';
import type { Connection } from './connection.ts';
import type { RelayOptions } from './relay.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ServiceRuntime } from './service-runtime.ts';
import type { StickReport } from './stick-claims.ts';
import type { WorkerPeers } from './waiting-room.ts';

export type ProxyWorkerOptions = RelayOptions & {
  /** Clients at once. Above it they wait in the kernel's queue. A connection needs two descriptors. */
  readonly connectionsMax: number;
};

type Dependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly report: (report: WorkerReport) => void;
  /** Undefined: this worker counts for itself. */
  readonly peers?: WorkerPeers;
};

const waitingSweepMs = 100;
const silenceSweepMs = 500;
/** Of all connections, those that may be held by clients who have not said yet which service they want. */
const shareOfArrivals = 0.25;

export class ProxyWorker implements Service {
  readonly name = 'proxy-worker';
  readonly #clock: Clock;
  readonly #report: (report: WorkerReport) => void;
  readonly #poller: Poller;
  readonly #accessLog: AccessLog;
  readonly #listeners: ServiceListeners;
  readonly #services: ServiceTable;
  readonly #preface: Preface;
  readonly #frontend: Frontend;
  readonly #claims: StickClaims;
  readonly #waiting: WaitingRoom;
  readonly #dialer: Dialer;
  readonly #relay: Relay;
  readonly #connections: Connections;
  readonly #timers: Timer[] = [];
  #draining = false;
  #isStopped = false;

  constructor(options: ProxyWorkerOptions, dependencies: Dependencies) {
    const { native, clock, random, logger, report, peers } = dependencies;
    this.#clock = clock;
    this.#report = report;
    const poller = new Poller({ native });
    const accessLog = new AccessLog({ clock });
    const onClosed = (connection: Connection, cause: EndCause): void => this.#connections.onClosed(connection, cause);
    const onRoom = (): void => this.#onRoom();
    const relay = new Relay(options, { native, clock, poller, onClosed });
    const claims = new StickClaims({
      clock,
      report: (news) => this.#reportSticks(news),
      connect: (connection, server) => this.#dialer.connect(connection, server),
    });
    const waiting = new WaitingRoom({
      ...{ native, clock, peers },
      // A client that has waited for any server may have one of its own by now.
      onAdmitted: (connection) => this.#dialer.choose(connection),
      onUnavailable: (connection) => this.#dialer.choose(connection),
      onRefused: (connection, reason) => this.#dialer.refuse(connection, reason),
    });
    const onShortage = (): void => this.#listeners.pauseForShortage();
    const dialer = new Dialer({ native, clock, poller, relay, claims, waiting, onClosed, onShortage });
    const connections = new Connections({ native, clock, accessLog, dialer, relay, waiting, onRoom });
    const preface = new Preface(
      { arrivalsMax: Math.ceil(options.connectionsMax * shareOfArrivals) },
      {
        ...{ native, clock, poller },
        onKnown: (service, newcomer) => this.#frontend.onKnown(service, newcomer),
        onRefused: (service, newcomer, reason) => this.#frontend.turnAway(service, newcomer, reason),
      },
    );
    const listeners = new ServiceListeners({
      ...{ native, poller, logger },
      mayAccept: () => connections.size + preface.size < options.connectionsMax,
      onClient: (listener, fd, endpoint) => this.#frontend.onClient(listener, fd, endpoint),
    });
    const onUpdated = (service: ServiceRuntime, down: readonly ServerRuntime[]): void => this.#onUpdated(service, down);
    const services = new ServiceTable({ native, clock, random, listeners, peers, onUpdated });
    const doorOf = (listener: string) => services.doorOf(listener);
    this.#frontend = new Frontend({ native, clock, poller, accessLog, preface, connections, dialer, doorOf, onRoom });
    this.#poller = poller;
    this.#accessLog = accessLog;
    this.#listeners = listeners;
    this.#services = services;
    this.#preface = preface;
    this.#claims = claims;
    this.#waiting = waiting;
    this.#dialer = dialer;
    this.#relay = relay;
    this.#connections = connections;
  }

  start(): Promise<void> {
    this.#poller.open();
    this.#waiting.open(this.#poller);
    this.#timers.push(
      this.#clock.every(waitingSweepMs, () => this.#sweepWaiting()),
      this.#clock.every(silenceSweepMs, () => this.#connections.sweepSilent(this.#clock.nowMs())),
    );
    return Promise.resolve();
  }

  /** Resets all connections. To lose none, `drain` first. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) timer.cancel();
    this.#draining = false;
    this.#isStopped = true;
    this.#listeners.configure([]);
    this.#preface.stop();
    this.#connections.stop();
    this.#waiting.close();
    this.#poller.close();
    if (this.#accessLog.isOpen) await this.#accessLog.close();
    this.#report({ kind: 'stopped' });
  }

  handle(command: WorkerCommand): void {
    // The main process may have sent more before it heard of the end, such as new settings.
    if (this.#isStopped && command.kind !== 'report-counters') return;
    switch (command.kind) {
      case 'configure': {
        this.#accessLog.configure(command.accessLog);
        const failures = this.#services.configure(command.services, !this.#draining);
        this.#report({ kind: 'configured', revision: command.revision, failures });
        return;
      }
      case 'stick-learned': {
        const sticks = this.#services.get(command.service)?.sticks;
        for (const entry of command.entries) sticks?.learn(entry, this.#clock.nowMs());
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
        this.#report({ kind: 'counters', requestId: command.requestId, counters: this.#counters() });
        return;
      case 'reset-connections':
        this.#preface.stop(command.services);
        this.#connections.handOver(command.services);
        return;
      case 'close-server-connections': {
        const servers = [...(this.#services.get(command.service)?.servers ?? [])];
        this.#connections.shutDown(new Set(servers.filter(({ name }) => name === command.server)), 'server-removed');
        return;
      }
      case 'drain':
        this.#draining = true;
        this.#listeners.configure([]);
        this.#reportDrained();
        return;
      case 'stop':
        void this.stop();
        return;
    }
  }

  #onUpdated(service: ServiceRuntime, down: readonly ServerRuntime[]): void {
    if (down.length > 0 && service.spec.onMarkedDown === 'shutdownSessions') {
      this.#connections.shutDown(new Set(down), 'server-down');
    }
    this.#waiting.onConfigured(service);
  }

  /** A connection has ended, or somebody has not become one. */
  #onRoom(): void {
    this.#listeners.resumeAfterLimit();
    this.#reportDrained();
  }

  #reportDrained(): void {
    if (!this.#draining || this.#connections.size + this.#preface.size > 0) return;
    this.#draining = false;
    this.#report({ kind: 'drained' });
  }

  #sweepWaiting(): void {
    const nowMs = this.#clock.nowMs();
    this.#listeners.retryAfterShortage();
    this.#preface.sweep(nowMs);
    this.#claims.sweep(nowMs);
    this.#dialer.sweep(nowMs);
    this.#relay.sweep(nowMs);
    this.#waiting.sweep(nowMs);
    this.#connections.sweepDraining(this.#services.all, nowMs);
    const servers = Array.from(this.#services.all, (service) => service.takeFailures()).flat();
    if (servers.length > 0) this.#report({ kind: 'server-failures', servers });
  }

  #counters(): WorkerCounters {
    const unsentBytes = this.#connections.countBytes();
    this.#services.forgetRemoved();
    const services = Array.from(this.#services.all, (service) => service.snapshot(unsentBytes.get(service) ?? 0));
    const { droppedRecords, trouble } = this.#accessLog;
    return {
      ...{ services, ...this.#listeners.counters },
      ...{ accessRecordsDropped: droppedRecords, accessLogTrouble: trouble },
    };
  }

  #reportSticks({ claims, touched }: StickReport): void {
    if (claims.length > 0) this.#report({ kind: 'stick-claims', claims });
    if (touched.length > 0) this.#report({ kind: 'stick-touched', entries: touched });
  }
}
