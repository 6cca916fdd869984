/** What an operator may ask of the running node: how it is, and to change something. Each part answers for itself. */
import { configWarnings } from '../config/index.ts';
import type { Clock } from '../runtime/index.ts';
import type { NewServer } from './added-servers.ts';
import type { FailoverRequest, NodeControl } from './admin-api.ts';
import type { Backup } from './durability/backup.ts';
import type { Restore, RestoreReport } from './durability/restore.ts';
import type { StateKeeper } from './durability/state-keeper.ts';
import type { Failover } from './failover.ts';
import type { Hooks } from './hooks/hooks.ts';
import { renderMetrics } from './metrics.ts';
import type { ServerAction } from './overrides.ts';
import type { PeerLink } from './peer-link.ts';
import type { Settings } from './reconfiguration.ts';
import { privilegesOf } from './privileges.ts';
import type { Reloader, ReloadReport, ReloadRequest } from './reloader.ts';
import type { ServiceManager } from './service-manager.ts';
import type { FailoverReport, StatusDocument, VirtualRouterStatus } from './status-document.ts';
import type { StickList, StickQuery } from './stick-commands.ts';
import type { Trackers } from './tracking/trackers.ts';
import { version } from './version.ts';
import type { VrrpManager } from './vrrp-manager.ts';
import { warningsOf } from './warnings.ts';

export type OperatorControlPorts = {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly settings: () => Settings;
  readonly services: ServiceManager;
  readonly stateKeeper: StateKeeper;
  readonly backup: Backup;
  readonly restore: Restore;
  readonly trackers: Trackers;
  readonly hooks: Hooks;
  readonly vrrp: VrrpManager;
  readonly peer: PeerLink | undefined;
  readonly failover: Failover;
  readonly reloader: Reloader;
};

export class OperatorControl implements NodeControl {
  readonly #node: string;
  readonly #ports: OperatorControlPorts;
  readonly #startedAtMs: number;

  constructor(node: string, ports: OperatorControlPorts) {
    this.#node = node;
    this.#ports = ports;
    this.#startedAtMs = ports.clock.nowMs();
  }

  async status(): Promise<StatusDocument> {
    const { clock, services, vrrp, peer } = this.#ports;
    const [virtualRouters, serviceStatuses] = await Promise.all([this.#routers(), services.status()]);
    const { loaded, hash } = this.#ports.settings();
    const processes = [vrrp.process, ...services.processes];
    const document: StatusDocument = {
      node: this.#node,
      version,
      pid: process.pid,
      uptimeMs: clock.nowMs() - this.#startedAtMs,
      configHash: hash,
      virtualRouters,
      peer: peer?.status(),
      services: serviceStatuses,
      processes,
      accepting: services.accepting,
      accessLog: services.accessLog,
      stateOnDisk: this.#ports.stateKeeper.status(),
      realtime: vrrp.realtime,
      privileges: privilegesOf(processes, loaded.config.sync?.port),
      warnings: [],
    };
    return { ...document, warnings: [...warningsOf(document), ...configWarnings(loaded.config)] };
  }

  async metrics(): Promise<string> {
    return renderMetrics(await this.status());
  }

  /** Throws OperatorError with the reason when it is refused or did not come about. */
  failover(request: FailoverRequest): Promise<FailoverReport> {
    return this.#ports.failover.ask(request);
  }

  /** Throws OperatorError when the change is refused; nothing of it is applied then. */
  reload(request: ReloadRequest): Promise<ReloadReport> {
    return this.#ports.reloader.reload(request);
  }

  setServer(service: string, server: string, change: ServerAction): void {
    this.#ports.services.overrides.set(service, server, change);
  }

  addServer(server: NewServer): void {
    this.#ports.services.list.add(server);
  }

  /** `force`: on both nodes its connections are reset as well. */
  async removeServer(service: string, server: string, force: boolean): Promise<void> {
    const { services, peer } = this.#ports;
    services.list.remove(service, server);
    if (!force) return;
    services.closeServerConnections(service, server);
    // A peer that cannot be asked holds no address, or will be asked for nothing soon.
    await peer?.request('close-server-connections', { service, server }, 1_000).catch(() => undefined);
  }

  sticks(wanted: StickQuery): StickList {
    return this.#ports.services.stickCommands.list(wanted);
  }

  clearSticks(service: string, source: string | undefined): number {
    return this.#ports.services.stickCommands.clear(service, source);
  }

  /** Throws OperatorError as `Backup.create`. */
  backup(withKeys: boolean): Promise<AsyncIterable<Uint8Array>> {
    return this.#ports.backup.create({ withKeys });
  }

  /** Throws OperatorError as `Restore.run`: nothing has changed then. */
  restore(pieces: AsyncIterable<Uint8Array>): Promise<RestoreReport> {
    return this.#ports.restore.run(pieces);
  }

  async #routers(): Promise<readonly VirtualRouterStatus[]> {
    const { vrrp, trackers, hooks } = this.#ports;
    const routers = await vrrp.status();
    return routers.map((router) => ({
      ...router,
      trackers: trackers.status(router.name),
      lastHook: hooks.status(router.name),
    }));
  }
}
