/** From one state into another: what is done on leaving the old one and on entering the new one. */
import type { AdvertVersion } from './advert.ts';
import type {
  BackupState,
  Grace,
  RouterConfig,
  RouterEffect,
  RouterState,
  RouterStep,
  StateKind,
  TransitionCause,
} from './router-state.ts';
import { activeDownIntervalMs, toMicroseconds } from './timing.ts';

export type Promotion = {
  readonly cause: TransitionCause;
  readonly nowMs: number;
  /** At least this epoch, when it was agreed with the peer. */
  readonly epochMin?: number;
  readonly grace?: Grace;
};

/** The epoch goes out first: the sooner the other one yields, the shorter both are active. */
export function becomeActive(config: RouterConfig, from: RouterState, promotion: Promotion): RouterStep {
  const { cause, nowMs, epochMin = 0, grace } = promotion;
  const epoch = Math.max(from.epoch + 1, epochMin);
  return {
    state: {
      ...commonOf(from),
      kind: 'active',
      epoch,
      nextAdvertAtMs: toMicroseconds(nowMs + config.advertIntervalMs),
      listensUntilMs: undefined,
      grace,
      missedAdverts: 0,
      lastAdvertFailed: false,
      reassertAtMs: nowMs,
      reannounceAtMs: nowMs,
    },
    effects: [
      { type: 'transition', from: from.kind, to: 'active', cause },
      { type: 'claim-epoch', epoch },
      { type: 'claim-addresses' },
      { type: 'send-advert', priority: from.priority },
      { type: 'announce' },
    ],
    ignored: undefined,
  };
}

export type Demotion = {
  readonly cause: TransitionCause;
  readonly nowMs: number;
  /** What is known of the router to which we yield, if it is one. */
  readonly to?: Pick<BackupState, 'active'> & { readonly advertIntervalMs?: number };
  readonly hasYielded?: boolean;
  readonly isFenced?: boolean;
  readonly epoch?: number;
};

export function becomeBackup(config: RouterConfig, from: RouterState, demotion: Demotion): RouterStep<BackupState> {
  const { cause, nowMs, to, hasYielded = false, isFenced = false, epoch = from.epoch } = demotion;
  const activeAdvertIntervalMs = to?.advertIntervalMs ?? config.advertIntervalMs;
  const state: BackupState = {
    ...commonOf(from),
    kind: 'backup',
    epoch,
    active: to?.active,
    heardAtMs: to?.advertIntervalMs === undefined ? undefined : nowMs,
    activeAdvertIntervalMs,
    ...(isFenced ? fenced : listening(config.version, from.priority, activeAdvertIntervalMs, nowMs)),
    hasOverslept: false,
    regularDownAtMs: undefined,
    preemptAtMs: undefined,
    promotionCause: 'active-silent',
    hasYielded,
  };
  return { state, effects: leave(from, 'backup', cause), ignored: undefined };
}

/** Out of the election: stopped, without a link, or with a fault. Who was active and still can says goodbye. */
export function becomeInitialize(
  from: RouterState,
  cause: 'shutdown' | 'link-down' | 'fault',
  faults: readonly string[] = [],
): RouterStep {
  const isLinkUp = cause !== 'link-down';
  return {
    state: { ...commonOf(from), kind: 'initialize', isStarted: cause !== 'shutdown', isLinkUp, faults },
    effects:
      from.kind === 'active' && isLinkUp
        ? leaveWithGoodbye(from, 'initialize', cause)
        : leave(from, 'initialize', cause),
    ignored: undefined,
  };
}

/** Back into the ranks, and a goodbye, so that the others need not wait for the down timer. */
export function resign(config: RouterConfig, from: RouterState, nowMs: number): RouterStep {
  const backup = becomeBackup(config, from, { cause: 'resign', nowMs, hasYielded: true });
  return { ...backup, effects: leaveWithGoodbye(from, 'backup', 'resign') };
}

type Timer = Pick<BackupState, 'activeDownAtMs' | 'wakeAtMs'>;

/** The down timer while the sync link says that the peer is active. */
export const fenced: Timer = { activeDownAtMs: undefined, wakeAtMs: undefined };

/** The down timer of a backup to which the active router was heard, or is given its whole time, at `nowMs`. */
export function listening(
  version: AdvertVersion,
  priority: number,
  activeAdvertIntervalMs: number,
  nowMs: number,
): Timer {
  const activeDownAtMs = toMicroseconds(nowMs + activeDownIntervalMs(priority, activeAdvertIntervalMs, version));
  return { activeDownAtMs, wakeAtMs: toMicroseconds(activeDownAtMs - activeAdvertIntervalMs) };
}

/** What a router knows in every state. */
function commonOf({ priority, epoch, isPreemptPermitted }: RouterState) {
  return { priority, epoch, isPreemptPermitted };
}

function leave(from: RouterState, to: StateKind, cause: TransitionCause): readonly RouterEffect[] {
  const transition: RouterEffect = { type: 'transition', from: from.kind, to, cause };
  return from.kind === 'active' ? [transition, { type: 'release-addresses' }] : [transition];
}

/**
 * Priority 0 comes after the addresses have been let go: where priorities are high the other one is there within the
 * millisecond, and both would answer for them.
 */
function leaveWithGoodbye(from: RouterState, to: StateKind, cause: TransitionCause): readonly RouterEffect[] {
  return [...leave(from, to, cause), { type: 'send-advert', priority: 0 }];
}
