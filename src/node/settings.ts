/** What each part of this node needs from the configuration: the one place where config's words meet the domains'. */
import { availableParallelism, hostname } from 'node:os';
import type {
  Config,
  HmacConfig,
  NodeConfig,
  ServiceConfig,
  StickConfig,
  VirtualRouterConfig,
} from '../config/index.ts';
import { assert } from '../base/index.ts';
import { serving } from '../proxy/index.ts';
import type { ServerPool, ServerSpec, WorkerService } from '../proxy/index.ts';
import { OperatorError } from '../runtime/index.ts';
import { workerWeights } from './check-settings.ts';
import { frontDoor } from './front-door.ts';
import type { GapProbeTarget } from './gap-probe.ts';
import type { RouterRole } from './mastership.ts';
import type { HookedRouter } from './hooks/hooks.ts';
import { sourceFor } from './own-address.ts';
import type { TrackingRouter } from './tracking/trackers.ts';
import type { StickLimits } from './stickiness.ts';
import type { HmacSpec, RouterSpec } from './vrrp-protocol.ts';

/** By path of the key file. */
export type Keys = ReadonlyMap<string, Uint8Array>;

const checksumWords = { auto: 'auto', pseudoHeader: 'pseudo-header', messageOnly: 'message-only' } as const;

export type NodeIdentity = {
  readonly self: NodeConfig;
  /** Undefined on a single node. */
  readonly peer: NodeConfig | undefined;
};

/** Which of the nodes this is; the host's name unless told otherwise. Throws OperatorError `NO_SUCH_NODE`. */
export function nodeOf(config: Config, path: string, nodeName = hostname()): NodeIdentity {
  const self = config.nodes.find((node) => node.name === nodeName);
  if (self !== undefined) return { self, peer: config.nodes.find((node) => node !== self) };
  const known = config.nodes.map((node) => node.name).join(', ');
  throw new OperatorError('NO_SUCH_NODE', `${path} has no node ${nodeName}`, `name one of ${known} with --node`);
}

/** Twice in the shortest adverts' interval: such an interval without a word then says as much as one on the LAN. */
export function heartbeatPaceMs({ sync, virtualRouters }: Config): number {
  const intervals = virtualRouters.map(({ advertIntervalMs }) => advertIntervalMs);
  return Math.min(sync?.heartbeatMs ?? Infinity, Math.min(...intervals) / 2);
}

/** The virtual routers of this node; `keys` holds the content of every HMAC key file. */
export function routerSpecs(config: Config, { self, peer }: NodeIdentity, keys: Keys): readonly RouterSpec[] {
  return config.virtualRouters.map((router) => ({
    name: router.name,
    version: router.version,
    vrid: router.vrid,
    interface: forNode(router.interface, self.name),
    family: router.family,
    addresses: router.addresses,
    priority: forNode(router.priority, self.name),
    advertIntervalMs: router.advertIntervalMs,
    preempt: router.preempt,
    preemptDelayMs: router.preemptDelayMs,
    ownAddress: router.family === 6 && router.mode === 'multicast' ? undefined : self.address,
    unicastPeer: router.mode === 'unicast' ? peer?.address : undefined,
    checksum: checksumWords[router.checksum],
    simplePassword: router.simplePassword,
    hmac: router.hmac && hmacSpec(router.hmac, keys),
    syncGroup: groupOf(config, router.name),
    virtualMac: router.mac === 'virtual',
    announceRefreshMs: router.announceRefreshMs ?? 0,
    epoch: 0,
  }));
}

/** How the roles of this node's virtual routers begin. */
export function initialRoles(specs: readonly RouterSpec[]): Readonly<Record<string, RouterRole>> {
  return Object.fromEntries(
    specs.map(({ name, priority, ownAddress }) => [
      name,
      { state: 'initialize', epoch: 0, priority, address: ownAddress ?? '::' },
    ]),
  );
}

/** What is tracked for each virtual router. */
export function trackingRouters(config: Config, specs: readonly RouterSpec[]): readonly TrackingRouter[] {
  return specs.map(({ name, priority, syncGroup }) => ({
    name,
    priority,
    syncGroup,
    track: configured(config, name).track,
  }));
}

