/**
 * One node, put together: the only place where the domains meet. Started in the order in which each part needs the
 * others (the election comes last: a node stands for it once it can serve), stopped in reverse.
 */
import { join } from 'node:path';
import { configHash, configWarnings } from '../config/index.ts';
import type { Config } from '../config/index.ts';
import {
  Lifecycle,
  OperatorError,
  createLogger,
  loadNative,
  randomId,
  systemClock,
  systemRandom,
} from '../runtime/index.ts';
import type { AdjustableLogger } from '../runtime/index.ts';
import { originOf } from '../sync/index.ts';
import type { Plain } from '../sync/index.ts';
import { Rtnetlink } from '../vip/io/index.ts';
import type { RouterHealth } from '../vrrp/index.ts';
import type { NewServer } from './added-servers.ts';
import { AdminApi } from './admin-api.ts';
import type { ServerAction, FailoverRequest } from './admin-api.ts';
import { EventLog } from './events.ts';
import type { GapProbeTarget } from './gap-probe.ts';
import { HealthPolicy } from './health-policy.ts';
import { Hooks } from './hooks/hooks.ts';
import { Mastership } from './mastership.ts';
import { renderMetrics } from './metrics.ts';
import { requireOwnAddress, sourceFor } from './own-address.ts';
import { PeerLink } from './peer-link.ts';
import { plainReport, readFailover, readServerOf, readTakeOver } from './peer-requests.ts';
import { PreemptGate } from './preempt-gate.ts';
import { Reloader } from './reloader.ts';
import type { Loaded, ReadConfig, ReloadReport, ReloadRequest } from './reloader.ts';
import { createReplicatedState } from './replicated-state.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { ServiceManager } from './service-manager.ts';
import type { ServiceManagerOptions, StickList, StickQuery } from './service-manager.ts';
import {
  heartbeatPaceMs,
  hookedRouters,
  initialRoles,
  routerSpecs,
  trackingRouters,
  withTheirGroups,
  workerCount,
} from './settings.ts';
import type { NodeIdentity } from './settings.ts';
import type { FailoverReport, RouterState, StatusDocument } from './status-document.ts';
import { Switchover } from './switchover.ts';
import { Trackers } from './tracking/trackers.ts';
import { version } from './version.ts';
import { VrrpManager } from './vrrp-manager.ts';
import type { RouterSpec } from './vrrp-protocol.ts';
import { warningsOf } from './warnings.ts';

export type TandemNodeOptions = Loaded & {
  readonly identity: NodeIdentity;
  /** Where the configuration was read. */
  readonly path: string;
  readonly readConfig: ReadConfig;
};

/** What follows from the configuration that is in force; replaced as a whole. */
type Settings = { readonly loaded: Loaded; readonly routers: readonly RouterSpec[]; readonly hash: string };

/** How long a node that is told to stop waits for its peer to take over. */
const handOverTimeoutMs = 5_000;

export class TandemNode {
  /** Resolves when the node cannot go on, for a reason that has been logged. */
  readonly failed: Promise<void>;
  readonly #identity: NodeIdentity;
  readonly #logger: AdjustableLogger;
  readonly #lifecycle: Lifecycle;
  readonly #events: EventLog;
  #settings: Settings;
  readonly #reloader: Reloader;
  readonly #mastership: Mastership;
  readonly #services: ServiceManager;
  readonly #trackers: Trackers;
  readonly #hooks: Hooks;
  readonly #vrrp: VrrpManager;
  readonly #preemptGate: PreemptGate;
  readonly #peer: PeerLink | undefined;
  readonly #switchover: Switchover;
  readonly #healthPolicy: HealthPolicy | undefined;
  readonly #admin: AdminApi;
  readonly #startedAtMs = systemClock.nowMs();

