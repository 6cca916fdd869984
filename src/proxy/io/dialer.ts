/**
 * Brings an accepted client to a server: chooses one (with its stick entry, or by balance), lets it wait where all are
 * full, connects, goes on to another when that fails, and hands the connection over to the relay. The client's bytes
 * stay in the kernel until then, so that nothing is lost by trying again. A client that only ends its own direction
 * (FIN) meanwhile may still want an answer; one that resets is gone.
 */
import { epoll, errno, errnoName } from '../../runtime/index.ts';
import { encodeProxyHeader, observeLatency } from '../index.ts';
import { addressesOf } from './client-addresses.ts';
import { FirstByteTimer } from './first-byte.ts';
import { closeWithReset, setStreamOptions, takeSocketError } from './socket-options.ts';
import { streamEvents } from './poller.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import type { DialRefusal, EndCause, ProxyVersion } from '../index.ts';
import type { Connection, ConnectFailure, ConnectionDriver, End } from './connection.ts';
import type { Poller } from './poller.ts';
import type { Relay } from './relay.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { StickClaims } from './stick-claims.ts';
import type { WaitingRoom } from './waiting-room.ts';

type DialerDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly poller: Poller;
  readonly relay: Relay;
  readonly claims: StickClaims;
  readonly waiting: WaitingRoom;
  readonly onClosed: (connection: Connection, cause: EndCause) => void;
  /** A client had to be refused for want of a descriptor. */
  readonly onShortage: () => void;
};

/** How a connect fails because of the server, or of the way to it. */
const serverErrors: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH']);

export class Dialer implements ConnectionDriver {
  readonly #native: Native;
  readonly #clock: Clock;
  readonly #poller: Poller;
  readonly #relay: Relay;
  readonly #claims: StickClaims;
  readonly #waiting: WaitingRoom;
  readonly #onClosed: (connection: Connection, cause: EndCause) => void;
  readonly #onShortage: () => void;
  readonly #connecting = new Set<Connection>();

  constructor(dependencies: DialerDependencies) {
    this.#native = dependencies.native;
    this.#clock = dependencies.clock;
    this.#poller = dependencies.poller;
    this.#relay = dependencies.relay;
    this.#claims = dependencies.claims;
    this.#waiting = dependencies.waiting;
    this.#onClosed = dependencies.onClosed;
    this.#onShortage = dependencies.onShortage;
  }

  /** Starts with a connection whose service is known; its client's socket may be watched already. */
  begin(connection: Connection): void {
    if (connection.front.pollerId >= 0) {
      this.choose(connection);
      return;
    }
    const id = this.#poller.add(connection.front.fd, streamEvents, connection.front);
    if (id < 0) {
      this.refuse(connection, 'no-descriptor');
      return;
    }
    connection.front.pollerId = id;
    this.choose(connection);
  }

  onReady(end: End, events: number): void {
    const { connection } = end;
    if (end === connection.front) this.#onClientReady(end, events);
    else if ((events & (epoll.error | epoll.hangUp)) !== 0) this.#onConnectRefused(connection);
    else if ((events & epoll.out) !== 0) this.#onConnected(connection, events);
  }

  /**
   * Connects to a server chosen for it, which it waits for when that one is full; it waits for any server if none was
   * chosen because all are full, and is refused if there is none.
   */
  connect(connection: Connection, server: ServerRuntime | undefined): void {
    const { service } = connection;
    if (server === undefined) {
      if (service.inUse.hasServerFor(connection)) this.#waiting.enter(connection, undefined);
      else this.refuse(connection, this.#reasonWithoutServer(connection));
      return;
    }
    if (connection.server !== server) {
      this.#waiting.vacate(connection);
      if (!service.occupy(connection, server)) {
        // Where clients have servers of their own, they wait for those rather than going elsewhere at once.
        this.#waiting.enter(connection, service.needsSource ? server : undefined);
        return;
      }
    }
    this.#dial(connection, server);
  }

  /** Chooses a server for the connection; it may have a place at one already, for which others have made room. */
  choose(connection: Connection): void {
    const { service } = connection;
    if (service.sticks === undefined) {
      this.connect(connection, connection.server ?? service.inUse.pick(connection));
      return;
    }
    connection.phase = 'choosing';
    const choice = this.#claims.choose(connection, service.sticks);
    if (choice !== 'claimed') this.connect(connection, choice);
  }

  /** Ends a connection that cannot be served. */
  refuse(connection: Connection, reason: DialRefusal): void {
    connection.service.countRefusal(reason);
    this.abort(connection, reason === 'connect-failed' ? connection.lastFailure : reason);
  }

  /** Gives up on the server that is being connected to, and tries another. */
  tryAnother(connection: Connection): void {
    if (connection.phase === 'connecting') this.#onConnectFailed(connection);
  }

  /** Gives up on servers that have not answered in time. */
  sweep(nowMs: number): void {
    for (const connection of this.#connecting) {
      if (nowMs < connection.deadlineMs) continue;
      if (connection.server !== undefined) this.#onTimeout(connection, connection.server, nowMs);
      this.#onConnectFailed(connection, 'connect-timeout');
    }
  }

  /** Ends a connection that has no server yet: the one place for it. */
  abort(connection: Connection, cause: EndCause): void {
    this.#connecting.delete(connection);
    this.#closeBack(connection.back);
    this.#claims.forget(connection);
    this.#waiting.leave(connection);
    if (connection.front.pollerId >= 0) this.#poller.release(connection.front.pollerId);
    closeWithReset(this.#native, connection.front.fd);
    connection.front.fd = -1;
    this.#onClosed(connection, cause);
  }

  #dial(connection: Connection, server: ServerRuntime): void {
    const { spec } = connection.service;
    const fd = this.#native.tcpConnect(server.spec.address, server.spec.port, spec.source, 0);
    if (fd === errno.tooManyFilesProcess || fd === errno.tooManyFilesSystem) {
      this.#onShortage();
      this.refuse(connection, 'no-descriptor');
      return;
    }
    connection.phase = 'connecting';
    if (connection.trace !== undefined) connection.trace.chosenMs ??= this.#clock.nowMs();
    server.counters.connectionsTotal++;
    if (fd >= 0 && this.#watch(connection, fd)) return;
    if (fd < 0) noteFailure(connection, fd);
    this.#onConnectFailed(connection);
  }

  #onTimeout({ service }: Connection, server: ServerRuntime, nowMs: number): void {
    server.counters.connectTimeouts++;
    server.failures.fail('connect timeout');
    const { balance, connectTimeoutMs } = service.spec;
    if (balance !== 'leasttime') return;
    server.latency = observeLatency(server.latency, 'connect', connectTimeoutMs, nowMs);
  }

  #reasonWithoutServer({ failures, queuedUntilMs = Infinity }: Connection): DialRefusal {
    if (failures > 0) return 'connect-failed';
    return queuedUntilMs <= this.#clock.nowMs() ? 'queue-timeout' : 'no-server';
  }

