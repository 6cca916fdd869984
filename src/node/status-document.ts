import type { KeptFileStatus } from '../state/io/index.ts';

/**
 * What `tandem status --json`, the admin socket and the read-only port show. Field names are a contract with the
 * scripts of operators: add, do not rename. Times that people compare are milliseconds ago, never wall clock.
 */
export type StatusDocument = {
  readonly node: string;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly configHash: string;
  readonly virtualRouters: readonly VirtualRouterStatus[];
  /** Undefined on a single node. */
  readonly peer: PeerStatus | undefined;
  readonly services: readonly ServiceStatus[];
  readonly processes: readonly ProcessStatus[];
  readonly accepting: AcceptingStatus;
  /** Undefined where none is written. */
  readonly accessLog: AccessLogStatus | undefined;
  readonly stateOnDisk: StateOnDiskStatus;
  readonly realtime: RealtimeStatus | undefined;
  /** Of every process that runs. */
  readonly privileges: readonly PrivilegeStatus[];
  /** What an operator should look at, one sentence each; empty when all is well. */
  readonly warnings: readonly string[];
};

export type RouterState = 'initialize' | 'backup' | 'active';

export type VirtualRouterStatus = {
  readonly name: string;
  readonly vrid: number;
  /** Of VRRP. */
  readonly version: 2 | 3;
  readonly interface: string;
  readonly addresses: readonly string[];
  readonly state: RouterState;
  readonly stateForMs: number;
  /** As it is now, with the weights of the trackers. */
  readonly priority: number;
  /** As it is configured. */
  readonly basePriority: number;
  readonly syncGroup: string | undefined;
  /** What keeps it out of the election, a phrase each. */
  readonly faults: readonly string[];
  readonly trackers: readonly TrackerStatus[];
  /** The hook that runs or ran last. */
  readonly lastHook: HookStatus | undefined;
  readonly epoch: number;
  /** The address that the active node's adverts come from, as far as this node knows. */
  readonly activeAddress: string | undefined;
  /** As in its adverts. */
  readonly activePriority: number | undefined;
  /** As it is configured; what this node sends at when it is active. */
  readonly advertIntervalMs: number;
  /** Of the active node, by which its death is judged. */
  readonly activeAdvertIntervalMs: number;
  /** Backup only because the peer says over the sync link that it is active: no advert is heard. */
  readonly isFenced: boolean;
  readonly preempt: boolean;
  /** False: with `preempt`, it waits until it knows all that the peer knows. */
  readonly isPreemptPermitted: boolean;
  /** What the checksum of the last accepted advert covers: "pseudo-header", "message-only". */
  readonly peerChecksumForm: string | undefined;
  /** Why the last packet that was not believed was not; its counter is `dropped.` and this. */
  readonly lastDropReason: string | undefined;
  /** Why the last advert that could not be sent could not. */
  readonly lastSendError: string | undefined;
  readonly lastCause: string | undefined;
  /** The last 16 changes of state, newest last; also those of vrrp processes that have ended. */
  readonly transitions: readonly TransitionStatus[];
  readonly counters: Readonly<Record<string, number>>;
};

export type TransitionStatus = {
  /** Wall time in milliseconds since 1970: for people. */
  readonly wallMs: number;
  readonly from: RouterState;
  readonly to: RouterState;
  readonly cause: string;
  /** The faults behind it. */
  readonly reasons: readonly string[];
  readonly epoch: number;
};

export type TrackerStatus = {
  /** "interface eth1" */
  readonly name: string;
  readonly state: 'unknown' | 'up' | 'down';
  readonly weight: number | 'fatal';
  /** What it adds to the priority now. */
  readonly contribution: number;
  readonly detail: string;
};

export type HookStatus = {
  /** The state that it tells of. */
  readonly state: RouterState;
  readonly generation: number;
  /** "running", "exit code 0" ... */
  readonly outcome: string;
};

export type PeerStatus = {
  readonly name: string;
  readonly connected: boolean;
  /** Why the peer or this node refused the sync connection, as a sentence. */
  readonly refused: string | undefined;
  readonly inSync: boolean;
  readonly inSyncForMs: number | undefined;
  readonly lagEntries: number;
  readonly lagMs: number;
  readonly lagBytes: number;
  /** Since when the digests of all tables have last been found the same on both nodes; undefined: not yet. */
  readonly comparedForMs: number | undefined;
  /** Of the sync protocol, as both speak it; undefined while it is not connected. */
  readonly protocolVersion: number | undefined;
  /** Entries of each replicated table on this node. */
  readonly tables: Readonly<Record<string, number>>;
  readonly configDiffers: boolean;
  readonly configDiffersForMs: number | undefined;
  /** Undefined while it is not connected. */
  readonly configHash: string | undefined;
  /** The peer's own word on its virtual routers; empty when it is not connected. */
  readonly virtualRouters: Readonly<Record<string, RouterState>>;
  readonly counters: Readonly<Record<string, number>>;
};

