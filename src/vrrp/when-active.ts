/** The active state (RFC 9568, 6.4.3), and what Tandem adds to it. */
import { compareIp } from '../base/index.ts';
import type {
  ActiveState,
  AdvertInput,
  FenceInput,
  Grace,
  IgnoreReason,
  RemoteRouter,
  RouterConfig,
  RouterEffect,
  RouterInput,
  RouterStep,
} from './router-state.ts';
import { assertPriority, ignore, stay } from './router-state.ts';
import { activeDownIntervalMs, toMicroseconds } from './timing.ts';
import { becomeActive, becomeBackup, becomeInitialize, resign } from './transitions.ts';
import { stepBackup } from './when-backup.ts';

/** As many adverts in a row as the other routers wait for. */
const missedAdvertsMax = 3;

/** In a lasting conflict the addresses are announced anew this often at most; adverts are cheap, announcements not. */
const reannounceIntervalMs = 1000;

/**
 * The longest advert interval at which a router that has stalled listens before it yields: until then two may hold the
 * addresses, and an overlap is to be over within 200 ms.
 */
const listenIntervalMaxMs = 100;

/** For an advert that is a little late. */
const listenMarginMs = 5;

export function stepActive(config: RouterConfig, state: ActiveState, input: RouterInput, nowMs: number): RouterStep {
  if (hasStalled(config, state, nowMs)) return onStall(config, state, input, nowMs);
  switch (input.type) {
    case 'startup':
      return ignore(state, 'already-running');
    case 'link-up':
      return announceAgain(state, 'link-already-up', nowMs);
    case 'shutdown':
    case 'link-down':
      return becomeInitialize(state, input.type);
    case 'fault':
      return becomeInitialize(state, 'fault', [input.reason]);
    case 'fault-cleared':
      return ignore(state, 'unknown-fault');
    case 'timeout':
      return onTimeout(config, state, nowMs);
    case 'advert':
      return onAdvert(config, state, input, nowMs);
    case 'priority-changed':
      assertPriority(input.priority);
      return stay({ ...state, priority: input.priority });
    case 'preempt-permitted':
      return stay({ ...state, isPreemptPermitted: input.isPermitted });
    case 'advert-send-failed':
      return onSendFailed(config, state, nowMs);
    case 'advert-wanted':
      if (state.listensUntilMs !== undefined) return ignore(state, 'listening');
      return stay(state, [{ type: 'send-advert', priority: state.priority }]);
    case 'claim-failed':
      return becomeBackup(config, state, { cause: 'claim-failed', nowMs });
    case 'fence':
      return onFence(config, state, input, nowMs);
    case 'peer-resigned':
      return onPeerResigned(state, nowMs);
    case 'fence-lifted':
      return ignore(state, 'not-fenced');
    case 'peer-process-died':
    case 'peer-silent':
      return ignore(state, 'not-backup');
    case 'peer-epoch':
      return onPeerEpoch(state, input.epoch, nowMs);
    case 'take-over':
      return onTakeOver(config, state, input, nowMs);
    case 'hand-over':
      return stay({ ...state, grace: { kind: 'hand-over', untilMs: nowMs + input.graceMs } });
    case 'resign':
      return resign(config, state, nowMs);
  }
}

/**
 * Whether this node slept through the time in which the others must have promoted one of themselves: a frozen virtual
 * machine, a stopped process. It then finds itself active without being so.
 */
function hasStalled(config: RouterConfig, state: ActiveState, nowMs: number): boolean {
  const { version, advertIntervalMs } = config;
  const dueAtMs = state.listensUntilMs ?? state.nextAdvertAtMs;
  return nowMs > dueAtMs + activeDownIntervalMs(state.priority, advertIntervalMs, version);
}

/**
 * Another one is active by now, unless the whole host stood still, and with it whoever else runs there. At short
 * intervals that takes no time to find out: another one is heard within an interval. At long ones it yields at once.
 */
function onStall(config: RouterConfig, state: ActiveState, input: RouterInput, nowMs: number): RouterStep {
  const { advertIntervalMs } = config;
  if (state.listensUntilMs !== undefined || advertIntervalMs > listenIntervalMaxMs)
    return yieldAfterStall(config, state, input, nowMs);
  const listensUntilMs = toMicroseconds(nowMs + advertIntervalMs + listenMarginMs);
  const { state: next, effects } = stepActive(config, { ...state, listensUntilMs }, input, nowMs);
  return { state: next, effects: [{ type: 'silence' }, ...effects], ignored: 'listening' };
}

