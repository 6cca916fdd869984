/** The servers of one service in the main process: what is configured, what checks found, what operators set. */
import { fail, ok } from '../base/index.ts';
import type { Result } from '../base/index.ts';
import { agentShare } from './agent.ts';
import type { AgentState } from './agent.ts';
import type { ProxyVersion } from './proxy-protocol/index.ts';

/** HAProxy's words: `drain` takes no new connections but sticky ones, `maint` takes none at all. */
export type AdminState = 'ready' | 'drain' | 'maint';
export type Health = 'up' | 'down';

/** What the configuration says about a server; `weight` in 0..256, where 0 means the same as `drain`. */
export type ServerSpec = {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /** Connections that it may have at once; undefined: no limit. */
  readonly maxconn?: number | undefined;
  readonly backup?: boolean;
  /** Which PROXY protocol header it gets; undefined: none. */
  readonly sendProxy?: ProxyVersion | undefined;
};

export type PoolServer = ServerSpec & {
  /** Set by an operator at run time; wins over the configured weight until it is taken back. */
  readonly weightOverride: number | undefined;
  /** As the operator has it. */
  readonly admin: AdminState;
  /** In what time its connections are ended while it is not ready; undefined: as the configuration says. */
  readonly drainMs?: number | undefined;
  /** As the checks have it. */
  readonly health: Health;
  /** What the server's agent has said; undefined: nothing yet, or it has none. */
  readonly agent: AgentState | undefined;
  /** Out for a while, because connections to it failed. */
  readonly isEjected: boolean;
};

/** By name, in the order of the configuration. */
export type ServerPool = ReadonlyMap<string, PoolServer>;

export type PoolChange =
  | { readonly kind: 'went-up' | 'went-down'; readonly server: string }
  | { readonly kind: 'admin'; readonly server: string; readonly from: AdminState; readonly to: AdminState }
  | { readonly kind: 'weight'; readonly server: string; readonly from: number; readonly to: number }
  /** Its agent said something that changes what the server gets. */
  | { readonly kind: 'agent'; readonly server: string }
  | { readonly kind: 'ejected' | 'returned'; readonly server: string };

/** The pool after an update, and what changed by it: undefined if nothing did. */
export type PoolUpdate = { readonly pool: ServerPool; readonly change: PoolChange | undefined };

/** Which connections a server may get: `all`, only those that are `sticky` to it, or `none`. */
export type Eligibility = 'all' | 'sticky' | 'none';

export const weightMax = 256;

/** A pool as it is at the start: every server up until a check fails, and ready. */
export function createPool(specs: readonly ServerSpec[]): ServerPool {
  return new Map(specs.map((spec) => [spec.name, freshServer(spec)]));
}

/**
 * The pool after a new configuration. A server that keeps its name keeps what operators set; what checks, its agent
 * and its connections said of it only if it also keeps its address and port.
 */
export function reconfigurePool(pool: ServerPool, specs: readonly ServerSpec[]): ServerPool {
  return new Map(specs.map((spec) => [spec.name, carriedOver(pool.get(spec.name), spec)]));
}

export function setHealth(pool: ServerPool, name: string, health: Health): Result<PoolUpdate, 'unknown-server'> {
  const server = pool.get(name);
  if (server === undefined) return fail('unknown-server');
  if (server.health === health) return ok({ pool, change: undefined });
  const change = { kind: health === 'up' ? 'went-up' : 'went-down', server: name } as const;
  return ok({ pool: withServer(pool, { ...server, health }), change });
}

/** `drainMs` is in what time its connections are ended; undefined: as the configuration says. */
export function setAdmin(
  pool: ServerPool,
  name: string,
  admin: AdminState,
  drainMs?: number,
): Result<PoolUpdate, 'unknown-server'> {
  const server = pool.get(name);
  if (server === undefined) return fail('unknown-server');
  if (server.admin === admin && server.drainMs === drainMs) return ok({ pool, change: undefined });
  const change = { kind: 'admin', server: name, from: server.admin, to: admin } as const;
  return ok({ pool: withServer(pool, { ...server, admin, drainMs }), change });
}

