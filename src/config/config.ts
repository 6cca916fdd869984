/** The configuration as the program uses it: nothing optional but what may be absent, nothing left to resolve. */

import { assert, ipFamily } from '../base/index.ts';
import type { IpFamily, IpPrefix } from '../base/index.ts';
import type { Endpoint } from './endpoint.ts';
import { dependentDefaults } from './schema.ts';
import type { ConfigFile } from './schema.ts';

export type Config = {
  /** One or two, in the order of the file. */
  readonly nodes: readonly NodeConfig[];
  /** Always there when there are two nodes. */
  readonly sync: SyncConfig | undefined;
  readonly virtualRouters: readonly VirtualRouterConfig[];
  readonly services: readonly ServiceConfig[];
  readonly proxy: { readonly workers: number | 'auto' };
  readonly admin: {
    /** Directory of `<node>.sock`. */
    readonly socket: string;
    readonly listen: Endpoint | undefined;
  };
  readonly log: { readonly level: 'error' | 'warn' | 'info' | 'debug' };
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

export type VirtualRouterConfig = {
  readonly name: string;
  readonly vrid: number;
  /** By node name. */
  readonly interface: Readonly<Record<string, string>>;
  readonly family: IpFamily;
  readonly addresses: readonly IpPrefix[];
  /** A multiple of 10. */
  readonly advertIntervalMs: number;
  /** By node name, 1..255. */
  readonly priority: Readonly<Record<string, number>>;
  readonly preempt: boolean;
  readonly mode: 'multicast' | 'unicast';
  /** Undefined: the addresses are not announced again. */
  readonly announceRefreshMs: number | undefined;
};

export type ServiceConfig = {
  readonly name: string;
  readonly listen: Endpoint;
  readonly mode: 'proxy';
  readonly balance: 'roundrobin' | 'leastconn';
  readonly stick: { readonly by: 'source'; readonly ttlMs: number } | undefined;
  /** Undefined: the servers are not checked and count as up. */
  readonly check: CheckConfig | undefined;
  readonly timeouts: {
    readonly connectMs: number;
    /** Undefined: an idle connection stays. */
    readonly idleMs: number | undefined;
  };
  /** How many other servers are tried after one that did not accept. */
  readonly retries: number;
  readonly servers: readonly ServerConfig[];
};

export type CheckConfig = {
  readonly interMs: number;
  /** At most `interMs`. */
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  /** Undefined: the server's own port. */
  readonly port: number | undefined;
};

export type ServerConfig = {
  readonly name: string;
  readonly address: Endpoint;
  /** 0..256; 0 gets no connections. */
  readonly weight: number;
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
    services: file.services.map(serviceOf),
    proxy: file.proxy,
    admin: { socket: file.admin.socket, listen: file.admin.listen },
    log: file.log,
  };
}

function virtualRouterOf(
  router: ConfigFile['virtualRouters'][number],
  nodeNames: readonly string[],
): VirtualRouterConfig {
  const family = ipFamily(router.addresses[0]?.address ?? '');
  assert(family !== undefined, 'a virtual router has an address');
  const defaultPriorities = byNode(nodeNames, (_, index) => dependentDefaults.priorities[index]);
  const { priority = defaultPriorities } = router;
  return {
    name: router.name,
    vrid: router.vrid,
    interface: byNode(nodeNames, (node) =>
      typeof router.interface === 'string' ? router.interface : router.interface[node],
    ),
    family,
    addresses: router.addresses,
    advertIntervalMs: router.advertInterval,
    priority: byNode(nodeNames, (node) => (typeof priority === 'number' ? priority : priority[node])),
    preempt: router.preempt,
    mode: router.mode,
    announceRefreshMs: unlessZero(router.announceRefresh),
  };
}

function serviceOf(service: ConfigFile['services'][number]): ServiceConfig {
  const { stick, check, timeouts } = service;
  return {
    name: service.name,
    listen: service.listen,
    mode: service.mode,
    balance: service.balance,
    stick: stick && { by: stick.by, ttlMs: stick.ttl },
    check: check === false ? undefined : checkOf(check),
    timeouts: { connectMs: timeouts.connect, idleMs: unlessZero(timeouts.idle) },
    retries: service.retries,
    servers: service.servers,
  };
}

function checkOf(check: Exclude<ConfigFile['services'][number]['check'], false>): CheckConfig {
  return {
    interMs: check.inter,
    timeoutMs: check.timeout ?? Math.min(dependentDefaults.checkTimeoutMs, check.inter),
    rise: check.rise,
    fall: check.fall,
    port: check.port,
  };
}

function byNode<Value>(
  nodeNames: readonly string[],
  pick: (node: string, index: number) => Value | undefined,
): Readonly<Record<string, Value>> {
  const entries = nodeNames.map((node, index) => {
    const value = pick(node, index);
    assert(value !== undefined, `there is a value for node ${node}`);
    return [node, value] as const;
  });
  return Object.fromEntries(entries);
}

function unlessZero(durationMs: number): number | undefined {
  return durationMs === 0 ? undefined : durationMs;
}
