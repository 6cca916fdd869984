/** The parts of a node, made and wired to each other: the only place where the domains meet. Nothing runs yet. */
import { join } from 'node:path';
import type { Config } from '../config/index.ts';
import { OperatorError, createLogger, loadNative, randomId, systemClock, systemRandom } from '../runtime/index.ts';
import type { Clock, Logger, ProgramLogger } from '../runtime/index.ts';
import { originOf } from '../sync/index.ts';
import { Rtnetlink } from '../vip/io/index.ts';
import type { RouterHealth } from '../vrrp/index.ts';
import { AdminApi } from './admin-api.ts';
import { Backup } from './durability/backup.ts';
import type { BackupOptions } from './durability/backup.ts';
import { Restore } from './durability/restore.ts';
import { StateKeeper } from './durability/state-keeper.ts';
import { EventLog } from './events.ts';
import { Failover } from './failover.ts';
import { HealthPolicy } from './health-policy.ts';
import { Hooks } from './hooks/hooks.ts';
import { Mastership } from './mastership.ts';
import { OperatorControl } from './operator-control.ts';
import { PeerLink } from './peer-link.ts';
import { answerPeer } from './peer-requests.ts';
import { PreemptGate } from './preempt-gate.ts';
import { MainPrivileges, mainCapabilities } from './privileges.ts';
import { Reconfiguration, settingsOf } from './reconfiguration.ts';
import type { Settings } from './reconfiguration.ts';
import { Reloader } from './reloader.ts';
import type { Loaded, ReadConfig } from './reloader.ts';
import { createReplicatedState } from './replicated-state.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { ServiceManager } from './service-manager.ts';
import type { ServiceManagerOptions } from './service-manager.ts';
import {
  addressesOf,
  heartbeatPaceMs,
  hookedRouters,
  initialRoles,
  probeTarget,
  trackingRouters,
  workerCount,
} from './settings.ts';
import type { NodeIdentity } from './settings.ts';
import type { RouterState } from './status-document.ts';
import { Switchover } from './switchover.ts';
import { Trackers } from './tracking/trackers.ts';
import { VrrpManager } from './vrrp-manager.ts';

export type TandemNodeOptions = Loaded & {
  readonly identity: NodeIdentity;
  /** Where the configuration was read. */
  readonly path: string;
  readonly readConfig: ReadConfig;
};

export type NodePartsEvents = {
  /** The node cannot go on, for a reason that has been logged. */
  readonly onFailed: () => void;
};

export class NodeParts {
  readonly #identity: NodeIdentity;
  readonly #shared: { readonly clock: Clock; readonly logger: Logger; readonly events: EventLog };
  readonly logger: ProgramLogger;
  readonly events: EventLog;
  readonly stateKeeper: StateKeeper;
  readonly mastership: Mastership;
  readonly services: ServiceManager;
  readonly trackers: Trackers;
  readonly hooks: Hooks;
  readonly vrrp: VrrpManager;
  readonly preemptGate: PreemptGate;
  readonly peer: PeerLink | undefined;
  readonly switchover: Switchover;
  readonly #failover: Failover;
  readonly healthPolicy: HealthPolicy | undefined;
  readonly reconfiguration: Reconfiguration;
  readonly reloader: Reloader;
  readonly admin: AdminApi;
  readonly privileges: MainPrivileges;

