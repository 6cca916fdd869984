/**
 * The services of this node, put together: which there are, their servers' health, what operators set, the workers that
 * relay, and who is sticky to whom. Starts and stops all of it, and brings it to new settings or back.
 */
import type { Config, Endpoint, ServiceConfig } from '../config/index.ts';
import { reconfigurePool } from '../proxy/index.ts';
import type { WorkerCounters } from '../proxy/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { Clock, Logger, Native, Random, Service } from '../runtime/index.ts';
import { AddedServers } from './added-servers.ts';
import { Discovery, askDns } from './discovery.ts';
import type { EventLog } from './events.ts';
import { HealthChecks } from './health-checks.ts';
import { Outliers } from './outliers.ts';
import { Overrides } from './overrides.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { ServerPools } from './server-pools.ts';
import { listenError } from './service-errors.ts';
import { ServiceList } from './service-list.ts';
import { serviceStatus } from './service-status.ts';
import { createServiceWorkers } from './service-workers.ts';
import { serverSpecs, stickLimits } from './settings.ts';
import { StickCommands } from './stick-commands.ts';
import { Stickiness } from './stickiness.ts';
import type { AcceptingStatus, AccessLogStatus, ProcessStatus, ServiceStatus } from './status-document.ts';
import { sumCounters } from './sum-counters.ts';
import { createTellOverride } from './tell-override.ts';
import type { WorkerPool } from './worker-pool.ts';
import { acceptingOf, accessLogOf } from './worker-status.ts';

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

export class ServiceManager implements Service {
  readonly name = 'services';
  readonly list: ServiceList;
  readonly overrides: Overrides;
  readonly stickiness: Stickiness;
  readonly stickCommands: StickCommands;
  readonly #ports: ServiceManagerPorts;
  readonly #discovery: Discovery;
  readonly #pools: ServerPools;
  readonly #workers: WorkerPool;
  readonly #health: HealthChecks;
  readonly outliers: Outliers;
  #resolvers: readonly Endpoint[];
  #accessLog: Config['log']['access'];
  #lastCounters: readonly WorkerCounters[] = [];