/** `weight` is an integer in 0..256, or undefined to go back to the configured one. */
export function setWeight(
  pool: ServerPool,
  name: string,
  weight: number | undefined,
): Result<PoolUpdate, 'unknown-server' | 'weight-range'> {
  const server = pool.get(name);
  if (server === undefined) return fail('unknown-server');
  if (weight !== undefined && !isWeight(weight)) return fail('weight-range');
  const updated = { ...server, weightOverride: weight };
  const from = effectiveWeight(server);
  const to = effectiveWeight(updated);
  const change = from === to ? undefined : ({ kind: 'weight', server: name, from, to } as const);
  return ok({ pool: withServer(pool, updated), change });
}

/** Undefined: it has no agent (any more). */
export function setAgent(
  pool: ServerPool,
  name: string,
  agent: AgentState | undefined,
): Result<PoolUpdate, 'unknown-server'> {
  const server = pool.get(name);
  if (server === undefined) return fail('unknown-server');
  const updated = { ...server, agent };
  const isSame = JSON.stringify(serving(server)) === JSON.stringify(serving(updated));
  return ok({ pool: withServer(pool, updated), change: isSame ? undefined : { kind: 'agent', server: name } });
}

export function setEjected(pool: ServerPool, name: string, isEjected: boolean): Result<PoolUpdate, 'unknown-server'> {
  const server = pool.get(name);
  if (server === undefined) return fail('unknown-server');
  if (server.isEjected === isEjected) return ok({ pool, change: undefined });
  const change = { kind: isEjected ? 'ejected' : 'returned', server: name } as const;
  return ok({ pool: withServer(pool, { ...server, isEjected }), change });
}

export function isWeight(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= weightMax;
}

export function effectiveWeight(server: PoolServer): number {
  return server.weightOverride ?? server.weight;
}

/**
 * What a server is good for, with all that counts taken together. It is down if the checks or its agent say so; of the
 * operator's and the agent's administrative state the stricter one holds, and a weight that the operator has set wins
 * over what the agent makes of the configured one. The weight may have a fraction.
 */
export function serving(server: PoolServer): {
  readonly admin: AdminState;
  readonly health: Health;
  readonly weight: number;
  readonly isEjected: boolean;
  readonly maxconn: number | undefined;
} {
  const { agent, admin, health, isEjected, weight, weightOverride, maxconn } = server;
  const share = agent === undefined ? 1 : agentShare(agent);
  return {
    admin: stricter(admin, agent?.admin ?? 'ready'),
    health: health === 'down' || agent?.down !== undefined ? 'down' : 'up',
    weight: weightOverride ?? Math.min(weightMax, weight * share),
    isEjected,
    maxconn: smaller(maxconn, agent?.maxconn),
  };
}

/**
 * As in HAProxy: a server that is down or in maintenance gets nothing; weight 0 or drain leaves the sticky ones. One
 * that is ejected gets nothing either, and keeps what it has.
 */
export function eligibility(server: {
  readonly admin: AdminState;
  readonly health: Health;
  /** The effective one. */
  readonly weight: number;
  readonly isEjected?: boolean;
}): Eligibility {
  if (server.health === 'down' || server.admin === 'maint' || server.isEjected === true) return 'none';
  return server.admin === 'drain' || server.weight === 0 ? 'sticky' : 'all';
}

const strictness = { ready: 0, drain: 1, maint: 2 } as const;

function stricter(a: AdminState, b: AdminState): AdminState {
  return strictness[a] >= strictness[b] ? a : b;
}

function freshServer(spec: ServerSpec): PoolServer {
  return { ...spec, weightOverride: undefined, admin: 'ready', health: 'up', agent: undefined, isEjected: false };
}

function carriedOver(known: PoolServer | undefined, spec: ServerSpec): PoolServer {
  if (known === undefined) return freshServer(spec);
  const moved = known.address !== spec.address || known.port !== spec.port;
  return moved
    ? { ...freshServer(spec), weightOverride: known.weightOverride, admin: known.admin }
    : { ...known, ...spec };
}

function withServer(pool: ServerPool, server: PoolServer): ServerPool {
  return new Map(pool).set(server.name, server);
}

/** Undefined is no limit. */
function smaller(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}