/** Whatever has come is for a backup. */
function yieldAfterStall(config: RouterConfig, state: ActiveState, input: RouterInput, nowMs: number): RouterStep {
  const yielded = becomeBackup(config, state, { cause: 'stall', nowMs });
  const then = stepBackup(config, yielded.state, input, nowMs);
  return { ...then, effects: [...yielded.effects, ...then.effects] };
}

function onTimeout(config: RouterConfig, state: ActiveState, nowMs: number): RouterStep {
  if (state.listensUntilMs !== undefined) return onListened(config, state, state.listensUntilMs, nowMs);
  if (nowMs < state.nextAdvertAtMs) return ignore(state, 'not-due');
  const going: ActiveState = {
    ...state,
    grace: graceInForce(state, nowMs) === undefined ? undefined : state.grace,
    nextAdvertAtMs: followingAdvertAtMs(config, state, nowMs),
    missedAdverts: state.lastAdvertFailed ? state.missedAdverts : 0,
    lastAdvertFailed: false,
  };
  return stay(going, [{ type: 'send-advert', priority: state.priority }]);
}

/** Nobody else is active: this one has been so all the time. */
function onListened(config: RouterConfig, state: ActiveState, listensUntilMs: number, nowMs: number): RouterStep {
  return nowMs < listensUntilMs ? ignore(state, 'not-due') : speakAgain(config, state, nowMs);
}

/** The announcements, which were silenced, begin anew. */
function speakAgain(config: RouterConfig, state: ActiveState, nowMs: number): RouterStep {
  const nextAdvertAtMs = toMicroseconds(nowMs + config.advertIntervalMs);
  const reannounceAtMs = nowMs + reannounceIntervalMs;
  return stay({ ...state, listensUntilMs: undefined, nextAdvertAtMs, reannounceAtMs }, [
    { type: 'send-advert', priority: state.priority },
    { type: 'announce' },
  ]);
}

/** Counted from the deadline, not from now: timers are late by a part of a millisecond, and at 10 ms that adds up. */
function followingAdvertAtMs(config: RouterConfig, state: ActiveState, nowMs: number): number {
  const onScheduleMs = state.nextAdvertAtMs + config.advertIntervalMs;
  return toMicroseconds(onScheduleMs > nowMs ? onScheduleMs : nowMs + config.advertIntervalMs);
}

function onAdvert(config: RouterConfig, state: ActiveState, advert: AdvertInput, nowMs: number): RouterStep {
  if (advert.priority === 0 && state.listensUntilMs !== undefined) return speakAgain(config, state, nowMs);
  if (advert.priority === 0) {
    // Who resigns has been active, beside us: its neighbours may still believe in it.
    const { effects, ...announced } = announcement(state, nowMs);
    const nextAdvertAtMs = toMicroseconds(nowMs + config.advertIntervalMs);
    return stay({ ...state, ...announced, nextAdvertAtMs }, [
      { type: 'send-advert', priority: state.priority },
      ...effects,
    ]);
  }
  // It was elected while this one stood still, whatever its priority.
  if (state.listensUntilMs !== undefined) return yieldAfterStall(config, state, advert, nowMs);
  const other: RemoteRouter = { address: advert.source, priority: advert.priority };
  const to = { active: other, advertIntervalMs: advert.advertIntervalMs };
  const grace = graceInForce(state, nowMs);
  if (grace === 'hand-over') return becomeBackup(config, state, { cause: grace, nowMs, to, hasYielded: true });
  const rank = compareRank(other, ownRank(config, state));
  // Two nodes with one address cannot tell each other's adverts from their own; answering would never end.
  if (rank === 0) return ignore(state, 'same-address');
  const isPriority = other.priority !== state.priority;
  if (rank < 0) return reassert(config, state, isPriority ? 'lower-priority' : 'lower-address', nowMs);
  if (grace === 'take-over') return reassert(config, state, 'taking-over', nowMs);
  return becomeBackup(config, state, { cause: isPriority ? 'higher-priority' : 'higher-address', nowMs, to });
}

/**
 * An advert at once, so that the other one yields and bridges learn the way to us again (RFC 9568, 6.4.3). Once per
 * interval: two nodes that both think so would otherwise answer each other for ever.
 */
function reassert(
  config: RouterConfig,
  state: ActiveState,
  reason: 'lower-priority' | 'lower-address' | 'taking-over',
  nowMs: number,
): RouterStep {
  if (nowMs < state.reassertAtMs) return ignore(state, reason);
  const { effects, ...announced } = announcement(state, nowMs);
  const reassertAtMs = toMicroseconds(nowMs + config.advertIntervalMs);
  return ignore({ ...state, ...announced, reassertAtMs }, reason, [
    { type: 'send-advert', priority: state.priority },
    ...effects,
  ]);
}