/** What the hooks of each virtual router are, and are told. */
export function hookedRouters(config: Config, specs: readonly RouterSpec[]): readonly HookedRouter[] {
  return specs.map(({ name, addresses, interface: interfaceName }) => ({
    name,
    addresses,
    interface: interfaceName,
    hooks: configured(config, name).hooks,
  }));
}

/** The virtual routers with those of their sync groups: who moves, moves with its group. */
export function withTheirGroups(config: Config, routers: readonly string[]): readonly string[] {
  const groups = new Set(routers.map((router) => groupOf(config, router)).filter((group) => group !== undefined));
  const others = config.syncGroups.filter(({ name }) => groups.has(name)).flatMap((group) => group.virtualRouters);
  return [...new Set([...routers, ...others])];
}

/** The virtual addresses of these of the virtual routers. */
export function addressesOf(specs: readonly RouterSpec[], routers: readonly string[]): readonly string[] {
  return specs
    .filter(({ name }) => routers.includes(name))
    .flatMap(({ addresses }) => addresses.map(({ address }) => address));
}

/** Where the time without service is measured for these addresses: the first service on one of them. */
export function probeTarget(
  { services }: Config,
  { self }: NodeIdentity,
  addresses: readonly string[],
): GapProbeTarget | undefined {
  const service = services.find(({ listen }) => addresses.includes(listen.address));
  return service && { ...service.listen, source: sourceFor(service.listen.address, self.address) };
}

export function workerCount(config: Config): number {
  return config.proxy.workers === 'auto' ? availableParallelism() : config.proxy.workers;
}

export function serverSpecs(service: ServiceConfig): readonly ServerSpec[] {
  return service.servers.map(({ address, ...server }) => ({ ...server, ...address }));
}

/** What is counted for all workers together: the connections to a server, who waits, and who is served or waits. */
export type Counted = { readonly server: string } | 'queue' | 'clients';

/**
 * A service as the workers, so many of them, are told of it, with its servers as they stand now. `slotOf` says where
 * something is counted.
 */
export function workerService(
  service: ServiceConfig,
  pool: ServerPool,
  { workers, slotOf }: { readonly workers: number; readonly slotOf: (counted: Counted) => number },
): WorkerService {
  const weights = workerWeights(service, pool);
  return {
    name: service.name,
    ...service.listen,
    balance: service.balance,
    servers: [...pool.values()].map((server) => ({
      name: server.name,
      address: server.address,
      port: server.port,
      ...serving(server),
      weight: weights.get(server.name) ?? 0,
      backup: server.backup ?? false,
      slot: slotOf({ server: server.name }),
      drainMs: server.drainMs ?? service.drainTimeMs,
      sendProxy: server.sendProxy ?? service.sendProxy,
    })),
    retries: service.retries,
    connectTimeoutMs: service.timeouts.connectMs,
    inactivity: service.timeouts,
    tcp: service.tcp,
    source: undefined,
    stick: service.stick && stickLimits(service.stick),
    watchFailures: service.outlier !== undefined,
    queue: { ...service.queue, slot: slotOf('queue') },
    allBackups: service.allBackups,
    slowStartMs: service.slowStartMs,
    onMarkedDown: service.onMarkedDown,
    frontDoor: { ...frontDoor(service.frontDoor, workers), slot: slotOf('clients') },
  };
}

/** How sources are remembered, by the main process and by the workers. */
export function stickLimits({ ttlMs, size, prefix }: StickConfig): StickLimits {
  return { ttlMs, entriesMax: size, prefix };
}

function configured(config: Config, name: string): VirtualRouterConfig {
  const router = config.virtualRouters.find((one) => one.name === name);
  assert(router !== undefined, `virtual router ${name} is configured`);
  return router;
}

function groupOf({ syncGroups }: Config, router: string): string | undefined {
  return syncGroups.find(({ virtualRouters }) => virtualRouters.includes(router))?.name;
}

function hmacSpec({ keys, activeKey, mode }: HmacConfig, contents: Keys): HmacSpec {
  const read = keys.map(({ id, keyFile }) => {
    const key = contents.get(keyFile);
    assert(key !== undefined, `the key file ${keyFile} has been read`);
    return { id, key };
  });
  return { keys: read, activeKey, mode };
}

function forNode<Value>(values: Readonly<Record<string, Value>>, node: string): Value {
  const value = values[node];
  assert(value !== undefined, `the configuration has a value for node ${node}`);
  return value;
}
