/**
 * What the main process and its proxy workers tell each other; plain data that structured clone and JSON can carry.
 * The main process decides (configuration, health, stickiness), a worker relays and reports.
 */
import type { Balance } from './balance/index.ts';
import type { DoorRefusal, FrontDoor } from './front-door.ts';
import type { InactivityLimits } from './inactivity.ts';
import type { ProxyVersion } from './proxy-protocol/index.ts';
import type { AdminState, Health } from './server-pool.ts';
import type { StickPrefix } from './stick-source.ts';
import type { StickEntry } from './stick-table.ts';
import type { EndCause } from './termination.ts';

/** A server as a worker needs it. */
export type WorkerServer = {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** The effective weight, 0..256. */
  readonly weight: number;
  readonly admin: AdminState;
  readonly health: Health;
  /** Connections that it may have at once, of all workers together; undefined: no limit. */
  readonly maxconn?: number | undefined;
  /** It gets connections only when no other server may have any. */
  readonly backup?: boolean;
  /** Where the connections to it are counted for all workers together; undefined: for this worker alone. */
  readonly slot?: number | undefined;
  /** In drain or maintenance, or removed, its connections are ended spread over this time; undefined: they go on. */
  readonly drainMs?: number | undefined;
  /** Gets no connections for a while, and keeps those that it has; absent: not so. */
  readonly isEjected?: boolean;
  /** With which header of the PROXY protocol connections to it begin; undefined: with none. */
  readonly sendProxy?: ProxyVersion | undefined;
};

export type WorkerQueue = {
  /** Most clients that wait, of all workers together. */
  readonly length: number;
  /** How long a client may wait. */
  readonly timeoutMs: number;
  /** Where they are counted; undefined: for this worker alone. */
  readonly slot: number | undefined;
};

/** What the kernel is to do with a service's sockets, on both sides. */
export type TcpOptions = {
  readonly noDelay: boolean;
  /** Whole seconds, 1..32767; count 1..127. Undefined: off. */
  readonly keepalive: { readonly idleS: number; readonly intervalS: number; readonly count: number } | undefined;
  /** How long bytes may stay unconfirmed; 0: as the kernel has it. */
  readonly userTimeoutMs: number;
};

export type WorkerService = {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly balance: Balance;
  readonly servers: readonly WorkerServer[];
  /** How many other servers are tried, one after the other and at once, when a connect fails. */
  readonly retries: number;
  readonly connectTimeoutMs: number;
  /** A connection that is silent for so long is reset: not earlier, and at most a second later. */
  readonly inactivity: InactivityLimits;
  readonly tcp: TcpOptions;
  /** The address that connections to servers leave from; undefined: the kernel chooses. */
  readonly source: string | undefined;
  /** Stickiness by the client's address. */
  readonly stick: { readonly ttlMs: number; readonly entriesMax: number; readonly prefix: StickPrefix } | undefined;
  /** Failures in a row are counted and reported; absent: not. */
  readonly watchFailures?: boolean;
  /** For clients that come when every server has its `maxconn`; undefined: they are refused. */
  readonly queue?: WorkerQueue | undefined;
  /** All backup servers together take the place of the others, not the first of them alone. */
  readonly allBackups?: boolean;
  /** In this time a server that comes into use gets to its weight, from a tenth of it; undefined: at once. */
  readonly slowStartMs?: number | undefined;
  /** The connections of a server that goes down are reset; undefined: they go on. */
  readonly onMarkedDown?: 'shutdownSessions' | undefined;
  /** Undefined: as in `openDoor`. */
  readonly frontDoor?: FrontDoor | undefined;
};

/** Where the access log goes. */
export type AccessLogDestination = { readonly file: string } | 'stdout';

export type StickAssignment = {
  readonly requestId: number;
  readonly service: string;
  readonly source: string;
  readonly server: string;
};

export type WorkerCommand =
  /** The whole desired list: what is missing is closed (its connections go on), what is new is opened. */
  | {
      readonly kind: 'configure';
      readonly revision: number;
      readonly services: readonly WorkerService[];
      /** Undefined: none is written. */
      readonly accessLog?: AccessLogDestination | undefined;
    }
  /** Entries of other workers or of the peer. */
  | { readonly kind: 'stick-learned'; readonly service: string; readonly entries: readonly StickEntry[] }
  /** The answers to claims. */
  | { readonly kind: 'stick-assigned'; readonly assignments: readonly StickAssignment[] }
  | { readonly kind: 'stick-cleared'; readonly service: string; readonly sources: readonly string[] | 'all' }
  | { readonly kind: 'report-counters'; readonly requestId: number }
  /** This node no longer holds the services' address: their clients would wait for an answer that cannot come. */
  | { readonly kind: 'reset-connections'; readonly services: readonly string[] }
  /** An operator wants the server to be let go of at once. */
  | { readonly kind: 'close-server-connections'; readonly service: string; readonly server: string }
  /** Accept nothing more; report `drained` once the last connection has ended. */
  | { readonly kind: 'drain' }
  /** Reset every connection and end. */
  | { readonly kind: 'stop' };