  constructor(options: TandemNodeOptions, { onFailed }: NodePartsEvents) {
    const { config, identity } = options;
    const clock = systemClock;
    this.#identity = identity;
    this.logger = createLogger({ level: config.log.level, fields: { node: identity.self.name } }, { clock });
    this.events = new EventLog(() => clock.wallMs());
    const settings = settingsOf(options, identity);
    const { routers } = settings;
    const bootId = randomId();
    const shared = { clock, logger: this.logger, events: this.events };
    this.#shared = shared;
    const state = this.#createState(originOf(identity.self.name, bootId));
    this.stateKeeper = this.#createStateKeeper(config, state);
    const onUsable = (service: string, isUsable: boolean): void => this.trackers.onServiceUsable(service, isUsable);
    const servicePorts = { ...shared, native: loadNative(), random: systemRandom, state, onUsable };
    this.services = new ServiceManager(serviceOptions(config, identity), servicePorts);
    this.trackers = this.#createTrackers(settings);
    this.hooks = new Hooks({ node: identity.self.name, routers: hookedRouters(config, routers) }, shared);
    this.vrrp = new VrrpManager(routers, {
      ...shared,
      onReady: () => this.mastership.tellStanding(),
      isPreemptPermitted: () => this.preemptGate.isPermitted,
      onEpoch: (router, epoch) => {
        this.mastership.onOwnChange(router, 'active', epoch);
        this.stateKeeper.touch('operator');
      },
      onSource: (router, address) => this.mastership.onOwnAddress(router, address),
      health: (router) => this.trackers.health(router),
      fence: (router) => this.mastership.fence(router),
      onState: (router, to, epoch, cause) => this.#onRouterState(router, to, epoch, cause),
      onFailed: (error) => {
        this.logger.error({ code: error.code }, error.line);
        onFailed();
      },
    });
    this.mastership = new Mastership(initialRoles(routers), {
      onFence: (router, fence) => this.vrrp.send({ type: 'fence', router, fence }),
      onPeerDied: (router, address) => this.vrrp.send({ type: 'peer-process-died', router, address }),
      onPeerSilent: (router, address) => this.vrrp.send({ type: 'peer-silent', router, address }),
      onPeerResigned: (router, address) => this.vrrp.send({ type: 'peer-resigned', router, address }),
      onFenceLifted: (router) => this.vrrp.send({ type: 'fence-lifted', router }),
      onPeerEpoch: (router, epoch) => this.vrrp.send({ type: 'peer-epoch', router, epoch }),
      sendRoles: (roles) => this.peer?.sendRoles(roles),
    });
    this.peer = this.#createPeer(settings, bootId, state);
    this.preemptGate = new PreemptGate(
      { hasPeer: this.peer !== undefined },
      { clock, onChange: (isPermitted) => this.vrrp.send({ type: 'preempt-permitted', isPermitted }) },
    );
    this.switchover = this.#createSwitchover();
    this.#failover = new Failover({
      switchover: this.switchover,
      events: this.events,
      config: () => this.#inForce.loaded.config,
    });
    this.healthPolicy = this.#createHealthPolicy(settings);
    this.reconfiguration = new Reconfiguration(settings, this);
    this.reloader = this.#createReloader(options);
    const backup = new Backup(backupOptions(options), { ...{ clock, state }, settings: () => this.#inForce });
    this.admin = this.#createAdmin(config, backup);
    this.privileges = new MainPrivileges(mainCapabilities(config.sync?.port), {
      native: loadNative(),
      logger: this.logger,
    });
  }

  get #inForce(): Settings {
    return this.reconfiguration.inForce;
  }

  /** What is read from disk is there before the services are. */
  #createState(origin: string): ReplicatedState {
    return createReplicatedState(origin, {
      onOverride: (change) => {
        if (!this.stateKeeper.isLoading) this.services.overrides.onMerged(change);
        this.stateKeeper.touch('operator');
      },
      onServer: (change) => {
        if (!this.stateKeeper.isLoading) this.services.list.onMerged(change);
        this.stateKeeper.touch('operator');
      },
      onStick: (change) => {
        this.services.stickiness.onMerged(change);
        this.stateKeeper.touch('sticks');
      },
      onEjection: (change) => this.services.outliers.onMerged(change),
    });
  }

  #createStateKeeper({ state: disk }: Config, state: ReplicatedState): StateKeeper {
    const { self, peer } = this.#identity;
    return new StateKeeper(
      { node: self.name, peer: peer?.name, disk },
      {
        ...{ ...this.#shared, state },
        epochs: () => this.vrrp.epochs,
        recallEpoch: (router, epoch) => this.vrrp.recallEpoch(router, epoch),
      },
    );
  }

  #createTrackers({ loaded, routers }: Settings): Trackers {
    return new Trackers(
      { node: this.#identity.self.name, routers: trackingRouters(loaded.config, routers) },
      {
        ...this.#shared,
        kernel: new Rtnetlink({ native: loadNative() }),
        isServiceUsable: (service) => this.services.isUsable(service),
        onHealth: (router, health) => this.#onHealth(router, health),
      },
    );
  }

  #createPeer({ loaded, hash }: Settings, bootId: string, state: ReplicatedState) {
    const { self, peer } = this.#identity;
    const { config, syncKeys: keys } = loaded;
    if (peer === undefined || config.sync === undefined || keys === undefined) return undefined;
    return new PeerLink(
      { self, peer, sync: config.sync, keys, configHash: hash, bootId, heartbeatPaceMs: heartbeatPaceMs(config) },
      {
        ...this.#shared,
        random: systemRandom,
        state,
        mastership: this.mastership,
        onProgress: (progress) => this.preemptGate.onPeer(progress),
        onRequest: (method, parameters) =>
          answerPeer(method, parameters, {
            switchover: this.switchover,
            failover: this.#failover,
            services: this.services,
          }),
        onSameConfig: () => this.services.forgetStrangers(),
      },
    );
  }

  #createSwitchover(): Switchover {
    return new Switchover(this.#identity.self.name, {
      clock: systemClock,
      mastership: this.mastership,
      sendToVrrp: (command) => this.vrrp.send(command),
      askPeer: (method, parameters, timeoutMs) => {
        if (this.peer === undefined) throw new OperatorError('NO_PEER', 'this is a single node', 'configure another');
        return this.peer.request(method, parameters, timeoutMs);
      },
      peer: () => this.peer?.status(),
      probeTarget: (routers) => {
        const { loaded, routers: specs } = this.#inForce;
        return probeTarget(loaded.config, this.#identity, addressesOf(specs, routers));
      },
      openConnections: () => this.services.openConnections(),
    });
  }

  #createHealthPolicy({ routers }: Settings): HealthPolicy | undefined {
    const { self, peer } = this.#identity;
    if (peer === undefined) return undefined;
    return new HealthPolicy({ self: self.name, peer: peer.name }, routers, {
      ...this.#shared,
      mastership: this.mastership,
      health: (router) => this.trackers.health(router),
      failover: (request) => this.#failover.move(request),
    });
  }

  #createReloader({ path, readConfig }: TandemNodeOptions): Reloader {
    return new Reloader(
      { path, identity: this.#identity },
      {
        logger: this.logger,
        events: this.events,
        read: readConfig,
        current: () => this.#inForce.loaded,
        stateOf: (router) => this.mastership.own(router)?.state,
        apply: (next) => this.reconfiguration.apply(settingsOf(next, this.#identity)),
      },
    );
  }

  #createAdmin({ admin }: Config, backup: Backup): AdminApi {
    const { name } = this.#identity.self;
    const control = new OperatorControl(name, {
      clock: systemClock,
      settings: () => this.#inForce,
      services: this.services,
      stateKeeper: this.stateKeeper,
      backup,
      restore: new Restore({ ...this.#shared, services: this.services }),
      trackers: this.trackers,
      hooks: this.hooks,
      vrrp: this.vrrp,
      peer: this.peer,
      failover: this.#failover,
      reloader: this.reloader,
    });
    const { socket, group, listen } = admin;
    const options = { socketPath: join(socket, `${name}.sock`), group, listen };
    return new AdminApi(options, { control, events: this.events, clock: systemClock, native: loadNative() });
  }

  #onHealth(router: string, { priority, faults }: RouterHealth): void {
    this.vrrp.send({ type: 'health', router, health: { priority, faults } });
    this.mastership.onOwnPriority(router, priority);
    this.healthPolicy?.consider();
  }

  #onRouterState(router: string, to: RouterState, epoch: number, cause: string): void {
    this.hooks.onChange(router, { to, cause, epoch });
    this.stateKeeper.touch('operator');
    const wasActive = this.mastership.own(router)?.state === 'active';
    this.mastership.onOwnChange(router, to, epoch);
    if (wasActive && to !== 'active') this.services.resetConnections(addressesOf(this.#inForce.routers, [router]));
    this.healthPolicy?.consider();
  }
}

function backupOptions({ identity: { self, peer }, path }: TandemNodeOptions): BackupOptions {
  return { node: self.name, peer: peer?.name, path };
}

function serviceOptions(config: Config, { self }: NodeIdentity): ServiceManagerOptions {
  const { services, resolvers, log } = config;
  return { services, resolvers, workers: workerCount(config), checkSource: self.address, accessLog: log.access };
}