  /** Waits for the connect to finish; false if that cannot be. */
  #watch(connection: Connection, fd: number): boolean {
    const { back, service } = connection;
    setStreamOptions(this.#native, fd, service.spec.tcp);
    back.fd = fd;
    back.pollerId = this.#poller.add(fd, streamEvents, back);
    connection.deadlineMs = this.#clock.nowMs() + service.spec.connectTimeoutMs;
    this.#connecting.add(connection);
    return back.pollerId >= 0;
  }

  #onClientReady(end: End, events: number): void {
    end.note(events);
    if ((events & epoll.error) !== 0) this.abort(end.connection, 'client-gone');
  }

  #onConnected(connection: Connection, events: number): void {
    const sendProxy = connection.server?.spec.sendProxy;
    if (sendProxy !== undefined && !this.#inject(connection, sendProxy)) {
      this.#onConnectFailed(connection);
      return;
    }
    this.#connecting.delete(connection);
    const { service, deadlineMs } = connection;
    connection.deadlineMs = Infinity;
    if (connection.trace !== undefined) connection.trace.connectedMs = this.#clock.nowMs();
    connection.awaitsFirstByte = service.spec.watchFailures === true;
    if (service.spec.balance === 'leasttime') this.#relayMeasured(connection, events, deadlineMs);
    else this.#relay.begin(connection, events);
  }

  /** Sends the PROXY protocol header; what the socket does not take goes the way of all that it does not take. */
  #inject(connection: Connection, version: ProxyVersion): boolean {
    const { back, front } = connection;
    const header = encodeProxyHeader(version, connection.addresses ?? addressesOf(this.#native, front.fd));
    const sent = this.#native.send(back.fd, header, 0, header.length);
    if (sent < 0 && sent !== errno.again) {
      noteFailure(connection, sent);
      return false;
    }
    connection.injectedBytes = header.length;
    if (sent !== header.length) back.unsent = header.subarray(Math.max(0, sent));
    return true;
  }

  /** For `leasttime`: notes how long the connect has taken, and lets the answer be timed. */
  #relayMeasured(connection: Connection, events: number, deadlineMs: number): void {
    const { server, service } = connection;
    const nowMs = this.#clock.nowMs();
    const connectMs = nowMs - (deadlineMs - service.spec.connectTimeoutMs);
    if (server !== undefined) server.latency = observeLatency(server.latency, 'connect', connectMs, nowMs);
    const timer = new FirstByteTimer(connection, { relay: this.#relay, clock: this.#clock });
    if ((events & epoll.in) !== 0) timer.observe(connection);
    this.#relay.begin(connection, events);
    if (!connection.isClosed && (events & epoll.in) === 0) connection.driver = timer;
  }

  #onConnectRefused(connection: Connection): void {
    noteFailure(connection, takeSocketError(this.#native, connection.back.fd));
    this.#onConnectFailed(connection);
  }

  #onConnectFailed(connection: Connection, failure: ConnectFailure = 'connect-failed'): void {
    const { server, service } = connection;
    connection.lastFailure = failure;
    this.#leaveServer(connection);
    connection.failures++;
    if (server !== undefined) {
      server.counters.connectFailures++;
      connection.exclude(server);
    }
    if (connection.failures > service.spec.retries) {
      this.refuse(connection, 'connect-failed');
      return;
    }
    service.counters.redispatches++;
    this.choose(connection);
  }

  #leaveServer(connection: Connection): void {
    this.#connecting.delete(connection);
    this.#closeBack(connection.back);
    // Only now: another worker may take the place at once, and the server would have one connection too many.
    this.#waiting.vacate(connection);
  }

  #closeBack(back: End): void {
    if (back.fd < 0) return;
    if (back.pollerId >= 0) this.#poller.release(back.pollerId);
    closeWithReset(this.#native, back.fd);
    back.fd = -1;
    back.pollerId = -1;
  }
}

/** What this node lacks is no failure of the server's. */
function noteFailure({ server, service }: Connection, error: number): void {
  if (service.spec.watchFailures !== true || error >= 0) return;
  const reason = errnoName(error);
  if (serverErrors.has(reason)) server?.failures.fail(reason);
}
