/** The backup state (RFC 9568, 6.4.2), and what Tandem adds to it. */
import { compareIp } from '../base/index.ts';
import type {
  AdvertInput,
  BackupState,
  FenceInput,
  IgnoreReason,
  RouterConfig,
  RouterInput,
  RouterStep,
} from './router-state.ts';
import { assertPriority, ignore, stay } from './router-state.ts';
import { skewMs, toMicroseconds } from './timing.ts';
import { becomeActive, becomeInitialize, fenced, listening } from './transitions.ts';

/**
 * For the last advert of a peer, priority 0 or late, after the end of its sync link: to give addresses up takes a vrrp
 * process one to two milliseconds.
 */
const lastAdvertMarginMs = 5;

/** From its word over the sync link that it is active no more until a peer has let go of its addresses. */
const resigningMarginMs = 2;

export function stepBackup(config: RouterConfig, state: BackupState, input: RouterInput, nowMs: number): RouterStep {
  switch (input.type) {
    case 'startup':
      return ignore(state, 'already-running');
    case 'link-up':
      return ignore(state, 'link-already-up');
    case 'shutdown':
    case 'link-down':
      return becomeInitialize(state, input.type);
    case 'timeout':
      return onTimeout(config, state, nowMs);
    case 'advert':
      return onAdvert(config, state, input, nowMs);
    case 'priority-changed':
      return onPriorityChanged(config, state, input.priority);
    case 'preempt-permitted':
      return onPreemptPermitted(config, state, input.isPermitted, nowMs);
    case 'fault':
      return becomeInitialize(state, 'fault', [input.reason]);
    case 'fault-cleared':
      return ignore(state, 'unknown-fault');
    case 'peer-epoch':
      return input.epoch > state.epoch ? stay({ ...state, epoch: input.epoch }) : ignore(state, 'known-epoch');
    case 'fence':
      return onFence(state, input, nowMs);
    case 'peer-resigned':
      return onPeerResigned(config, state, input.address, nowMs);
    case 'fence-lifted':
      return onFenceLifted(config, state, nowMs);
    case 'peer-process-died':
      return onPeerProcessDied(config, state, input.address, nowMs);
    case 'peer-silent':
      return onPeerSilent(config, state, input.address, nowMs);
    case 'take-over':
      return becomeActive(config, state, {
        cause: 'take-over',
        nowMs,
        epochMin: input.epoch,
        grace: { kind: 'take-over', untilMs: nowMs + input.graceMs },
      });
    case 'hand-over':
    case 'resign':
    case 'advert-send-failed':
    case 'advert-wanted':
    case 'claim-failed':
      return ignore(state, 'not-active');
  }
}

function onTimeout(config: RouterConfig, state: BackupState, nowMs: number): RouterStep {
  const { activeDownAtMs, wakeAtMs } = state;
  if (activeDownAtMs === undefined) return ignore(state, 'fenced');
  if (nowMs < (wakeAtMs ?? activeDownAtMs)) return ignore(state, 'not-due');
  if (hasOverslept(state, nowMs)) return listenAnew(config, state, nowMs);
  if (nowMs < activeDownAtMs) return stay({ ...state, wakeAtMs: undefined });
  return becomeActive(config, state, { cause: state.promotionCause, nowMs });
}

/**
 * Whoever stood still cannot say that another one was silent. Where both nodes run on one host, a pause of that host
 * leaves the backup with a timer that has run out and the active router with an advert that it is about to send. Such a
 * pause begins within an interval of the last advert and lasts beyond the timer's end: it makes this look, an interval
 * before the end, late by an interval at least. A process that was stopped alone finds what it missed in its socket.
 */
function hasOverslept({ wakeAtMs, activeAdvertIntervalMs, hasOverslept }: BackupState, nowMs: number): boolean {
  return wakeAtMs !== undefined && !hasOverslept && nowMs - wakeAtMs > activeAdvertIntervalMs / 2;
}

/** Once in a silence: a backup that is late again and again still takes over in the end. */
function listenAnew(config: RouterConfig, state: BackupState, nowMs: number): RouterStep {
  const timer = listening(config.version, state.priority, state.activeAdvertIntervalMs, nowMs);
  return ignore({ ...state, ...timer, hasOverslept: true }, 'overslept');
}