  constructor(options: TandemNodeOptions) {
    const { config, identity } = options;
    const clock = systemClock;
    const failed = Promise.withResolvers<undefined>();
    this.failed = failed.promise;
    this.#identity = identity;
    this.#logger = createLogger({ level: config.log.level, fields: { node: identity.self.name } });
    this.#lifecycle = new Lifecycle({ logger: this.#logger });
    this.#events = new EventLog(() => clock.wallMs());
    this.#settings = settingsOf(options, identity);
    const { routers } = this.#settings;
    const bootId = randomId();
    const shared = { clock, logger: this.#logger, events: this.#events };
    const state = createReplicatedState(originOf(identity.self.name, bootId), {
      onOverride: (change) => this.#services.onOverrideMerged(change),
      onServer: (change) => this.#services.onServerMerged(change),
      onStick: (change) => this.#services.onStickMerged(change),
    });
    const onUsable = (service: string, isUsable: boolean): void => this.#trackers.onServiceUsable(service, isUsable);
    const servicePorts = { ...shared, native: loadNative(), random: systemRandom, state, onUsable };
    this.#services = new ServiceManager(serviceOptions(config, identity), servicePorts);
    this.#trackers = this.#createTrackers();
    this.#hooks = new Hooks({ node: identity.self.name, routers: hookedRouters(config, routers) }, shared);
    this.#vrrp = new VrrpManager(routers, {
      ...shared,
      onReady: () => this.#mastership.tellStanding(),
      isPreemptPermitted: () => this.#preemptGate.isPermitted,
      onEpoch: (router, epoch) => this.#mastership.onOwnChange(router, 'active', epoch),
      onSource: (router, address) => this.#mastership.onOwnAddress(router, address),
      health: (router) => this.#trackers.health(router),
      fence: (router) => this.#mastership.fence(router),
      onState: (router, to, epoch, cause) => this.#onRouterState(router, to, epoch, cause),
      onFailed: (error) => {
        this.#logger.error({ code: error.code }, error.line);
        failed.resolve(undefined);
      },
    });
    this.#mastership = new Mastership(initialRoles(routers), {
      onFence: (router, fence) => this.#vrrp.send({ type: 'fence', router, fence }),
      onPeerDied: (router, address) => this.#vrrp.send({ type: 'peer-process-died', router, address }),
      onPeerSilent: (router, address) => this.#vrrp.send({ type: 'peer-silent', router, address }),
      onFenceLifted: (router, cause) => this.#vrrp.send({ type: 'fence-lifted', router, cause }),
      onPeerEpoch: (router, epoch) => this.#vrrp.send({ type: 'peer-epoch', router, epoch }),
      sendRoles: (roles) => this.#peer?.sendRoles(roles),
    });
    this.#peer = this.#createPeer(options, bootId, state);
    this.#preemptGate = new PreemptGate(
      { hasPeer: this.#peer !== undefined },
      { clock, onChange: (isPermitted) => this.#vrrp.send({ type: 'preempt-permitted', isPermitted }) },
    );
    this.#switchover = this.#createSwitchover();
    this.#healthPolicy = this.#createHealthPolicy();
    this.#reloader = this.#createReloader(options);
    const socketPath = join(config.admin.socket, `${identity.self.name}.sock`);
    this.#admin = new AdminApi(
      { socketPath, listen: config.admin.listen },
      { control: this, events: this.#events, clock },
    );
  }

  /** Throws OperatorError when the node cannot run here; what had started is stopped again. */
  async start(): Promise<void> {
    const { self } = this.#identity;
    await requireOwnAddress(self);
    for (const warning of configWarnings(this.#config)) this.#logger.warn({}, warning);
    const base = [this.#admin, this.#services, this.#hooks, this.#trackers, this.#peer];
    const parts = [...base, this.#preemptGate, this.#vrrp, this.#healthPolicy].filter((part) => part !== undefined);
    await this.#lifecycle.start(parts);
    this.#logger.info({ version, configHash: this.#settings.hash }, 'node is running');
    this.#events.add('node', `${self.name} is running tandem ${version}`);
  }

  /** Hands over to the peer if that is possible, then ends everything. */
  async stop(): Promise<void> {
    if (this.#mastership.held().length > 0 && this.#peer !== undefined) {
      try {
        await this.#switchover.run({ to: this.#peer.name, force: false, timeoutMs: handOverTimeoutMs });
      } catch (error) {
        const reason = error instanceof OperatorError ? error.line : String(error);
        this.#logger.warn({ reason }, 'stops without having handed over');
      }
    }
    await this.#lifecycle.stop();
    this.#logger.info({}, 'node has stopped');
  }

  async status(): Promise<StatusDocument> {
    const { self } = this.#identity;
    const [routers, services] = await Promise.all([this.#vrrp.status(), this.#services.status()]);
    const virtualRouters = routers.map((router) => ({
      ...router,
      trackers: this.#trackers.status(router.name),
      lastHook: this.#hooks.status(router.name),
    }));
    const document: StatusDocument = {
      node: self.name,
      version,
      pid: process.pid,
      uptimeMs: systemClock.nowMs() - this.#startedAtMs,
      configHash: this.#settings.hash,
      virtualRouters,
      peer: this.#peer?.status(),
      services,
      processes: [this.#vrrp.process, ...this.#services.processes],
      accessLog: this.#services.accessLog,
      realtime: this.#vrrp.realtime,
      warnings: [],
    };
    return { ...document, warnings: [...warningsOf(document), ...configWarnings(this.#config)] };
  }

  /** Throws OperatorError with the reason when it is refused or did not come about. */
  async failover(request: FailoverRequest): Promise<FailoverReport> {
    try {
      return await this.#moveRouters(request);
    } catch (error) {
      if (error instanceof OperatorError) this.#events.add('failover', `refused: ${error.line}`, { code: error.code });
      throw error;
    }
  }

  setServer(service: string, server: string, change: ServerAction): void {
    this.#services.setServer(service, server, change);
  }

  addServer(server: NewServer): void {
    this.#services.addServer(server);
  }

  /** `force`: on both nodes its connections are reset as well. */
  async removeServer(service: string, server: string, force: boolean): Promise<void> {
    this.#services.removeServer(service, server);
    if (!force) return;
    this.#services.closeServerConnections(service, server);
    // A peer that cannot be asked holds no address, or will be asked for nothing soon.
    await this.#peer?.request('close-server-connections', { service, server }, 1_000).catch(() => undefined);
  }

  sticks(wanted: StickQuery): StickList {
    return this.#services.sticks(wanted);
  }

  clearSticks(service: string, source: string | undefined): number {
    return this.#services.clearSticks(service, source);
  }

  /** Throws OperatorError when the change is refused; nothing of it is applied then. */
  reload(request: ReloadRequest = { path: undefined, isDryRun: false }): Promise<ReloadReport> {
    return this.#reloader.reload(request);
  }

  async metrics(): Promise<string> {
    return renderMetrics(await this.status());
  }

  get #config(): Config {
    return this.#settings.loaded.config;
  }

  #createPeer({ config, identity, key }: TandemNodeOptions, bootId: string, state: ReplicatedState) {
    const { self, peer } = identity;
    if (peer === undefined || config.sync === undefined || key === undefined) return undefined;
    return new PeerLink(
      {
        self,
        peer,
        sync: config.sync,
        key,
        configHash: this.#settings.hash,
        bootId,
        heartbeatPaceMs: heartbeatPaceMs(config),
      },
      {
        clock: systemClock,
        logger: this.#logger,
        events: this.#events,
        random: systemRandom,
        state,
        mastership: this.#mastership,
        onProgress: (progress) => this.#preemptGate.onPeer(progress),
        onRequest: (method, parameters) => this.#onPeerRequest(method, parameters),
        onSameConfig: () => this.#services.forgetStrangers(),
      },
    );
  }

  #createReloader({ path, readConfig }: TandemNodeOptions): Reloader {
    return new Reloader(
      { path, identity: this.#identity },
      {
        logger: this.#logger,
        events: this.#events,
        read: readConfig,
        current: () => this.#settings.loaded,
        stateOf: (router) => this.#mastership.own(router)?.state,
        apply: (next) => this.#apply(settingsOf(next, this.#identity)),
      },
    );
  }

  /**
   * What the world may refuse comes first, and is put back when it is refused. Who is to go is known to all until it is
   * gone, so that its last change of state is heard.
   */
  async #apply(next: Settings): Promise<void> {
    const before = this.#settings;
    await this.#services.reconfigure(next.loaded.config);
    try {
      await this.#moveRoutersTo(next, before);
    } catch (error) {
      await this.#putBack(before, next);
      throw error;
    }
    this.#logger.setLevel(next.loaded.config.log.level);
    this.#peer?.setConfigHash(next.hash);
    this.#peer?.setHeartbeatPace(heartbeatPaceMs(next.loaded.config));
  }

  async #putBack(before: Settings, next: Settings): Promise<void> {
    try {
      await this.#moveRoutersTo(before, next);
      await this.#services.reconfigure(before.loaded.config);
    } catch (cause) {
      const reason = cause instanceof OperatorError ? cause.message : String(cause);
      const what = `what was before the reload could not be put back: ${reason}`;
      this.#logger.error({ err: cause }, what);
      throw new OperatorError('NOT_PUT_BACK', what, 'mend that, then restart the node', { cause });
    }
  }

  async #moveRoutersTo(next: Settings, before: Settings): Promise<void> {
    const leaving = before.routers.filter(({ name }) => !next.routers.some((router) => router.name === name));
    this.#settings = next;
    this.#mastership.add(initialRoles(next.routers));
    this.#hooks.reconfigure([
      ...hookedRouters(next.loaded.config, next.routers),
      ...hookedRouters(before.loaded.config, leaving),
    ]);
    await this.#trackers.reconfigure(trackingRouters(next.loaded.config, next.routers));
    await this.#vrrp.reconfigure(next.routers);
    this.#hooks.reconfigure(hookedRouters(next.loaded.config, next.routers));
    this.#mastership.retain(next.routers.map(({ name }) => name));
    this.#mastership.tellStanding();
    this.#healthPolicy?.reconfigure(next.routers);
  }

  #createTrackers(): Trackers {
    return new Trackers(
      { node: this.#identity.self.name, routers: trackingRouters(this.#config, this.#settings.routers) },
      {
        clock: systemClock,
        logger: this.#logger,
        events: this.#events,
        kernel: new Rtnetlink({ native: loadNative() }),
        isServiceUsable: (service) => this.#services.isUsable(service),
        onHealth: (router, health) => this.#onHealth(router, health),
      },
    );
  }

  #createHealthPolicy(): HealthPolicy | undefined {
    const { self, peer } = this.#identity;
    if (peer === undefined) return undefined;
    return new HealthPolicy({ self: self.name, peer: peer.name }, this.#settings.routers, {
      clock: systemClock,
      logger: this.#logger,
      events: this.#events,
      mastership: this.#mastership,
      health: (router) => this.#trackers.health(router),
      failover: (request) => this.#moveRouters(request),
    });
  }

  #createSwitchover(): Switchover {
    return new Switchover(this.#identity.self.name, {
      clock: systemClock,
      mastership: this.#mastership,
      sendToVrrp: (command) => this.#vrrp.send(command),
      askPeer: (method, parameters, timeoutMs) => {
        if (this.#peer === undefined) throw new OperatorError('NO_PEER', 'this is a single node', 'configure another');
        return this.#peer.request(method, parameters, timeoutMs);
      },
      peer: () => this.#peer?.status(),
      probeTarget: (routers) => this.#probeTarget(routers),
      openConnections: () => this.#services.openConnections(),
    });
  }

  async #moveRouters({ routers, ...request }: FailoverRequest): Promise<FailoverReport> {
    const report = await this.#switchover.run({ ...request, routers: routers && this.#known(routers) });
    const gap = report.gapMs === undefined ? '' : `, ${report.gapMs.toFixed(1)} ms without service`;
    this.#events.add('failover', `${report.from} handed over to ${report.to}${gap}`, { ...report });
    return report;
  }

  /** The routers asked for, with their groups. Throws OperatorError `NO_SUCH_ROUTER`. */
  #known(routers: readonly string[]): readonly string[] {
    const known = this.#settings.routers.map(({ name }) => name);
    const stranger = routers.find((router) => !known.includes(router));
    if (stranger !== undefined) {
      const mend = `there are: ${known.join(', ')}`;
      throw new OperatorError('NO_SUCH_ROUTER', `there is no virtual router ${stranger}`, mend);
    }
    return withTheirGroups(this.#config, routers);
  }

  /** The first service on one of these virtual routers' addresses. */
  #probeTarget(routers: readonly string[]): GapProbeTarget | undefined {
    const addresses = this.#addressesOf(routers);
    const service = this.#config.services.find(({ listen }) => addresses.includes(listen.address));
    const { self } = this.#identity;
    return service && { ...service.listen, source: sourceFor(service.listen.address, self.address) };
  }

  #addressesOf(routers: readonly string[]): readonly string[] {
    return this.#settings.routers
      .filter((router) => routers.includes(router.name))
      .flatMap((router) => router.addresses.map(({ address }) => address));
  }

  #onHealth(router: string, { priority, faults }: RouterHealth): void {
    this.#vrrp.send({ type: 'health', router, health: { priority, faults } });
    this.#mastership.onOwnPriority(router, priority);
    this.#healthPolicy?.consider();
  }

  #onRouterState(router: string, to: RouterState, epoch: number, cause: string): void {
    this.#hooks.onChange(router, { to, cause, epoch });
    const wasActive = this.#mastership.own(router)?.state === 'active';
    this.#mastership.onOwnChange(router, to, epoch);
    if (wasActive && to !== 'active') this.#services.resetConnections(this.#addressesOf([router]));
    this.#healthPolicy?.consider();
  }

  /** What the peer may ask; its refusal is the text of the error. */
  async #onPeerRequest(method: string, parameters: Plain): Promise<Plain> {
    switch (method) {
      case 'take-over': {
        const { routers, timeoutMs } = readTakeOver(parameters);
        await this.#switchover.takeOver(routers, timeoutMs);
        return {};
      }
      case 'failover':
        return plainReport(await this.failover(readFailover(parameters)));
      case 'close-server-connections': {
        const { service, server } = readServerOf(parameters);
        this.#services.closeServerConnections(service, server);
        return {};
      }
      default:
        throw new OperatorError('UNKNOWN_REQUEST', `it does not know the request ${method}`, 'upgrade it');
    }
  }
}

function serviceOptions(config: Config, { self }: NodeIdentity): ServiceManagerOptions {
  const { services, resolvers, log } = config;
  return { services, resolvers, workers: workerCount(config), checkSource: self.address, accessLog: log.access };
}

function settingsOf(loaded: Loaded, identity: NodeIdentity): Settings {
  const { config, key, hmacKeys } = loaded;
  return {
    loaded: { config, key, hmacKeys },
    routers: routerSpecs(config, identity, hmacKeys),
    hash: configHash(config),
  };
}
