/**
 * The settings that are in force, and how the parts of a running node are brought to others: all or nothing. What the
 * world may refuse comes first, and is put back when it is refused.
 */
import { configHash } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { ProgramLogger } from '../runtime/index.ts';
import type { HealthPolicy } from './health-policy.ts';
import type { Hooks } from './hooks/hooks.ts';
import type { Mastership } from './mastership.ts';
import type { PeerLink } from './peer-link.ts';
import type { Loaded } from './reloader.ts';
import type { ServiceManager } from './service-manager.ts';
import { heartbeatPaceMs, hookedRouters, initialRoles, routerSpecs, trackingRouters } from './settings.ts';
import type { NodeIdentity } from './settings.ts';
import type { Trackers } from './tracking/trackers.ts';
import type { VrrpManager } from './vrrp-manager.ts';
import type { RouterSpec } from './vrrp-protocol.ts';

/** What follows from a configuration; replaced as a whole. */
export type Settings = { readonly loaded: Loaded; readonly routers: readonly RouterSpec[]; readonly hash: string };

/** All that has to follow. */
export type ReconfigurableParts = {
  readonly logger: Pick<ProgramLogger, 'error' | 'setLevel'>;
  readonly services: Pick<ServiceManager, 'reconfigure'>;
  readonly mastership: Pick<Mastership, 'add' | 'retain' | 'tellStanding'>;
  readonly hooks: Pick<Hooks, 'reconfigure'>;
  readonly trackers: Pick<Trackers, 'reconfigure'>;
  readonly vrrp: Pick<VrrpManager, 'reconfigure'>;
  readonly healthPolicy: Pick<HealthPolicy, 'reconfigure'> | undefined;
  readonly peer: Pick<PeerLink, 'setConfigHash' | 'setHeartbeatPace' | 'setKeys'> | undefined;
};

export function settingsOf({ config, syncKeys, hmacKeys }: Loaded, identity: NodeIdentity): Settings {
  return {
    loaded: { config, syncKeys, hmacKeys },
    routers: routerSpecs(config, identity, hmacKeys),
    hash: configHash(config),
  };
}

export class Reconfiguration {
  readonly #parts: ReconfigurableParts;
  #inForce: Settings;

  /** `inForce`: what the parts were made with. */
  constructor(inForce: Settings, parts: ReconfigurableParts) {
    this.#inForce = inForce;
    this.#parts = parts;
  }

  get inForce(): Settings {
    return this.#inForce;
  }

  /** Throws OperatorError when the world refuses; all is as it was then, or the code is `NOT_PUT_BACK`. */
  async apply(next: Settings): Promise<void> {
    const { services, logger, peer } = this.#parts;
    const before = this.#inForce;
    await services.reconfigure(next.loaded.config);
    try {
      await this.#moveRouters(next, before);
    } catch (error) {
      await this.#putBack(before, next);
      throw error;
    }
    logger.setLevel(next.loaded.config.log.level);
    peer?.setConfigHash(next.hash);
    peer?.setHeartbeatPace(heartbeatPaceMs(next.loaded.config));
    if (next.loaded.syncKeys !== undefined) peer?.setKeys(next.loaded.syncKeys);
  }

  async #putBack(before: Settings, next: Settings): Promise<void> {
    try {
      await this.#moveRouters(before, next);
      await this.#parts.services.reconfigure(before.loaded.config);
    } catch (cause) {
      const reason = cause instanceof OperatorError ? cause.message : String(cause);
      const what = `what was before the reload could not be put back: ${reason}`;
      this.#parts.logger.error({ err: cause }, what);
      throw new OperatorError('NOT_PUT_BACK', what, 'mend that, then restart the node', { cause });
    }
  }

  /** Who is to go is known to all until it is gone, so that its last change of state is heard. */
  async #moveRouters(next: Settings, before: Settings): Promise<void> {
    const { mastership, hooks, trackers, vrrp, healthPolicy } = this.#parts;
    const leaving = before.routers.filter(({ name }) => !next.routers.some((router) => router.name === name));
    this.#inForce = next;
    mastership.add(initialRoles(next.routers));
    hooks.reconfigure([
      ...hookedRouters(next.loaded.config, next.routers),
      ...hookedRouters(before.loaded.config, leaving),
    ]);
    await trackers.reconfigure(trackingRouters(next.loaded.config, next.routers));
    await vrrp.reconfigure(next.routers);
    hooks.reconfigure(hookedRouters(next.loaded.config, next.routers));
    mastership.retain(next.routers.map(({ name }) => name));
    mastership.tellStanding();
    healthPolicy?.reconfigure(next.routers);
  }
}
