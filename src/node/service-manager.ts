/** The services of this node: their servers' health and overrides, the workers that relay, who is sticky to whom. */
import { formatEndpoint } from '../base/index.ts';
import type { Result } from '../base/index.ts';
import type { Config, Endpoint, ServiceConfig } from '../config/index.ts';
import { createPool, eligibility, reconfigurePool, serving, setAdmin, setWeight } from '../proxy/index.ts';
import type { PoolServer, PoolUpdate, ServerPool, ServiceCounters, WorkerService } from '../proxy/index.ts';
import { DnsLookup, dnsLookupDefaults } from '../proxy/io/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { Clock, Logger, Native, Random, Service } from '../runtime/index.ts';
import type { Change } from '../sync/index.ts';
import { AddedServers } from './added-servers.ts';
import type { AddedServer, NewServer } from './added-servers.ts';
import type { ServerAction } from './admin-api.ts';
import { Discovery } from './discovery.ts';
import type { Ask } from './discovery.ts';
import type { EventLog } from './events.ts';
import { HealthChecks } from './health-checks.ts';
import { Outliers } from './outliers.ts';
import { keyOf, splitKey } from './replicated-state.ts';
import type { Override, ReplicatedState } from './replicated-state.ts';
import { serverSpecs, stickLimits, workerService } from './settings.ts';
import type { Counted } from './settings.ts';
import { SlotTable } from './slot-table.ts';
import { Stickiness } from './stickiness.ts';
import type { StickStatus } from './stickiness.ts';
import type { AccessLogStatus, ProcessStatus, ServerOrigin, ServerStatus, ServiceStatus } from './status-document.ts';
import { sumCounters } from './sum-counters.ts';
import { WorkerPool } from './worker-pool.ts';

export type ServiceManagerOptions = {
  readonly services: readonly ServiceConfig[];
  /** DNS servers to ask; empty: those of the host. */
  readonly resolvers: readonly Endpoint[];
  readonly workers: number;
  /** Where health checks leave from, those to servers of its family: the node's own address. */
  readonly checkSource: string;
  readonly accessLog: Config['log']['access'];
};

export type ServiceManagerPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly native: Native;
  readonly random: Random;
  readonly events: EventLog;
  readonly state: ReplicatedState;
  /** Whether a service has a server for new connections has changed. */
  readonly onUsable: (service: string, isUsable: boolean) => void;
};

export type StickQuery = { readonly service?: string | undefined; readonly source?: string | undefined };

/** `total` counts also those that are too many to be listed. */
export type StickList = { readonly total: number; readonly entries: readonly StickStatus[] };

const sticksListedMax = 10_000;

export class ServiceManager implements Service {
  readonly name = 'services';
  readonly #ports: ServiceManagerPorts;
  /** As in the file. */
  #configured: readonly ServiceConfig[];
  /** With the servers that were added at run time, and those that DNS names stand for. */
  #services: readonly ServiceConfig[];
  #configs: ReadonlyMap<string, ServiceConfig> = new Map();
  #pools = new Map<string, ServerPool>();
  readonly #slots = new SlotTable();
  readonly #workers: WorkerPool;
  readonly #stickiness: Stickiness;
  readonly #health: HealthChecks;
  readonly #outliers: Outliers;
  readonly #added: AddedServers;
  readonly #discovery: Discovery;
  #resolvers: readonly Endpoint[];
  #accessLog: Config['log']['access'];
  #accessRecordsDropped = 0;