/** Neighbours and bridges may have been led elsewhere in the meantime, even if nothing is to be changed here. */
function announceAgain(state: ActiveState, reason: IgnoreReason, nowMs: number): RouterStep {
  const { effects, ...announced } = announcement(state, nowMs);
  return ignore({ ...state, ...announced }, reason, effects);
}

function announcement(
  { reannounceAtMs }: ActiveState,
  nowMs: number,
): { readonly effects: readonly RouterEffect[]; readonly reannounceAtMs: number } {
  if (nowMs < reannounceAtMs) return { effects: [], reannounceAtMs };
  return { effects: [{ type: 'announce' }], reannounceAtMs: nowMs + reannounceIntervalMs };
}

/** An advert that does not leave is one that the others miss; three of them, and they have elected another. */
function onSendFailed(config: RouterConfig, state: ActiveState, nowMs: number): RouterStep {
  if (state.lastAdvertFailed) return ignore(state, 'already-counted');
  const missedAdverts = state.missedAdverts + 1;
  if (missedAdverts >= missedAdvertsMax) return becomeBackup(config, state, { cause: 'send-failures', nowMs });
  return stay({ ...state, missedAdverts, lastAdvertFailed: true });
}

/**
 * The higher epoch stays; if both claimed the same one, who would win the election on the LAN. A peer that loses has
 * been active nevertheless, and announced itself.
 */
function onFence(config: RouterConfig, state: ActiveState, fence: FenceInput, nowMs: number): RouterStep {
  if (fence.epoch < state.epoch) return announceAgain(state, 'stale-epoch', nowMs);
  const isHandingOver = graceInForce(state, nowMs) === 'hand-over';
  const other: RemoteRouter = { address: fence.address, priority: fence.priority };
  if (fence.epoch === state.epoch && !isHandingOver) {
    const rank = compareRank(other, ownRank(config, state));
    if (rank === 0) return ignore(state, 'same-address');
    const reason = other.priority === state.priority ? 'lower-address' : 'lower-priority';
    if (rank < 0) return announceAgain(state, reason, nowMs);
  }
  return becomeBackup(config, state, {
    cause: isHandingOver ? 'hand-over' : 'fence',
    nowMs,
    to: { active: other },
    hasYielded: true,
    isFenced: true,
    epoch: fence.epoch,
  });
}

/** The peer was active beside us until now, and may have answered for the addresses after we announced them. */
function onPeerResigned(state: ActiveState, nowMs: number): RouterStep {
  const { effects, ...announced } = announcement(state, nowMs);
  return stay({ ...state, ...announced }, effects);
}

/**
 * A peer that knows a higher epoch than ours, and is not active any more, has been so without our noticing: neither
 * adverts nor the sync link passed. Its announcements are undone, and its epoch is overtaken, so that ours is the
 * highest again.
 */
function onPeerEpoch(state: ActiveState, peerEpoch: number, nowMs: number): RouterStep {
  if (peerEpoch <= state.epoch) return ignore(state, 'known-epoch');
  const { effects, ...announced } = announcement(state, nowMs);
  const epoch = peerEpoch + 1;
  return stay({ ...state, ...announced, epoch }, [{ type: 'claim-epoch', epoch }, ...effects]);
}

/** Active already: the operator says that we are the one, so whoever else believes to be it is told so. */
function onTakeOver(
  config: RouterConfig,
  state: ActiveState,
  { epoch, graceMs }: { readonly epoch: number; readonly graceMs: number },
  nowMs: number,
): RouterStep {
  const grace: Grace = { kind: 'take-over', untilMs: nowMs + graceMs };
  const promoted = becomeActive(config, state, { cause: 'take-over', nowMs, epochMin: epoch, grace });
  return {
    ...promoted,
    effects: promoted.effects.filter(({ type }) => type !== 'transition' && type !== 'claim-addresses'),
  };
}

function graceInForce({ grace }: ActiveState, nowMs: number): Grace['kind'] | undefined {
  return grace !== undefined && nowMs < grace.untilMs ? grace.kind : undefined;
}

function ownRank(config: RouterConfig, state: ActiveState): RemoteRouter {
  return { address: config.ownAddress, priority: state.priority };
}

/** Above 0 if `a` wins the election between two active routers: priority, then the address as an unsigned number. */
function compareRank(a: RemoteRouter, b: RemoteRouter): number {
  return a.priority - b.priority || compareIp(a.address, b.address);
}
