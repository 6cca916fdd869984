/**
 * Where clients wait while the servers have all the connections that they may have. A client waits for any server, or
 * for one of its own (its stick entry, its hash). In a worker they are served in the order in which they came; between
 * workers too, as each tells the others who came first there: who finds a place free that is due to another worker's
 * client rings there. A worker that does not answer delays the others by one sweep at most.
 */
import { assert } from '../../base/index.ts';
import { epoll } from '../../runtime/index.ts';
import { isBefore } from './shared-counts.ts';
import type { Clock, Native, Timer } from '../../runtime/index.ts';
import type { DialRefusal } from '../index.ts';
import type { Connection } from './connection.ts';
import type { Poller, PollerTarget } from './poller.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ServiceRuntime } from './service-runtime.ts';
import type { SharedCounts, Slot } from './shared-counts.ts';

/** What the workers of a node have in common. */
export type WorkerPeers = {
  readonly counts: SharedCounts;
  /** This worker, from 0. */
  readonly worker: number;
  /** For each worker the descriptor of an event that wakes it. */
  readonly bells: readonly number[];
};

type WaitingRoomDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly peers: WorkerPeers | undefined;
  /** It has a place at the server now. */
  readonly onAdmitted: (connection: Connection, server: ServerRuntime) => void;
  /** It has left the queue without a place, and wants another server than it has waited for. */
  readonly onUnavailable: (connection: Connection) => void;
  readonly onRefused: (connection: Connection, reason: DialRefusal) => void;
};

type Line = ServiceRuntime | ServerRuntime;

export class WaitingRoom implements PollerTarget {
  readonly #dependencies: WaitingRoomDependencies;
  /** Services with clients that wait here, and in which line each does, in the order in which they came. */
  readonly #lines = new Map<ServiceRuntime, Map<Line, Set<Connection>>>();
  readonly #toServe = new Set<ServiceRuntime>();
  #serving: Timer | undefined;
  #lastTicket = 0;

  constructor(dependencies: WaitingRoomDependencies) {
    this.#dependencies = dependencies;
  }

  /** Answers when other workers ring. */
  open(poller: Poller): void {
    const { peers } = this.#dependencies;
    const bell = peers?.bells[peers.worker];
    if (bell !== undefined) poller.add(bell, epoll.in, this);
  }

  close(): void {
    this.#serving?.cancel();
  }

  /** Somewhere a place is free, or a worker is gone. */
  onReady(): void {
    const { native, peers } = this.#dependencies;
    const bell = peers?.bells[peers.worker];
    if (bell !== undefined) native.eventTake(bell);
    for (const service of this.#lines.keys()) this.#serveSoon(service);
  }

  /** The connection waits, for that server or for any; or it is refused. */
  enter(connection: Connection, server: ServerRuntime | undefined): void {
    const { clock } = this.#dependencies;
    const { service } = connection;
    const { queue } = service.spec;
    connection.queuedUntilMs ??= clock.nowMs() + (queue?.timeoutMs ?? 0);
    const refusal = this.#refusal(connection);
    if (refusal !== undefined) {
      this.#dependencies.onRefused(connection, refusal);
      return;
    }
    connection.phase = 'queued';
    connection.waitsFor = server;
    connection.ticket = this.#dependencies.peers?.counts.nextTicket() ?? ++this.#lastTicket;
    const line = server ?? service;
    const lines = this.#lines.get(service) ?? new Map<Line, Set<Connection>>();
    this.#lines.set(service, lines);
    const waiting = lines.get(line) ?? new Set();
    lines.set(line, waiting.add(connection));
    this.#tell(service, line, waiting);
    // A place that became free just before others could see this client would not be offered to it.
    this.#serveSoon(service);
  }

  /** The connection waits no longer. */
  leave(connection: Connection): void {
    if (connection.phase !== 'queued') return;
    const { service } = connection;
    const line = connection.waitsFor ?? service;
    connection.phase = 'choosing';
    connection.waitsFor = undefined;
    const lines = this.#lines.get(service);
    const waiting = lines?.get(line);
    assert(lines !== undefined && waiting !== undefined, 'who leaves has waited');
    waiting.delete(connection);
    service.queueSlot.release();
    if (waiting.size === 0) lines.delete(line);
    if (lines.size === 0) this.#lines.delete(service);
    this.#tell(service, line, waiting);
  }

  /** The connection gives back its place at its server, which may be another's now. */
  vacate(connection: Connection): void {
    const { server, service } = connection;
    if (server === undefined) return;
    connection.server = undefined;
    server.ownConnections--;
    server.slot.release();
    if (server.spec.maxconn !== undefined && service.queueSlot.held > 0) this.#serveSoon(service);
  }

  /** The service's servers have changed: who waits for one that is of no use now looks for another. */
  onConfigured(service: ServiceRuntime): void {
    for (const [line, waiting] of [...(this.#lines.get(service) ?? [])]) {
      if (line === service || service.isWorthWaitingFor(line as ServerRuntime)) continue;
      for (const connection of [...waiting]) this.#sendAway(connection);
    }
    this.#serveSoon(service);
  }

  /** Ends the waiting of those who have waited for long enough, and mends what a silent worker has held up. */
  sweep(nowMs: number): void {
    for (const [service, lines] of [...this.#lines]) {
      for (const waiting of [...lines.values()]) {
        for (const connection of [...waiting]) {
          // Who has been at a server before and waits again may have to go before those who stand further ahead.
          if (nowMs >= (connection.queuedUntilMs ?? Infinity)) this.#expire(connection);
        }
      }
      this.#serve(service, 'anyhow');
    }
  }

  #refusal({ service, queuedUntilMs = Infinity }: Connection): DialRefusal | undefined {
    const { queue } = service.spec;
    if (queue === undefined) return 'queue-full';
    if (queuedUntilMs <= this.#dependencies.clock.nowMs()) return 'queue-timeout';
    const count = service.queueSlot.acquire(queue.length);
    if (count <= 0) return 'queue-full';
    service.counters.queuedMax = Math.max(service.counters.queuedMax, count);
    return undefined;
  }

  /** Who has waited for a server of its own may still find room at another one. */
  #expire(connection: Connection): void {
    if (connection.waitsFor !== undefined) {
      this.#sendAway(connection);
      return;
    }
    this.leave(connection);
    this.#dependencies.onRefused(connection, 'queue-timeout');
  }

  #sendAway(connection: Connection): void {
    const { waitsFor, service } = connection;
    if (waitsFor !== undefined) connection.exclude(waitsFor);
    this.leave(connection);
    service.counters.redispatches++;
    this.#dependencies.onUnavailable(connection);
  }

  /** Once per turn, however many places became free in it; and never inside of what is being done just now. */
  #serveSoon(service: ServiceRuntime): void {
    this.#toServe.add(service);
    this.#serving ??= this.#dependencies.clock.afterPoll(() => {
      this.#serving = undefined;
      const services = [...this.#toServe];
      this.#toServe.clear();
      for (const one of services) this.#serve(one, 'in-turn');
    });
  }

