/** What the two nodes keep equal. Keys are "service/name": names contain no slash. */
import { isWeight } from '../proxy/index.ts';
import type { AdminState } from '../proxy/index.ts';
import { isSessionValue, ReplicaTable } from '../sync/index.ts';
import type { Change, Plain, SessionValue } from '../sync/index.ts';

/** What an operator set; absent fields are as configured. */
export type Override = {
  readonly admin?: AdminState;
  /** In what time the server's connections are ended while it is not ready. */
  readonly drainMs?: number;
  readonly weight?: number;
};

/** The keys of a server as in the file, without its name. */
export type AddedServer = { readonly [key: string]: Plain };

/** A server that is out because connections to it failed; it is there as long as the server is out. */
export type EjectedServer = {
  readonly reason: string;
  /** Which ejection in a row it is. */
  readonly inARow: number;
};

export type ReplicatedState = {
  readonly overrides: ReplicaTable<Override>;
  /** What operators added, by service/name. */
  readonly servers: ReplicaTable<AddedServer>;
  /** service/source -> server */
  readonly sticks: ReplicaTable<string>;
  /** By service/name. */
  readonly ejections: ReplicaTable<EjectedServer>;
  /** Connections that can be taken over, see `sessionKey`. */
  readonly sessions: ReplicaTable<SessionValue>;
};

export const overridesMax = 10_000;
export const addedServersMax = 10_000;
const sticksMax = 1_000_000;
/**
 * How long both nodes remember that an operator took something back. A node that was off for longer brings it back,
 * from its disk.
 */
const operatorTombstoneMs = 90 * 86_400_000;
const ejectionsMax = 10_000;
const sessionsMax = 262_144;
/** The ends of connections come as fast as their beginnings. */
const sessionTombstonesMax = 262_144;
const reasonLengthMax = 256;
/** Of a server that was found by DNS: its name in the file and its address. */
const nameLengthMax = 128;

export function createReplicatedState(
  origin: string,
  events: {
    readonly onOverride: (change: Change<Override>) => void;
    readonly onServer: (change: Change<AddedServer>) => void;
    readonly onStick: (change: Change<string>) => void;
    readonly onEjection: (change: Change<EjectedServer>) => void;
  },
): ReplicatedState {
  return {
    overrides: new ReplicaTable<Override>({
      name: 'overrides',
      origin,
      entriesMax: overridesMax,
      whenFull: 'refuse',
      tombstoneMs: operatorTombstoneMs,
      parse: parseOverride,
      onMerged: events.onOverride,
    }),
    servers: new ReplicaTable<AddedServer>({
      name: 'servers',
      origin,
      entriesMax: addedServersMax,
      whenFull: 'refuse',
      tombstoneMs: operatorTombstoneMs,
      // Keys that only a newer node knows are kept: it is this node's business whether it can use the server.
      parse: parseServer,
      onMerged: events.onServer,
    }),
    sticks: new ReplicaTable<string>({
      name: 'sticks',
      origin,
      entriesMax: sticksMax,
      whenFull: 'forget-oldest',
      parse: parseStick,
      onMerged: events.onStick,
    }),
    ejections: new ReplicaTable<EjectedServer>({
      name: 'ejections',
      origin,
      entriesMax: ejectionsMax,
      whenFull: 'refuse',
      parse: parseEjection,
      onMerged: events.onEjection,
    }),
    sessions: new ReplicaTable<SessionValue>({
      name: 'sessions',
      origin,
      entriesMax: sessionsMax,
      whenFull: 'refuse',
      parse: (value) => (isSessionValue(value) ? value : undefined),
      tombstonesMax: sessionTombstonesMax,
    }),
  };
}

export function keyOf(service: string, name: string): string {
  return `${service}/${name}`;
}

/** The service and the name of a key. */
export function splitKey(key: string): readonly [service: string, name: string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}

function parseEjection(value: Plain): EjectedServer | undefined {
  if (!isFields(value)) return undefined;
  const { reason, inARow } = value;
  if (typeof reason !== 'string' || reason.length > reasonLengthMax) return undefined;
  return typeof inARow === 'number' && Number.isInteger(inARow) && inARow >= 1 ? { reason, inARow } : undefined;
}

export function parseOverride(value: Plain): Override | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { admin, drainMs, weight } = value as Readonly<Record<string, unknown>>;
  if (admin !== undefined && admin !== 'ready' && admin !== 'drain' && admin !== 'maint') return undefined;
  if (weight !== undefined && !(typeof weight === 'number' && isWeight(weight))) return undefined;
  if (drainMs !== undefined && !(typeof drainMs === 'number' && drainMs >= 0)) return undefined;
  return {
    ...(admin === undefined ? {} : { admin }),
    ...(drainMs === undefined ? {} : { drainMs }),
    ...(weight === undefined ? {} : { weight }),
  };
}

export function parseServer(value: Plain): AddedServer | undefined {
  return isFields(value) ? value : undefined;
}

/** The name of a server. */
export function parseStick(value: Plain): string | undefined {
  return typeof value === 'string' && value.length <= nameLengthMax ? value : undefined;
}

function isFields(value: Plain): value is AddedServer {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