function onAdvert(config: RouterConfig, state: BackupState, advert: AdvertInput, nowMs: number): RouterStep {
  if (advert.priority === 0) return stay(expectResignation(config, state, nowMs));
  const active = { address: advert.source, priority: advert.priority };
  const preemptAtMs = preemptionAtMs(config, state, advert, nowMs);
  // Whoever said that it was dead: it is not.
  const alive: BackupState = {
    ...state,
    active,
    heardAtMs: nowMs,
    preemptAtMs,
    regularDownAtMs: undefined,
    hasOverslept: false,
  };
  const timer = listening(config.version, state.priority, advert.advertIntervalMs, nowMs);
  if (preemptAtMs !== undefined && preemptAtMs <= nowMs) {
    // Not arming the timer anew is what preempts: it runs out although there are adverts.
    // A fence ends with the first advert that is heard: then it runs from now on.
    const activeDownAtMs = state.regularDownAtMs ?? state.activeDownAtMs;
    const running = activeDownAtMs === undefined ? timer : { activeDownAtMs };
    return ignore({ ...alive, ...running, promotionCause: 'preempt' }, 'lower-priority');
  }
  return stay({
    ...alive,
    ...timer,
    activeAdvertIntervalMs: advert.advertIntervalMs,
    promotionCause: 'active-silent',
  });
}

/** From when on such adverts are not followed; undefined: they are. The delay counts from the first of them. */
function preemptionAtMs(
  config: RouterConfig,
  state: BackupState,
  advert: AdvertInput,
  nowMs: number,
): number | undefined {
  if (advert.priority >= state.priority || state.hasYielded) return undefined;
  if (state.priority === 255) return nowMs;
  if (!config.preempt || !state.isPreemptPermitted) return undefined;
  return state.preemptAtMs ?? toMicroseconds(nowMs + config.preemptDelayMs);
}

/** A permission that is taken away while the timer runs out against a living router gives that one its time again. */
function onPreemptPermitted(
  config: RouterConfig,
  state: BackupState,
  isPreemptPermitted: boolean,
  nowMs: number,
): RouterStep {
  const isPreempting = state.promotionCause === 'preempt' && state.priority !== 255;
  if (isPreemptPermitted || !isPreempting) return stay({ ...state, isPreemptPermitted });
  return stay({
    ...state,
    isPreemptPermitted,
    preemptAtMs: undefined,
    ...listening(config.version, state.priority, state.activeAdvertIntervalMs, nowMs),
    promotionCause: 'active-silent',
  });
}

/**
 * Beside the epoch it says that the peer lives and is active. Who has not heard it on the LAN since it came to stand by
 * may be deaf there, as hosts are after a boot whose switch ports or bonds are not ready: silence then proves nothing,
 * and taking over would cost the clients of a healthy router its addresses.
 */
function onFence(state: BackupState, { epoch, address, priority }: FenceInput, nowMs: number): RouterStep {
  const known = { ...state, epoch: Math.max(state.epoch, epoch) };
  const { regularDownAtMs } = state;
  if (state.heardAtMs === undefined && state.activeDownAtMs !== undefined) {
    const active = { address, priority };
    return stay({ ...known, ...fenced, active, regularDownAtMs: undefined });
  }
  if (regularDownAtMs === undefined) return epoch > state.epoch ? stay(known) : ignore(state, 'known-epoch');
  // Its sync link was cut off or silent, but is there again.
  const activeDownAtMs = regularDownAtMs;
  const wakeAtMs = lookBefore(state, activeDownAtMs, nowMs);
  return stay({ ...known, activeDownAtMs, wakeAtMs, regularDownAtMs: undefined, promotionCause: 'active-silent' });
}

/**
 * As good as a priority-0 advert, which a peer whose LAN cable was pulled cannot send. It says so before it has given
 * its addresses up.
 */
function onPeerResigned(config: RouterConfig, state: BackupState, address: Uint8Array, nowMs: number): RouterStep {
  const { active, activeDownAtMs } = state;
  const resigned = expectResignation(config, state, nowMs + resigningMarginMs);
  if (activeDownAtMs === undefined) return stay(resigned);
  if (active === undefined) return ignore(state, 'unheard');
  if (compareIp(active.address, address) !== 0) return ignore(state, 'other-router');
  return activeDownAtMs <= resigned.activeDownAtMs ? ignore(state, 'due-sooner') : stay(resigned);
}

/** The peer is silent, but may still be active: it gets the time for three adverts. */
function onFenceLifted(config: RouterConfig, state: BackupState, nowMs: number): RouterStep {
  if (state.activeDownAtMs !== undefined) return ignore(state, 'not-fenced');
  return stay({ ...state, ...listening(config.version, state.priority, state.activeAdvertIntervalMs, nowMs) });
}

