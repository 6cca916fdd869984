/** What the status document says of a service and its servers, put together from all who know something of them. */
import { formatEndpoint } from '../base/index.ts';
import type { ServiceConfig } from '../config/index.ts';
import { serving } from '../proxy/index.ts';
import type { PoolServer, ServiceCounters } from '../proxy/index.ts';
import type { Discovery } from './discovery.ts';
import type { HealthChecks } from './health-checks.ts';
import type { Outliers } from './outliers.ts';
import type { ServerPools } from './server-pools.ts';
import type { ServiceList } from './service-list.ts';
import type { ServerStatus, ServiceStatus } from './status-document.ts';
import type { ListenFailure } from './worker-pool.ts';

export type StatusSources = {
  readonly list: ServiceList;
  readonly pools: ServerPools;
  readonly health: HealthChecks;
  readonly outliers: Outliers;
  readonly discovery: Discovery;
  /** Of all workers, by service. */
  readonly counters: ReadonlyMap<string, ServiceCounters>;
  /** Sources that are remembered, by service. */
  readonly sticks: ReadonlyMap<string, number>;
  readonly failures: readonly ListenFailure[];
};

export function serviceStatus(service: ServiceConfig, sources: StatusSources): ServiceStatus {
  const { pools, discovery, sticks, failures } = sources;
  const counters = sources.counters.get(service.name);
  return {
    name: service.name,
    listen: formatEndpoint(service.listen.address, service.listen.port),
    balance: service.balance,
    listenError: failures.find((failure) => failure.service === service.name)?.error,
    connections: counters?.connectionsCurrent ?? 0,
    connectionsTotal: counters?.connectionsTotal ?? 0,
    bytesIn: counters?.bytesIn ?? 0,
    bytesOut: counters?.bytesOut ?? 0,
    refused: counters?.refused ?? {},
    ended: counters?.ended ?? {},
    queued: counters?.queued ?? 0,
    queuedMax: counters?.queuedMax ?? 0,
    queueLength: service.queue.length,
    stickEntries: service.stick && (sticks.get(service.name) ?? 0),
    discoveries: discovery.status(service.name),
    servers: [...pools.of(service.name).values()].map((server) => serverStatus(service, server, sources)),
  };
}

function serverStatus(service: ServiceConfig, server: PoolServer, sources: StatusSources): ServerStatus {
  const { list, health, outliers } = sources;
  const counters = sources.counters.get(service.name)?.servers.find((candidate) => candidate.server === server.name);
  const { weight, maxconn } = serving(server);
  return {
    name: server.name,
    origin: list.originOf(service, server.name) ?? 'file',
    address: formatEndpoint(server.address, server.port),
    health: healthOf(service, server),
    state: server.admin,
    weight: Math.round(weight * 100) / 100,
    backup: server.backup ?? false,
    maxconn,
    connections: counters?.connectionsCurrent ?? 0,
    queued: counters?.queued ?? 0,
    connectionsTotal: counters?.connectionsTotal ?? 0,
    connectFailures: counters?.connectFailures ?? 0,
    drained: counters?.drained ?? 0,
    shutdowns: counters?.shutdowns ?? 0,
    check: service.check?.probe.kind,
    lastCheck: health.lastCheck(service.name, server.name),
    agent: health.agentStatus(service, server),
    ejection: outliers.status(service.name, server.name),
    ejectionsTotal: outliers.ejectionsTotal(service.name, server.name),
  };
}

function healthOf(service: ServiceConfig, server: PoolServer): ServerStatus['health'] {
  if (server.health === 'down' || server.agent?.down !== undefined) return 'down';
  return service.check === undefined ? 'unchecked' : 'up';
}