  #serve(service: ServiceRuntime, order: 'in-turn' | 'anyhow'): void {
    if (!this.#lines.has(service)) {
      this.#ringForOthers(service);
      return;
    }
    while (this.#candidates(service).some((connection) => this.#admit(connection, order)));
  }

  /** Those who could be next, in the order in which they came. */
  #candidates(service: ServiceRuntime): readonly Connection[] {
    const candidates: Connection[] = [];
    for (const waiting of this.#lines.get(service)?.values() ?? []) {
      for (const connection of waiting) {
        candidates.push(connection);
        // Whom the first cannot go to may be right for the second, where the first has been elsewhere before.
        if (connection.excluded.size === 0) break;
      }
    }
    return candidates.sort((a, b) => (isBefore(a.ticket, b.ticket) ? -1 : 1));
  }

  #admit(connection: Connection, order: 'in-turn' | 'anyhow'): boolean {
    const { service } = connection;
    const server = connection.waitsFor ?? service.inUse.pick(connection);
    if (server === undefined || server.isFull) return false;
    if (order === 'in-turn' && this.#ringWhoIsBefore(service, server, connection)) return false;
    if (!service.occupy(connection, server)) return false;
    this.leave(connection);
    this.#dependencies.onAdmitted(connection, server);
    return true;
  }

  /** A place is free here and nobody here wants it. */
  #ringForOthers(service: ServiceRuntime): void {
    const { peers } = this.#dependencies;
    if (peers === undefined || service.queueSlot.held === 0) return;
    for (const server of service.servers) {
      if (server.spec.maxconn !== undefined && !server.isFull) this.#ringFirst(peers, [server.slot, service.queueSlot]);
    }
  }

  /** True, and the other worker has been woken, when somebody there came before this client. */
  #ringWhoIsBefore(service: ServiceRuntime, server: ServerRuntime, { ticket }: Connection): boolean {
    const { peers } = this.#dependencies;
    return peers !== undefined && this.#ringFirst(peers, [server.slot, service.queueSlot], ticket);
  }

  #ringFirst(peers: WorkerPeers, slots: readonly Slot[], beforeTicket?: number): boolean {
    let first: { readonly worker: number; readonly ticket: number } | undefined;
    for (const slot of slots) {
      const waiting = slot.firstWaiting();
      if (waiting !== undefined && (first === undefined || isBefore(waiting.ticket, first.ticket))) first = waiting;
    }
    if (first === undefined || first.worker === peers.worker) return false;
    if (beforeTicket !== undefined && !isBefore(first.ticket, beforeTicket)) return false;
    const bell = peers.bells[first.worker];
    if (bell !== undefined) this.#dependencies.native.eventSignal(bell);
    return true;
  }

  #tell(service: ServiceRuntime, line: Line, waiting: ReadonlySet<Connection>): void {
    const slot = line === service ? service.queueSlot : (line as ServerRuntime).slot;
    const [first] = waiting;
    line.queued = waiting.size;
    slot.tellWaiting(waiting.size, first?.ticket ?? 0);
  }
}
