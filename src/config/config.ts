/** The configuration as the program uses it: nothing optional but what may be absent, nothing left to resolve. */

import { agentOf, checkOf, outlierOf } from './check-config.ts';
import type { AgentConfig, CheckConfig, OutlierConfig } from './check-config.ts';
import { serverOrDiscovery } from './dns-schema.ts';
import type { DiscoveryConfig } from './dns-schema.ts';
import type { Endpoint } from './endpoint.ts';
import { frontDoorOf } from './front-door-config.ts';
import type { FrontDoorConfig } from './front-door-config.ts';
import { virtualRouterOf } from './router-config.ts';
import type { SyncGroupConfig, VirtualRouterConfig } from './router-config.ts';
import type { ConfigFile } from './schema.ts';
import { stateOf } from './state-schema.ts';
import type { StateConfig } from './state-schema.ts';
import { stickOf } from './stick-schema.ts';
import type { StickConfig } from './stick-schema.ts';

export type Config = {
  /** One or two, in the order of the file. */
  readonly nodes: readonly NodeConfig[];
  /** Always there when there are two nodes. */
  readonly sync: SyncConfig | undefined;
  readonly virtualRouters: readonly VirtualRouterConfig[];
  readonly syncGroups: readonly SyncGroupConfig[];
  readonly services: readonly ServiceConfig[];
  /** DNS servers to ask; empty: those of the host. */
  readonly resolvers: readonly Endpoint[];
  readonly proxy: { readonly workers: number | 'auto' };
  readonly admin: {
    /** Directory of `<node>.sock`. */
    readonly socket: string;
    /** Who may open it besides its owner. */
    readonly group: string | undefined;
    readonly listen: Endpoint | undefined;
  };
  /** Where state outlives the process; undefined: it does not. */
  readonly state: StateConfig | undefined;
  readonly log: {
    readonly level: 'error' | 'warn' | 'info' | 'debug';
    /** Undefined: there is none. */
    readonly access: 'stdout' | { readonly file: string } | undefined;
  };
};

export type NodeConfig = {
  readonly name: string;
  readonly address: string;
  readonly syncAddress: string;
};

export type SyncConfig = {
  readonly port: number;
  readonly keyFile: string;
  readonly heartbeatMs: number;
};

export type ServiceConfig = {
  readonly name: string;
  readonly listen: Endpoint;
  readonly mode: 'proxy';
  readonly balance: 'roundrobin' | 'leastconn' | 'random' | 'source' | 'maglev' | 'leasttime' | 'first';
  readonly stick: StickConfig | undefined;
  /** Undefined: the servers are not checked and count as up. */
  readonly check: CheckConfig | undefined;
  /** Undefined: the servers have none. */
  readonly agent: AgentConfig | undefined;
  /** Undefined: servers are not ejected. */
  readonly outlier: OutlierConfig | undefined;
  readonly timeouts: {
    readonly connectMs: number;
    /** Of silence; 0: for ever. */
    readonly clientMs: number;
    readonly serverMs: number;
    /** Undefined: `clientMs` and `serverMs` go on to apply. */
    readonly tunnelMs: number | undefined;
    /** Undefined: what applied before goes on to. */
    readonly clientFinMs: number | undefined;
    readonly serverFinMs: number | undefined;
  };
  readonly tcp: {
    readonly noDelay: boolean;
    /** Undefined: off. */
    readonly keepalive: { readonly idleS: number; readonly intervalS: number; readonly count: number } | undefined;
    /** 0: as the kernel has it. */
    readonly userTimeoutMs: number;
  };
  /** How many other servers are tried after one that did not accept. */
  readonly retries: number;
  readonly queue: { readonly length: number; readonly timeoutMs: number };
  readonly allBackups: boolean;
  /** Undefined: a server gets its full weight at once. */
  readonly slowStartMs: number | undefined;
  /** Undefined: the connections of a server that goes down go on. */
  readonly onMarkedDown: 'shutdownSessions' | undefined;
  /** Undefined: the connections of a server that drains go on. */
  readonly drainTimeMs: number | undefined;
  readonly frontDoor: FrontDoorConfig;
  /** For servers that say nothing of it; undefined: they get no PROXY protocol header. */
  readonly sendProxy: 'v1' | 'v2' | undefined;
  readonly servers: readonly ServerConfig[];
  /** Names that stand for more servers. */
  readonly discoveries: readonly DiscoveryConfig[];
};