/**
 * A living router is heard within an interval of its last advert, so one is waited for instead of three; the skew keeps
 * the order among several backups. The end of the sync link may also mean that the peer's main process alone has died,
 * or has just closed the link. In the first case its vrrp process gives the addresses up, which takes it some
 * milliseconds, and says so with priority 0; in the second its next advert cancels this, even if it is a little late.
 * Hence the margin, where the skew is less or the advert is overdue already.
 *
 * Behind a fence nothing is heard of a living router either, so silence proves nothing there, and the peer gets the
 * time for three adverts.
 */
function onPeerProcessDied(config: RouterConfig, state: BackupState, address: Uint8Array, nowMs: number): RouterStep {
  if (state.activeDownAtMs === undefined) return onFenceLifted(config, state, nowMs);
  const shortened = expectAdvertWithin(config, state, address, { intervals: 1, nowMs });
  if (typeof shortened === 'string') return ignore(state, shortened);
  return stay({ ...state, ...shortened, wakeAtMs: undefined, promotionCause: 'peer-died' });
}

/**
 * One lost advert is no death, and neither is a sync link without a word: that is one late process or one cut cable.
 * Both at once for two intervals are. Whoever stood still itself has heard nothing on either way, and goes by the LAN
 * alone.
 */
function onPeerSilent(config: RouterConfig, state: BackupState, address: Uint8Array, nowMs: number): RouterStep {
  if (state.activeDownAtMs === undefined) return ignore(state, 'fenced');
  if (state.hasOverslept) return ignore(state, 'overslept');
  const shortened = expectAdvertWithin(config, state, address, { intervals: 2, nowMs });
  if (typeof shortened === 'string') return ignore(state, shortened);
  const wakeAtMs = lookBefore(state, shortened.activeDownAtMs, nowMs);
  return stay({ ...state, ...shortened, wakeAtMs, promotionCause: 'peer-silent' });
}

/** The down timer moved forward to so many intervals and the skew after the last advert, or why it is not. */
function expectAdvertWithin(
  { version }: RouterConfig,
  state: BackupState,
  address: Uint8Array,
  { intervals, nowMs }: { readonly intervals: number; readonly nowMs: number },
): { readonly activeDownAtMs: number; readonly regularDownAtMs: number } | IgnoreReason {
  const { active, heardAtMs, activeAdvertIntervalMs, activeDownAtMs } = state;
  if (active === undefined || heardAtMs === undefined || activeDownAtMs === undefined) return 'unheard';
  if (compareIp(active.address, address) !== 0) return 'other-router';
  const marginMs = Math.max(skewMs(state.priority, activeAdvertIntervalMs, version), lastAdvertMarginMs);
  const overdueAtMs = heardAtMs + intervals * activeAdvertIntervalMs + marginMs;
  const shortenedMs = toMicroseconds(Math.max(overdueAtMs, nowMs + lastAdvertMarginMs));
  if (activeDownAtMs <= shortenedMs) return 'due-sooner';
  return { activeDownAtMs: shortenedMs, regularDownAtMs: state.regularDownAtMs ?? activeDownAtMs };
}

/** The look whether this node is awake, an interval before its timer ends; undefined: that time has passed. */
function lookBefore({ activeAdvertIntervalMs }: BackupState, downAtMs: number, nowMs: number): number | undefined {
  const wakeAtMs = toMicroseconds(downAtMs - activeAdvertIntervalMs);
  return wakeAtMs > nowMs ? wakeAtMs : undefined;
}

function expectResignation(
  config: RouterConfig,
  state: BackupState,
  nowMs: number,
): BackupState & { readonly activeDownAtMs: number } {
  const skew = skewMs(state.priority, state.activeAdvertIntervalMs, config.version);
  const activeDownAtMs = toMicroseconds(nowMs + skew);
  return {
    ...state,
    activeDownAtMs,
    wakeAtMs: undefined,
    regularDownAtMs: undefined,
    promotionCause: 'active-resigned',
  };
}

/** The timer that runs contains the skew once, be it a down interval or a resignation: only the skew moves. */
function onPriorityChanged(config: RouterConfig, state: BackupState, priority: number): RouterStep {
  assertPriority(priority);
  const { activeAdvertIntervalMs } = state;
  const moveMs =
    skewMs(priority, activeAdvertIntervalMs, config.version) -
    skewMs(state.priority, activeAdvertIntervalMs, config.version);
  const moved = (atMs: number | undefined) => (atMs === undefined ? undefined : toMicroseconds(atMs + moveMs));
  const { activeDownAtMs, wakeAtMs, regularDownAtMs } = state;
  return stay({
    ...state,
    priority,
    activeDownAtMs: moved(activeDownAtMs),
    wakeAtMs: moved(wakeAtMs),
    regularDownAtMs: moved(regularDownAtMs),
  });
}
