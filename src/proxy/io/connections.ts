/**
 * The connections of a worker: what all of them have in common from their beginning to the one place at which each
 * ends, and what is done with those of a service, of a server, or with all.
 */
import { assert } from '../../base/index.ts';
import { endDraining } from './pacer.ts';
import { setVigilance } from './socket-options.ts';
import { timedOutSide } from '../index.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import type { EndCause } from '../index.ts';
import type { AccessLog } from './access-log.ts';
import type { Connection } from './connection.ts';
import type { Dialer } from './dialer.ts';
import type { Relay } from './relay.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ServiceRuntime } from './service-runtime.ts';
import type { WaitingRoom } from './waiting-room.ts';

type ConnectionsDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly accessLog: AccessLog;
  readonly dialer: Dialer;
  readonly relay: Relay;
  readonly waiting: WaitingRoom;
  /** There may be room for another one. */
  readonly onRoom: () => void;
};

export class Connections {
  readonly #dependencies: ConnectionsDependencies;
  readonly #all = new Set<Connection>();

  constructor(dependencies: ConnectionsDependencies) {
    this.#dependencies = dependencies;
  }

  get size(): number {
    return this.#all.size;
  }

  /** A client that its service has admitted, and that counts among its clients until it ends. */
  begin(connection: Connection): void {
    this.#all.add(connection);
    connection.service.counters.connectionsTotal++;
    this.#dependencies.dialer.begin(connection);
  }

  /** All connections end here, whoever ended them. */
  onClosed(connection: Connection, cause: EndCause): void {
    const { clock, accessLog, waiting, onRoom } = this.#dependencies;
    const { service, phase, trace, admission, countedAs } = connection;
    assert(phase !== 'closed', 'a connection ends once');
    if (trace !== undefined) accessLog.write(connection, trace, { cause, phase, workerConnections: this.#all.size });
    connection.phase = 'closed';
    this.#all.delete(connection);
    service.release();
    if (countedAs !== undefined) admission?.release(countedAs, clock.nowMs());
    service.ended[cause]++;
    connection.countBytes();
    waiting.vacate(connection);
    onRoom();
  }

  /** Resets all. */
  stop(): void {
    for (const connection of this.#all) this.#end(connection, 'stopped');
  }

  /** Resets those of these services, whose clients talk to another node from now on. */
  handOver(services: readonly string[]): void {
    for (const connection of this.#all) {
      if (services.includes(connection.service.spec.name)) this.#end(connection, 'handed-over');
    }
  }

  /** Ends what goes to these servers. Those who are still being connected are better off with another one. */
  shutDown(servers: ReadonlySet<ServerRuntime>, cause: 'server-down' | 'server-removed'): void {
    const { dialer, relay } = this.#dependencies;
    for (const connection of this.#all) {
      const { server } = connection;
      if (server === undefined || !servers.has(server)) continue;
      if (connection.phase !== 'relaying') {
        dialer.tryAnother(connection);
        continue;
      }
      server.counters.shutdowns++;
      relay.reset(connection, cause);
    }
  }

  /** Ends some of those of servers that drain. */
  sweepDraining(services: Iterable<ServiceRuntime>, nowMs: number): void {
    endDraining(services, this.#all, this.#dependencies.relay, nowMs);
  }

  /** Marking and looking again later spares the relay a look at the clock for every read. */
  sweepSilent(nowMs: number): void {
    for (const connection of this.#all) {
      if (connection.active) {
        connection.active = false;
        connection.silentSinceMs = nowMs;
        if (!connection.isVigilant && connection.phase === 'relaying') this.#watchOver(connection);
        continue;
      }
      if (connection.phase !== 'relaying' || connection.lost !== undefined) continue;
      const { front, back, service, silentSinceMs } = connection;
      const side = timedOutSide(service.spec.inactivity, front, back, nowMs - silentSinceMs);
      if (side !== undefined) this.#dependencies.relay.reset(connection, `${side}-timeout`);
    }
  }

  /** Brings all counters up to date; answers the bytes in user space, of those services that have any there. */
  countBytes(): ReadonlyMap<ServiceRuntime, number> {
    const unsentBytes = new Map<ServiceRuntime, number>();
    for (const connection of this.#all) {
      connection.countBytes();
      const { service, front, back } = connection;
      const unsent = (front.unsent?.length ?? 0) + (back.unsent?.length ?? 0);
      if (unsent > 0) unsentBytes.set(service, (unsentBytes.get(service) ?? 0) + unsent);
    }
    return unsentBytes;
  }

  #end(connection: Connection, cause: EndCause): void {
    const { dialer, relay } = this.#dependencies;
    if (connection.phase === 'relaying') relay.reset(connection, cause);
    else dialer.abort(connection, cause);
  }

  /** What would cost every short connection several system calls is done for those that have lived to see a sweep. */
  #watchOver(connection: Connection): void {
    connection.isVigilant = true;
    setVigilance(this.#dependencies.native, connection.back.fd, connection.service.spec.tcp);
  }
}