  constructor(options: ServiceManagerOptions, ports: ServiceManagerPorts) {
    const { clock, logger, native, random, events, state } = ports;
    this.#ports = ports;
    this.#added = new AddedServers({ table: state.servers, clock });
    this.#discovery = new Discovery(askFor(options.resolvers), {
      clock,
      logger,
      events,
      onChanged: () => this.#refreshSoon(),
    });
    this.#resolvers = options.resolvers;
    this.#accessLog = options.accessLog;
    this.#configured = options.services;
    this.#services = options.services;
    this.#configs = byName(options.services);
    for (const service of options.services) this.#pools.set(service.name, createPool(serverSpecs(service)));
    this.#workers = new WorkerPool(options.workers, {
      clock,
      logger,
      native,
      events,
      accessLog: () => this.#accessLog,
      services: () => this.#services.map((service) => this.#workerService(service)),
      usedSlots: () => this.#slots.used,
      onWorkerStarted: (worker) => {
        this.#outliers.onWorkerStarted(worker);
        this.#stickiness.teach(worker);
      },
      onServerFailures: (worker, servers) => this.#outliers.onFailures(worker, servers),
      onStickClaims: (worker, claims) => this.#workers.assignSticks(worker, this.#stickiness.claim(claims)),
      onStickTouched: (entries) => this.#stickiness.touch(entries),
    });
    this.#stickiness = new Stickiness({
      clock,
      table: state.sticks,
      limits: (service) => {
        const stick = this.#configs.get(service)?.stick;
        return stick && stickLimits(stick);
      },
      broadcast: (command) => this.#workers.broadcast(command),
      send: (worker, command) => this.#workers.send(worker, command),
    });
    const pools = {
      pool: (service: string) => this.#pool(service),
      store: (service: string, update: PoolUpdate) => this.#store(service, update),
    };
    this.#health = new HealthChecks(
      { ownAddress: options.checkSource },
      { clock, logger, native, random, events, ...pools, services: () => this.#services },
    );
    this.#outliers = new Outliers({
      ...{ clock, logger, events, ...pools },
      config: (service) => this.#configs.get(service)?.outlier,
    });
  }

  get processes(): readonly ProcessStatus[] {
    return this.#workers.processes;
  }

  /** Throws OperatorError `LISTEN` if a service cannot be listened for: nothing is half-applied. */
  async start(): Promise<void> {
    await this.#discovery.learn(this.#configured);
    this.#refresh();
    for (const [key, override] of this.#ports.state.overrides.entries(this.#ports.clock.nowMs())) {
      this.#applyOverride(key, override);
    }
    await this.#workers.start();
    const [failure] = this.#workers.failures;
    if (failure !== undefined) {
      await this.#workers.stop();
      throw listenError(this.#configs.get(failure.service), failure.error);
    }
    await this.#health.start();
  }

  async stop(): Promise<void> {
    this.#discovery.stop();
    this.#outliers.stop();
    await this.#health.stop();
    await this.#workers.stop();
  }

  /**
   * These services from now on. Servers that stay keep their health and what operators set; connections of those that
   * go, go on. Throws OperatorError when a service cannot be listened for; everything is as it was before then.
   */
  async reconfigure({ services, resolvers, log }: Pick<Config, 'services' | 'resolvers' | 'log'>): Promise<void> {
    await this.#discovery.learn(services, askFor(resolvers));
    const [configured, before, pools, accessLog] = [this.#configured, this.#services, this.#pools, this.#accessLog];
    this.#configured = services;
    this.#accessLog = log.access;
    this.#refresh();
    const isAnswered = await this.#workers.reconfigureNow();
    const [failure] = this.#workers.failures;
    if (isAnswered && failure === undefined) {
      this.#resolvers = resolvers;
      this.#discovery.retain(services);
      return;
    }
    const error =
      failure === undefined
        ? new OperatorError('WORKER_SILENT', 'a worker did not answer in time', 'try again; tandem status names it')
        : listenError(this.#configs.get(failure.service), failure.error);
    this.#configured = configured;
    this.#accessLog = accessLog;
    this.#adopt(before, pools);
    this.#discovery.retain(configured);
    await this.#discovery.learn(configured, askFor(this.#resolvers));
    // Servers may have been added meanwhile, and names may stand for others.
    this.#refresh();
    await this.#workers.reconfigureNow();
    throw error;
  }

  /** Throws OperatorError `NO_SUCH_SERVICE`, or `NOT_STICKY`. */
  sticks(wanted: StickQuery): StickList {
    if (wanted.service !== undefined) this.#requireSticky(wanted.service);
    const entries: StickStatus[] = [];
    let total = 0;
    for (const entry of this.#stickiness.list(wanted)) if (++total <= sticksListedMax) entries.push(entry);
    return { total, entries };
  }

  /** How many clients of the service are forgotten; all without a source. Throws like `sticks`. */
  clearSticks(service: string, source: string | undefined): number {
    this.#requireSticky(service);
    const cleared = this.#stickiness.clear(service, source);
    const what = source === undefined ? 'all sources' : source;
    this.#ports.events.add('override', `${service}: ${what} cleared from the stick table (${cleared})`, {
      service,
      cleared,
    });
    return cleared;
  }

  /** Both nodes have the same services: what is remembered of others is of no use to either. */
  forgetStrangers(): void {
    this.#added.retain(this.#configured);
    this.#stickiness.forgetStrangers();
  }

  /** Throws OperatorError: there is no such service, or what stands against the server. */
  addServer(server: NewServer): void {
    const service = this.#require(server.service);
    const { address } = this.#added.add(service, server);
    this.#refreshSoon();
    const where = formatEndpoint(address.address, address.port);
    this.#ports.events.add('override', `${service.name}: ${server.name} ${where} added`, { ...server });
  }

  /**
   * Its connections go on until they end. Throws OperatorError for a service or server that does not exist, and for one
   * that was not added at run time.
   */
  removeServer(serviceName: string, name: string): void {
    const service = this.#require(serviceName);
    const origin = this.#originOf(service, name);
    if (origin === undefined) {
      const known = knownNames(this.#pool(serviceName));
      throw new OperatorError('NO_SUCH_SERVER', `service ${serviceName} has no server ${name}`, known);
    }
    if (origin !== 'added') {
      const mend = 'take it out of the file and tandem reload, or tandem server maint';
      const where = origin === 'dns' ? 'comes from a DNS name' : 'is in the file';
      throw new OperatorError('CONFIGURED', `${name} ${where} of service ${serviceName}`, mend);
    }
    this.#added.remove(serviceName, name);
    this.#ports.state.overrides.delete(keyOf(serviceName, name), this.#ports.clock.nowMs());
    this.#refreshSoon();
    this.#ports.events.add('override', `${serviceName}: ${name} removed`, { service: serviceName, server: name });
  }

  /** Resets what this node has to the server, also to one that was removed. */
  closeServerConnections(service: string, server: string): void {
    // The workers are told first that it is gone, or what is closed would come again.
    this.#ports.clock.afterPoll(() => this.#workers.broadcast({ kind: 'close-server-connections', service, server }));
  }

  /** The peer's operator added or removed a server. */
  onServerMerged({ key, value }: Change<AddedServer>): void {
    const [service, server] = splitKey(key);
    const what = value === undefined ? 'removed' : 'added';
    this.#ports.events.add('override', `${service}: ${server} ${what} on the peer`, { service, server });
    this.#refreshSoon();
  }

  /** Throws OperatorError for a service or server that does not exist, and when the table of overrides is full. */
  setServer(service: string, server: string, change: ServerAction): void {
    const pool = this.#pools.get(service);
    if (pool === undefined) {
      throw new OperatorError('NO_SUCH_SERVICE', `there is no service ${service}`, knownNames(this.#pools));
    }
    if (!pool.has(server)) {
      throw new OperatorError('NO_SUCH_SERVER', `service ${service} has no server ${server}`, knownNames(pool));
    }
    const { overrides } = this.#ports.state;
    const key = keyOf(service, server);
    const nowMs = this.#ports.clock.nowMs();
    const override = merge(overrides.get(key, nowMs), change);
    if (override === undefined) overrides.delete(key, nowMs);
    else if (!overrides.set(key, override, nowMs)) {
      throw new OperatorError('TOO_MANY_OVERRIDES', 'there are too many overrides', 'set servers back to ready');
    }
    this.#applyOverride(key, override);
    this.#ports.events.add('override', `${service}: ${server} ${describe(change)}`, { service, server, ...change });
  }

  /** The peer's operator set something. */
  onOverrideMerged({ key, value }: Change<Override>): void {
    const [service, server] = splitKey(key);
    this.#applyOverride(key, value);
    this.#ports.events.add('override', `${service}: ${server} set on the peer`, { service, server, ...value });
  }

  onStickMerged(change: Change<string>): void {
    this.#stickiness.onMerged(change);
  }

  /** Ends the connections of services on addresses that this node no longer holds: their clients talk to the peer. */
  resetConnections(addresses: readonly string[]): void {
    const services = this.#services
      .filter((service) => addresses.includes(service.listen.address))
      .map((service) => service.name);
    this.#workers.broadcast({ kind: 'reset-connections', services });
  }

  /** Whether the service has a server for new connections. */
  isUsable(service: string): boolean {
    return [...this.#pool(service).values()].some((server) => canServe(server));
  }

  async openConnections(): Promise<number> {
    const workers = await this.#workers.counters();
    this.#accessRecordsDropped = workers.reduce((sum, worker) => sum + worker.accessRecordsDropped, 0);
    const counters = sumCounters(workers);
    return [...counters.values()].reduce((sum, service) => sum + service.connectionsCurrent, 0);
  }

  /** As of the last `status`; undefined where there is no access log. */
  get accessLog(): AccessLogStatus | undefined {
    const accessLog = this.#accessLog;
    if (accessLog === undefined) return undefined;
    const destination = accessLog === 'stdout' ? accessLog : accessLog.file;
    return { destination, droppedRecords: this.#accessRecordsDropped };
  }

  async status(): Promise<readonly ServiceStatus[]> {
    const counters = sumCounters(await this.#workers.counters());
    const sticks = this.#stickiness.counts();
    return this.#services.map((service) => this.#serviceStatus(service, counters.get(service.name), sticks));
  }

  /** A name has no slash, so that the slots of the queue and of the clients are no server's. */
  #workerService(service: ServiceConfig): WorkerService {
    const slotOf = (counted: Counted): number =>
      this.#slots.slotOf(keyOf(service.name, typeof counted === 'string' ? `/${counted}` : counted.server));
    return workerService(service, this.#pool(service.name), { workers: this.processes.length, slotOf });
  }

  #serviceStatus(
    service: ServiceConfig,
    counters: ServiceCounters | undefined,
    sticks: ReadonlyMap<string, number>,
  ): ServiceStatus {
    const failure = this.#workers.failures.find((candidate) => candidate.service === service.name);
    return {
      name: service.name,
      listen: formatEndpoint(service.listen.address, service.listen.port),
      balance: service.balance,
      listenError: failure?.error,
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
      discoveries: this.#discovery.status(service.name),
      servers: [...this.#pool(service.name).values()].map((server) => this.#serverStatus(service, server, counters)),
    };
  }

  #serverStatus(service: ServiceConfig, server: PoolServer, counters: ServiceCounters | undefined): ServerStatus {
    const own = counters?.servers.find((candidate) => candidate.server === server.name);
    return {
      name: server.name,
      origin: this.#originOf(service, server.name) ?? 'file',
      address: formatEndpoint(server.address, server.port),
      health: healthOf(service, server),
      state: server.admin,
      weight: Math.round(serving(server).weight * 100) / 100,
      backup: server.backup ?? false,
      maxconn: serving(server).maxconn,
      connections: own?.connectionsCurrent ?? 0,
      queued: own?.queued ?? 0,
      connectionsTotal: own?.connectionsTotal ?? 0,
      connectFailures: own?.connectFailures ?? 0,
      drained: own?.drained ?? 0,
      shutdowns: own?.shutdowns ?? 0,
      check: service.check?.probe.kind,
      lastCheck: this.#health.lastCheck(service.name, server.name),
      agent: this.#health.agentStatus(service, server),
      ejection: this.#outliers.status(service.name, server.name),
      ejectionsTotal: this.#outliers.ejectionsTotal(service.name, server.name),
    };
  }

  #require(service: string): ServiceConfig {
    const config = this.#configs.get(service);
    if (config !== undefined) return config;
    throw new OperatorError('NO_SUCH_SERVICE', `there is no service ${service}`, knownNames(this.#configs));
  }

  /** Where a server comes from; undefined: there is none of that name. */
  #originOf({ name: service, servers }: ServiceConfig, name: string): ServerOrigin | undefined {
    const configured = this.#configured.find((one) => one.name === service);
    if (configured?.servers.some((server) => server.name === name) === true) return 'file';
    if (configured !== undefined && this.#discovery.of(configured).some((one) => one.name === name)) return 'dns';
    return servers.some((server) => server.name === name) ? 'added' : undefined;
  }

  /** Brings what is served to what is configured and added now. */
  #refresh(): void {
    const services = this.#configured.map((service) => ({
      ...service,
      servers: [...service.servers, ...this.#discovery.of(service), ...this.#added.of(service)],
    }));
    this.#adopt(services, new Map(services.map((service) => [service.name, this.#poolFor(service)])));
  }

  #refreshSoon(): void {
    this.#refresh();
    this.#workers.reconfigure();
  }

  #requireSticky(service: string): void {
    const config = this.#require(service);
    if (config.stick === undefined) {
      throw new OperatorError('NOT_STICKY', `service ${service} has no stickiness`, 'configure stick for it');
    }
  }

  #adopt(services: readonly ServiceConfig[], pools: Map<string, ServerPool>): void {
    const wasUsable = new Map(this.#services.map(({ name }) => [name, this.isUsable(name)]));
    this.#services = services;
    this.#configs = byName(services);
    this.#pools = pools;
    this.#health.configure();
    for (const name of new Set([...wasUsable.keys(), ...pools.keys()])) this.#outliers.onPoolChanged(name);
    for (const { name } of services) {
      const isUsable = this.isUsable(name);
      if (wasUsable.get(name) !== isUsable) this.#ports.onUsable(name, isUsable);
      if (wasUsable.get(name) === true && !isUsable) this.#warnOfEmptiness(name);
    }
  }

  #poolFor(service: ServiceConfig): ServerPool {
    let pool = reconfigurePool(this.#pool(service.name), serverSpecs(service));
    for (const { name } of pool.values()) {
      const override = this.#ports.state.overrides.get(keyOf(service.name, name), this.#ports.clock.nowMs());
      pool = withOverride(pool, name, override);
    }
    return pool;
  }

  #warnOfEmptiness(service: string): void {
    this.#ports.logger.warn({ service }, 'no server is left for new connections');
    this.#ports.events.add('server', `${service}: no server is left for new connections`, { service });
  }

  /** Undefined: back to what is configured. Overrides of servers that do not exist (any more) wait for them. */
  #applyOverride(key: string, override: Override | undefined): void {
    const [service, server] = splitKey(key);
    const pool = this.#pools.get(service);
    if (pool === undefined) return;
    const admin = setAdmin(pool, server, override?.admin ?? 'ready', override?.drainMs);
    if (!admin.ok) return;
    this.#store(service, admin.value);
    const weight = setWeight(admin.value.pool, server, override?.weight);
    if (weight.ok) this.#store(service, weight.value);
    this.#health.configure();
  }

  #store(service: string, { pool, change }: PoolUpdate): void {
    const wasUsable = this.isUsable(service);
    this.#pools.set(service, pool);
    if (change === undefined) return;
    this.#workers.reconfigure();
    if (this.isUsable(service) !== wasUsable) this.#ports.onUsable(service, !wasUsable);
    if (wasUsable && !this.isUsable(service)) this.#warnOfEmptiness(service);
    this.#outliers.onPoolChanged(service);
  }

  #pool(service: string): ServerPool {
    return this.#pools.get(service) ?? new Map();
  }
}