  constructor(options: ServiceManagerOptions, ports: ServiceManagerPorts) {
    const { clock, logger, native, random, events, state } = ports;
    this.#ports = ports;
    this.#resolvers = options.resolvers;
    this.#accessLog = options.accessLog;
    const onChanged = (): void => this.#refreshSoon();
    const tell = createTellOverride({ logger, events });
    const added = new AddedServers({ table: state.servers, clock });
    const discovery = new Discovery(askDns(options.resolvers), { clock, logger, events, onChanged });
    const list = new ServiceList(options.services, {
      ...{ tell, added, discovery, onChanged },
      onRemoved: (service, server) => this.overrides.forget(service, server),
    });
    const pools = new ServerPools(options.services, {
      ...{ logger, events, onUsable: ports.onUsable },
      onChanged: (service) => {
        this.#workers.reconfigure();
        outliers.onPoolChanged(service);
      },
      onReplaced: (services) => {
        health.configure();
        for (const service of services) outliers.onPoolChanged(service);
      },
    });
    const stickiness = new Stickiness({
      ...{ clock, table: state.sticks },
      limits: (service) => {
        const stick = list.get(service)?.stick;
        return stick && stickLimits(stick);
      },
      broadcast: (command) => this.#workers.broadcast(command),
      send: (worker, command) => this.#workers.send(worker, command),
    });
    const access = { pool: pools.of.bind(pools), store: pools.store.bind(pools) };
    const health = new HealthChecks(
      { ownAddress: options.checkSource },
      { clock, logger, native, random, events, ...access, services: () => list.all },
    );
    const outliers = new Outliers({
      ...{ clock, logger, events, ...access, table: state.ejections },
      config: (service) => list.get(service)?.outlier,
    });
    this.list = list;
    this.overrides = new Overrides({
      ...{ clock, tell, pools, table: state.overrides },
      onApplied: () => health.configure(),
    });
    this.stickiness = stickiness;
    this.stickCommands = new StickCommands({ tell, list, stickiness });
    this.#discovery = discovery;
    this.#pools = pools;
    this.#health = health;
    this.outliers = outliers;
    this.#workers = createServiceWorkers(options.workers, {
      ...{ clock, logger, native, events, list, pools, outliers, stickiness },
      accessLog: () => this.#accessLog,
    });
  }

  get processes(): readonly ProcessStatus[] {
    return this.#workers.processes;
  }

  /** Throws OperatorError `LISTEN` if a service cannot be listened for: nothing is half-applied. */
  async start(): Promise<void> {
    await this.#discovery.learn(this.list.configured);
    this.#refresh();
    this.overrides.applyAll();
    await this.#workers.start();
    const failure = this.#listenError();
    if (failure !== undefined) {
      await this.#workers.stop();
      throw failure;
    }
    await this.#health.start();
  }

  async stop(): Promise<void> {
    this.#discovery.stop();
    this.outliers.stop();
    await this.#health.stop();
    await this.#workers.stop();
  }

  /**
   * These services from now on. Servers that stay keep their health and what operators set; connections of those that
   * go, go on. Throws OperatorError when a service cannot be listened for; everything is as it was before then.
   */
  async reconfigure({ services, resolvers, log }: Pick<Config, 'services' | 'resolvers' | 'log'>): Promise<void> {
    await this.#discovery.learn(services, askDns(resolvers));
    const putBack = this.#save();
    this.#accessLog = log.access;
    this.#refresh(services);
    const isAnswered = await this.#workers.reconfigureNow();
    const failure = this.#listenError();
    if (isAnswered && failure === undefined) {
      this.#resolvers = resolvers;
      this.#discovery.retain(services);
      return;
    }
    await putBack();
    const mend = 'try again; tandem status names it';
    throw failure ?? new OperatorError('WORKER_SILENT', 'a worker did not answer in time', mend);
  }

  /** Both nodes have the same services: what is remembered of others is of no use to either. */
  forgetStrangers(): void {
    this.list.forgetStrangers();
    this.stickiness.forgetStrangers();
  }

  /** Resets what this node has to the server, also to one that was removed. */
  closeServerConnections(service: string, server: string): void {
    // The workers are told first that it is gone, or what is closed would come again.
    this.#ports.clock.afterPoll(() => this.#workers.broadcast({ kind: 'close-server-connections', service, server }));
  }

  /** Ends the connections of services on addresses that this node no longer holds: their clients talk to the peer. */
  resetConnections(addresses: readonly string[]): void {
    const services = this.list.all.filter(({ listen }) => addresses.includes(listen.address)).map(({ name }) => name);
    this.#workers.broadcast({ kind: 'reset-connections', services });
  }

  /** Whether the service has a server for new connections. */
  isUsable(service: string): boolean {
    return this.#pools.isUsable(service);
  }

  async openConnections(): Promise<number> {
    const workers = await this.#workers.counters();
    return [...sumCounters(workers).values()].reduce((sum, service) => sum + service.connectionsCurrent, 0);
  }

  /** As of the last `status`; undefined where there is no access log. */
  get accessLog(): AccessLogStatus | undefined {
    return accessLogOf(this.#accessLog, this.#lastCounters);
  }

  /** As of the last `status`. */
  get accepting(): AcceptingStatus {
    return acceptingOf(this.#lastCounters);
  }

  async status(): Promise<readonly ServiceStatus[]> {
    this.#lastCounters = await this.#workers.counters();
    const sources = {
      ...{ list: this.list, pools: this.#pools, discovery: this.#discovery },
      ...{ health: this.#health, outliers: this.outliers },
      counters: sumCounters(this.#lastCounters),
      sticks: this.stickiness.counts(),
      failures: this.#workers.failures,
    };
    return this.list.all.map((service) => serviceStatus(service, sources));
  }

  /** Brings what is served to what is configured, added and found now. */
  #refresh(configured?: readonly ServiceConfig[]): void {
    this.list.refresh(configured);
    const pools = this.list.all.map((service) => {
      const pool = reconfigurePool(this.#pools.of(service.name), serverSpecs(service));
      return [service.name, this.overrides.appliedTo(service.name, pool)] as const;
    });
    this.#pools.replace(new Map(pools));
  }

  #refreshSoon(): void {
    this.#refresh();
    this.#workers.reconfigure();
  }

  /** What is served now; answers how it is put back. */
  #save(): () => Promise<void> {
    const [putBackList, pools, accessLog] = [this.list.save(), this.#pools.snapshot(), this.#accessLog];
    return async () => {
      this.#accessLog = accessLog;
      putBackList();
      this.#pools.replace(pools);
      this.#discovery.retain(this.list.configured);
      await this.#discovery.learn(this.list.configured, askDns(this.#resolvers));
      // Servers may have been added meanwhile, and names may stand for others.
      this.#refresh();
      await this.#workers.reconfigureNow();
    };
  }

  /** Of the first service that a worker cannot listen for. */
  #listenError(): OperatorError | undefined {
    const [failure] = this.#workers.failures;
    return failure && listenError(this.list.get(failure.service), failure.error);
  }
}