export type StickClaim = {
  readonly requestId: number;
  readonly service: string;
  readonly source: string;
  /** The server that this worker picked. */
  readonly server: string;
  /** The server of the entry that the worker knows but cannot use: down, in maintenance, or just refused. */
  readonly replaces: string | undefined;
};

/** What a worker has seen of a server lately: failures in a row until now, 0 once it has served again. */
export type ServerFailures = {
  readonly service: string;
  readonly server: string;
  readonly failures: number;
  /** Of the last one: "ECONNREFUSED", "connect timeout", "reset". */
  readonly reason: string;
};

export type WorkerReport =
  /** All listeners of this revision are open but those named; `error` is an errno's name: "EADDRINUSE". */
  | {
      readonly kind: 'configured';
      readonly revision: number;
      readonly failures: readonly { readonly service: string; readonly error: string }[];
    }
  | { readonly kind: 'stick-claims'; readonly claims: readonly StickClaim[] }
  /** Entries in use, each told at most every tenth of its time to live. */
  | {
      readonly kind: 'stick-touched';
      readonly entries: readonly { readonly service: string; readonly source: string; readonly server: string }[];
    }
  /** Servers whose failures in a row have changed. */
  | { readonly kind: 'server-failures'; readonly servers: readonly ServerFailures[] }
  | { readonly kind: 'counters'; readonly requestId: number; readonly counters: WorkerCounters }
  /** A line for the log of the node: workers have none. */
  | { readonly kind: 'warning'; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly kind: 'drained' }
  | { readonly kind: 'stopped' };

/** Why a client that was accepted got no server. */
export type RefusalReason = DialRefusal | DoorRefusal;

export type DialRefusal =
  /** No server was eligible. */
  | 'no-server'
  /** Those that were tried failed. */
  | 'connect-failed'
  /** This process has no descriptor left for the second socket. */
  | 'no-descriptor'
  /** Every server was full, and so was the queue. */
  | 'queue-full'
  /** It has waited in the queue for as long as one may. */
  | 'queue-timeout';

/** Since the worker started; `current`, `unsentBytes` and `queued` are as of now. */
export type ServerCounters = {
  readonly server: string;
  readonly connectionsTotal: number;
  readonly connectionsCurrent: number;
  /** From the client to the server. */
  readonly bytesIn: number;
  /** From the server to the client. */
  readonly bytesOut: number;
  readonly connectFailures: number;
  /** Those of the failures that were time-outs. */
  readonly connectTimeouts: number;
  /** Clients that wait for this server and no other. */
  readonly queued: number;
  /** Connections that were ended because the server drained for long enough. */
  readonly drained: number;
  /** Connections that were reset because the server went down. */
  readonly shutdowns: number;
};

export type ServiceCounters = {
  readonly service: string;
  /** Clients accepted, and not refused at the door. */
  readonly connectionsTotal: number;
  readonly connectionsCurrent: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Bytes in user space now: read from one side and not yet taken by the other's socket. */
  readonly unsentBytes: number;
  readonly redispatches: number;
  /** Of the reasons at the door only those that there were; who was refused there is no part of `connectionsTotal`. */
  readonly refused: Readonly<Record<DialRefusal, number> & Partial<Record<DoorRefusal, number>>>;
  /** Clients accepted whose connection has ended; the sum and `connectionsCurrent` are `connectionsTotal`. */
  readonly ended: Readonly<Record<EndCause, number>>;
  readonly stickHits: number;
  readonly stickClaims: number;
  readonly stickClaimTimeouts: number;
  /** Clients that wait for a server now. */
  readonly queued: number;
  /** The most that have waited at once, at all workers together. */
  readonly queuedMax: number;
  readonly servers: readonly ServerCounters[];
};

export type WorkerCounters = {
  readonly services: readonly ServiceCounters[];
  /** How often accepting was suspended for want of descriptors or memory. */
  readonly acceptPauses: number;
  /** How often it was suspended because the worker had all the connections it may have. */
  readonly connectionLimitHits: number;
  /** It is suspended for that now: clients wait in the kernel. */
  readonly isFull: boolean;
  /** Records of the access log that were lost because its destination took none. */
  readonly accessRecordsDropped: number;
  /** Why it takes none now, an errno's name; undefined if it does, or there is no access log. */
  readonly accessLogTrouble?: string | undefined;
};