function askFor(resolvers: readonly Endpoint[]): Ask {
  const lookup = new DnsLookup({ resolvers, ...dnsLookupDefaults });
  return (question) => lookup.ask(question);
}

function byName(services: readonly ServiceConfig[]): ReadonlyMap<string, ServiceConfig> {
  return new Map(services.map((service) => [service.name, service]));
}

function withOverride(pool: ServerPool, server: string, override: Override | undefined): ServerPool {
  const admin = updated(pool, setAdmin(pool, server, override?.admin ?? 'ready', override?.drainMs));
  return updated(admin, setWeight(admin, server, override?.weight));
}

function updated(pool: ServerPool, update: Result<PoolUpdate, string>): ServerPool {
  return update.ok ? update.value.pool : pool;
}

function canServe(server: PoolServer): boolean {
  return eligibility(serving(server)) === 'all';
}

function healthOf(service: ServiceConfig, server: PoolServer): ServerStatus['health'] {
  if (server.health === 'down' || server.agent?.down !== undefined) return 'down';
  return service.check === undefined ? 'unchecked' : 'up';
}

/** Undefined when all is as configured again. */
function merge(known: Override | undefined, change: ServerAction): Override | undefined {
  const admin = change.action === 'weight' ? known?.admin : change.action;
  const weight = change.action === 'weight' ? change.weight : known?.weight;
  const drainMs = change.action === 'weight' ? known?.drainMs : change.overMs;
  const isReady = admin === undefined || admin === 'ready';
  const override = {
    ...(isReady ? {} : { admin }),
    ...(isReady || drainMs === undefined ? {} : { drainMs }),
    ...(weight === undefined ? {} : { weight }),
  };
  return Object.keys(override).length === 0 ? undefined : override;
}

function describe(change: ServerAction): string {
  if (change.action !== 'weight') {
    return `set to ${change.action}${change.overMs === undefined ? '' : ` over ${change.overMs / 1_000} s`}`;
  }
  return change.weight === undefined ? 'back to its configured weight' : `set to weight ${change.weight}`;
}

function knownNames(known: ReadonlyMap<string, unknown>): string {
  return `there are: ${[...known.keys()].join(', ')}`;
}

function listenError(service: ServiceConfig | undefined, error: string): OperatorError {
  const where = service === undefined ? '' : formatEndpoint(service.listen.address, service.listen.port);
  const mend =
    error === 'EADDRINUSE'
      ? `stop the other program on that port (ss -ltnp shows it) or choose another`
      : error === 'EACCES'
        ? 'run as root, or with CAP_NET_BIND_SERVICE for ports below 1024'
        : 'see `man 7 ip` for what this means';
  return new OperatorError('LISTEN', `service ${service?.name ?? '?'} cannot listen on ${where}: ${error}`, mend);
}
