/**
 * A client's connection and the one to its server. Between two events all that is known about the bytes in user space
 * is here: `unsent` of each end, nothing else.
 */
import { epoll } from '../../runtime/index.ts';
import { epollUrgent } from './poller.ts';
import type { Admission, ClientAddresses, Phase } from '../index.ts';
import type { PollerTarget } from './poller.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ServiceRuntime } from './service-runtime.ts';

export type ConnectFailure = 'connect-failed' | 'connect-timeout';

/** When the stages of a connection were reached, for the access log. */
export type Trace = {
  /** The client, as Native.accept writes it. */
  readonly endpoint: Uint8Array;
  readonly acceptedWallMs: number;
  readonly acceptedMs: number;
  /** The first server was chosen. */
  chosenMs: number | undefined;
  /** A server has answered. */
  connectedMs: number | undefined;
};

/** Who acts on a connection's events, depending on its phase. */
export type ConnectionDriver = {
  onReady(end: End, events: number): void;
};

const noServers: ReadonlySet<string> = new Set();
const readableEvents = epoll.in | epoll.readHangUp | epoll.hangUp | epoll.error | epollUrgent;
const readFullyEvents = epoll.readHangUp | epoll.hangUp | epoll.error | epollUrgent;

/** One of a connection's two sockets. */
export class End implements PollerTarget {
  readonly connection: Connection;
  /** -1 as long as there is none. */
  fd: number;
  pollerId = -1;
  /** The kernel may hold something to read: bytes, FIN or an error. */
  readable = false;
  /** There is more to learn than bytes, so that a short read does not mean that all was read. */
  readFully = false;
  /** FIN has come, and was passed on at once. */
  readEnded = false;
  /** What was read from the other end and not taken by this one's socket yet; at most one read. */
  unsent: Uint8Array | undefined;
  /** Waits for its next turn at the relay. */
  queued = false;
  /** What was read from it so far. */
  receivedBytes = 0;
  /** What of that is in the counters already. */
  countedBytes = 0;

  constructor(connection: Connection, fd: number) {
    this.connection = connection;
    this.fd = fd;
  }

  get other(): End {
    return this === this.connection.front ? this.connection.back : this.connection.front;
  }

  onReady(events: number): void {
    this.connection.driver.onReady(this, events);
  }

  /** Remembers what an event says about reading; edge-triggered epoll will not repeat it. After FIN nothing follows. */
  note(events: number): void {
    if (this.readEnded) return;
    if ((events & readableEvents) !== 0) this.readable = true;
    if ((events & readFullyEvents) !== 0) this.readFully = true;
  }
}

export class Connection {
  readonly service: ServiceRuntime;
  /** The client's address, for stickiness and hashing; empty where the service has neither. */
  readonly source: string;
  /** For the access log; undefined where there is none. */
  trace: Trace | undefined;
  /** The client's socket. */
  readonly front: End;
  /** The server's socket. */
  readonly back: End;
  driver: ConnectionDriver;
  phase: Phase = 'choosing';
  /** The server where it has a place, and is counted. */
  server: ServerRuntime | undefined;
  /** How many connects to servers have failed. */
  failures = 0;
  /** How the last of them did. */
  lastFailure: ConnectFailure = 'connect-failed';
  /** Names of the servers that it may not go to: they have failed to connect, or were full for too long. */
  excluded = noServers;
  /** The server that it waits for; undefined while it waits: any. */
  waitsFor: ServerRuntime | undefined;
  /** Its number in the queue. */
  ticket = 0;
  /** When it has waited for long enough; undefined: it has not waited yet. */
  queuedUntilMs: number | undefined;
  /** The server is watched for failures, and has not sent a byte yet. */
  awaitsFirstByte = false;
  /** When choosing, connecting, or what is left to do for a lost end has taken too long. */
  deadlineMs = Infinity;
  /** The end that was reset first; what it had sent before is still brought to the other one. */
  lost: End | undefined;
  /** How much the peer of the other end had confirmed when that was last looked at. */
  confirmedBytes = -1;
  /** Its server's socket has the options of connections that last; the client's has them from its listener. */
  isVigilant = false;
  /** From a PROXY protocol header, whose client is then the client; undefined: the socket's own are true. */
  addresses: ClientAddresses | undefined;
  /** Who counts the client among those of its source, and as what. */
  admission: Admission | undefined;
  countedAs: string | undefined;
  /** Bytes that the server was sent before the client's first one. */
  injectedBytes = 0;
  /** Bytes have moved since the last sweep for silent connections. */
  active = true;
  /** When such a sweep last found that some had. */
  silentSinceMs = 0;

  constructor(options: { service: ServiceRuntime; source: string; fd: number; driver: ConnectionDriver }) {
    this.service = options.service;
    this.source = options.source;
    this.driver = options.driver;
    this.front = new End(this, options.fd);
    this.back = new End(this, -1);
  }

  /** It may not go to this server, any more. */
  exclude(server: ServerRuntime): void {
    this.excluded = new Set(this.excluded).add(server.name);
  }

  get isClosed(): boolean {
    return this.phase === 'closed';
  }

  /** Brings the counters of service and server up to date: while it lasts, bytes are counted here alone. */
  countBytes(): void {
    const bytesIn = takeUncounted(this.front);
    const bytesOut = takeUncounted(this.back);
    for (const counters of [this.service.counters, this.server?.counters]) {
      if (counters === undefined) continue;
      counters.bytesIn += bytesIn;
      counters.bytesOut += bytesOut;
    }
  }
}

function takeUncounted(end: End): number {
  const bytes = end.receivedBytes - end.countedBytes;
  end.countedBytes = end.receivedBytes;
  return bytes;
}