export type ServiceStatus = {
  readonly name: string;
  readonly listen: string;
  readonly balance: string;
  /** Why it does not listen, if it does not. */
  readonly listenError: string | undefined;
  readonly connections: number;
  readonly connectionsTotal: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Connections that were not served, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Connections that have ended, by cause; together with `connections` they are `connectionsTotal`. */
  readonly ended: Readonly<Record<string, number>>;
  /** Clients that wait for a server now, the most that have waited at once, and how many may. */
  readonly queued: number;
  readonly queuedMax: number;
  readonly queueLength: number;
  readonly stickEntries: number | undefined;
  readonly servers: readonly ServerStatus[];
  /** DNS names that stand for servers. */
  readonly discoveries: readonly DiscoveryStatus[];
};

export type DiscoveryStatus = {
  /** What its servers' names begin with. */
  readonly name: string;
  /** The DNS name. */
  readonly asks: string;
  readonly servers: number;
  readonly lookups: number;
  /** Those of them that found nothing, or were not answered. */
  readonly failures: number;
  /** Of the last lookup: "ENOTFOUND", "ETIMEOUT" ...; undefined: it was answered. */
  readonly trouble: string | undefined;
  readonly nextLookupInMs: number;
};

/** In the file, added by an operator at run time, or found by a DNS name of the file. */
export type ServerOrigin = 'file' | 'added' | 'dns';

export type ServerStatus = {
  readonly name: string;
  readonly origin: ServerOrigin;
  readonly address: string;
  /** As checks and agent have it. */
  readonly health: 'up' | 'down' | 'unchecked';
  /** As the operator has it; the stricter one of this and the agent's holds. */
  readonly state: 'ready' | 'drain' | 'maint';
  /** With all that counts: configuration, operator, agent. */
  readonly weight: number;
  readonly backup: boolean;
  /** Undefined: no limit. */
  readonly maxconn: number | undefined;
  readonly connections: number;
  /** Clients that wait for this server and no other. */
  readonly queued: number;
  readonly connectionsTotal: number;
  readonly connectFailures: number;
  /** "http"; undefined: it is not checked. */
  readonly check: string | undefined;
  /** Connections that were ended while it drained. */
  readonly drained: number;
  /** Connections that were reset when it went down. */
  readonly shutdowns: number;
  readonly lastCheck: string | undefined;
  /** Undefined where the service has no agents. */
  readonly agent: AgentStatus | undefined;
  /** Undefined while it is not ejected. */
  readonly ejection: EjectionStatus | undefined;
  /** Since the node started. */
  readonly ejectionsTotal: number;
};

/** What a server's agent has said; as good as nothing before its first answer. */
export type AgentStatus = {
  readonly state: 'ready' | 'drain' | 'maint';
  /** Its word for being down and its reason; undefined: up. */
  readonly down: string | undefined;
  /** Of the configured weight. */
  readonly percent: number;
  /** How busy the server is, 0..1. */
  readonly load: number;
  readonly maxconn: number | undefined;
  /** The last answer, or why there was none; undefined before the first question was answered. */
  readonly lastAnswer: string | undefined;
};

/** A server that is out for a while, because connections to it failed. */
export type EjectionStatus = {
  readonly reason: string;
  readonly remainingMs: number;
  readonly inARow: number;
};

export type AccessLogStatus = {
  /** "stdout", or the file. */
  readonly destination: string;
  /** Records that were lost since the workers were started, because the destination took none for too long. */
  readonly droppedRecords: number;
  /** Why the destination takes none now, an errno's name. */
  readonly trouble: string | undefined;
};

/** How the workers accept clients, all of them together. */
export type AcceptingStatus = {
  readonly workers: number;
  /** Of these, so many have as many connections as their descriptors allow, and let clients wait. */
  readonly fullWorkers: number;
  /** How often a worker came to that, since it was started. */
  readonly limitHits: number;
  /** How often accepting was suspended because the machine had no descriptors or memory left. */
  readonly pauses: number;
};

/** What outlives the process: overrides, added servers, epochs, stick tables. */
export type StateOnDiskStatus = {
  /** `off`: not configured. `failing`: what was written last is older than what is known. */
  readonly state: 'kept' | 'failing' | 'off';
  readonly directory: string | undefined;
  readonly files: readonly StateFileStatus[];
};

/** `contents`: "operator", "sticks". */
export type StateFileStatus = KeptFileStatus & { readonly contents: string };

export type ProcessStatus = {
  readonly name: string;
  readonly pid: number | undefined;
  readonly restarts: number;
};

/** Capabilities, "CAP_NET_ADMIN". */
export type PrivilegeStatus = {
  /** "node", "vrrp", "worker 1". */
  readonly process: string;
  readonly held: readonly string[];
  /** Needed, and not held. */
  readonly missing: readonly string[];
  /** Held, and not needed: it could not be given up, or the process has only just begun. */
  readonly surplus: readonly string[];
};

/** Whether the vrrp process got what makes it punctual: "yes", or the errno name that the kernel answered. */
export type RealtimeStatus = {
  readonly fifoScheduling: string;
  readonly lockedMemory: string;
};

/** What `tandem failover` answers. */
export type FailoverReport = {
  readonly from: string;
  readonly to: string;
  readonly virtualRouters: readonly string[];
  /** From the command to the peer serving, in milliseconds. */
  readonly durationMs: number;
  /**
   * The longest time in which no new connection to a virtual address was answered, as measured by connecting from the
   * old active node; undefined where there is no service to connect to.
   */
  readonly gapMs: number | undefined;
  readonly connectionsMoved: number;
  readonly connectionsReset: number;
};