export type ServerConfig = {
  readonly name: string;
  readonly address: Endpoint;
  /** 0..256; 0 gets no connections. */
  readonly weight: number;
  /** Absent: as for all servers of the service. */
  readonly checkAddress?: string | undefined;
  readonly checkPort?: number | undefined;
  readonly agentPort?: number | undefined;
  /** Undefined: no limit. */
  readonly maxconn: number | undefined;
  readonly backup: boolean;
  /** Undefined: as for all servers of the service. */
  readonly sendProxy: 'v1' | 'v2' | undefined;
};

/** Resolves what the file leaves to other values. The file has passed the cross checks. */
export function configOf(file: ConfigFile): Config {
  const { sync } = file;
  return {
    nodes: file.nodes.map((node) => ({ ...node, syncAddress: node.syncAddress ?? node.address })),
    sync: sync && { port: sync.port, keyFile: sync.keyFile, heartbeatMs: sync.heartbeat },
    virtualRouters: file.virtualRouters.map((router) =>
      virtualRouterOf(
        router,
        file.nodes.map((node) => node.name),
      ),
    ),
    syncGroups: file.syncGroups,
    services: file.services.map(serviceOf),
    resolvers: file.resolvers,
    proxy: file.proxy,
    admin: { socket: file.admin.socket, group: file.admin.group, listen: file.admin.listen },
    state: stateOf(file.state),
    log: { level: file.log.level, access: accessLogOf(file.log.access) },
  };
}

function accessLogOf(access: ConfigFile['log']['access']): Config['log']['access'] {
  if (access === 'off') return undefined;
  return access === 'stdout' ? access : { file: access };
}

function serviceOf(service: ConfigFile['services'][number]): ServiceConfig {
  const { stick, check, agent, outlier, timeouts } = service;
  const entries = service.servers.map(serverOrDiscovery);
  return {
    name: service.name,
    listen: service.listen,
    mode: service.mode,
    balance: service.balance,
    stick: stick && stickOf(stick),
    check: check === false ? undefined : checkOf(check),
    agent: agent && agentOf(agent),
    outlier: outlier && outlierOf(outlier),
    timeouts: {
      connectMs: timeouts.connect,
      clientMs: timeouts.client,
      serverMs: timeouts.server,
      tunnelMs: timeouts.tunnel,
      clientFinMs: timeouts.clientFin,
      serverFinMs: timeouts.serverFin,
    },
    tcp: {
      noDelay: service.noDelay,
      keepalive: service.keepalive === false ? undefined : keepaliveOf(service.keepalive),
      userTimeoutMs: service.tcpUserTimeout,
    },
    retries: service.retries,
    queue: { length: service.queue.length, timeoutMs: service.queue.timeout ?? timeouts.connect },
    allBackups: service.allBackups,
    slowStartMs: service.slowStart,
    onMarkedDown: service.onMarkedDown,
    drainTimeMs: service.drainTime,
    frontDoor: frontDoorOf(service),
    sendProxy: service.sendProxy,
    servers: entries.flatMap((entry) => ('server' in entry ? [entry.server] : [])),
    discoveries: entries.flatMap((entry) => ('discovery' in entry ? [entry.discovery] : [])),
  };
}

function keepaliveOf({ idle, interval, count }: Exclude<ConfigFile['services'][number]['keepalive'], false>) {
  return { idleS: idle / 1_000, intervalS: interval / 1_000, count };
}
