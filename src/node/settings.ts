/** What each part of this node needs from the configuration: the one place where config's words meet the domains'. */
import { availableParallelism } from 'node:os';
import type { Config, NodeConfig, ServiceConfig } from '../config/index.ts';
import { assert } from '../base/index.ts';
import { effectiveWeight } from '../proxy/index.ts';
import type { CheckConfig, ServerPool, ServerSpec, WorkerService } from '../proxy/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { RouterSpec } from './vrrp-protocol.ts';

/** How many sources one service remembers; beyond that the oldest goes. */
const stickEntriesMax = 1_000_000;
const checkJitter = 0.1;

export type NodeIdentity = {
  readonly self: NodeConfig;
  /** Undefined on a single node. */
  readonly peer: NodeConfig | undefined;
};

/** Undefined if the file has no node of that name. */
export function identify(config: Config, nodeName: string): NodeIdentity | undefined {
  const self = config.nodes.find((node) => node.name === nodeName);
  return self && { self, peer: config.nodes.find((node) => node !== self) };
}

/** Throws OperatorError `IPV6_ROUTER`: elections over IPv6 are not there yet. */
export function routerSpecs(config: Config, { self, peer }: NodeIdentity): readonly RouterSpec[] {
  const ipv6 = config.virtualRouters.find((router) => router.family === 6);
  if (ipv6 !== undefined) {
    const what = `virtual router ${ipv6.name} has IPv6 addresses, which this version cannot elect a holder for`;
    throw new OperatorError('IPV6_ROUTER', what, 'give it IPv4 addresses');
  }
  return config.virtualRouters.map((router) => ({
    name: router.name,
    vrid: router.vrid,
    interface: forNode(router.interface, self.name),
    addresses: router.addresses,
    priority: forNode(router.priority, self.name),
    advertIntervalMs: router.advertIntervalMs,
    preempt: router.preempt,
    ownAddress: self.address,
    unicastPeer: router.mode === 'unicast' ? peer?.address : undefined,
    announceRefreshMs: router.announceRefreshMs ?? 0,
    epoch: 0,
  }));
}

export function workerCount(config: Config): number {
  return config.proxy.workers === 'auto' ? availableParallelism() : config.proxy.workers;
}

export function serverSpecs(service: ServiceConfig): readonly ServerSpec[] {
  return service.servers.map(({ name, address, weight }) => ({ name, ...address, weight }));
}

/** A service as the workers are told of it, with its servers as they stand now. */
export function workerService(service: ServiceConfig, pool: ServerPool): WorkerService {
  return {
    name: service.name,
    ...service.listen,
    balance: service.balance,
    servers: [...pool.values()].map((server) => ({
      name: server.name,
      address: server.address,
      port: server.port,
      weight: effectiveWeight(server),
      admin: server.admin,
      health: server.health,
    })),
    retries: service.retries,
    connectTimeoutMs: service.timeouts.connectMs,
    idleTimeoutMs: service.timeouts.idleMs ?? 0,
    source: undefined,
    stick: service.stick && { ttlMs: service.stick.ttlMs, entriesMax: stickEntriesMax },
  };
}

/** Undefined where the service's servers are not checked. */
export function checkConfig(service: ServiceConfig): CheckConfig | undefined {
  const { check } = service;
  return (
    check && {
      interMs: check.interMs,
      timeoutMs: check.timeoutMs,
      rise: check.rise,
      fall: check.fall,
      jitter: checkJitter,
    }
  );
}

function forNode<Value>(values: Readonly<Record<string, Value>>, node: string): Value {
  const value = values[node];
  assert(value !== undefined, `the configuration has a value for node ${node}`);
  return value;
}
