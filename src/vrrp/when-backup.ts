/** The backup state (RFC 9568, 6.4.2), and what Tandem adds to it. */
import type { AdvertInput, BackupState, RouterConfig, RouterInput, RouterStep } from './router-state.ts';
import { assertPriority, ignore, stay } from './router-state.ts';
import { skewMs, toMicroseconds } from './timing.ts';
import { becomeActive, becomeInitialize, downAtMs } from './transitions.ts';

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
      return onPriorityChanged(state, input.priority);
    case 'fence':
      if (input.epoch <= state.epoch) return ignore(state, 'known-epoch');
      return stay({ ...state, epoch: input.epoch });
    case 'fence-lifted':
      return onFenceLifted(state, input.cause, nowMs);
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
    case 'claim-failed':
      return ignore(state, 'not-active');
  }
}

function onTimeout(config: RouterConfig, state: BackupState, nowMs: number): RouterStep {
  if (state.activeDownAtMs === undefined) return ignore(state, 'fenced');
  if (nowMs < state.activeDownAtMs) return ignore(state, 'not-due');
  return becomeActive(config, state, { cause: state.promotionCause, nowMs });
}

function onAdvert(config: RouterConfig, state: BackupState, advert: AdvertInput, nowMs: number): RouterStep {
  if (advert.priority === 0) return stay(expectResignation(state, nowMs));
  const active = { address: advert.source, priority: advert.priority };
  const mayPreempt = (config.preempt || state.priority === 255) && !state.hasYielded;
  if (mayPreempt && advert.priority < state.priority) {
    // Not arming the timer anew is what preempts: it runs out although there are adverts.
    return ignore({ ...state, active, promotionCause: 'preempt' }, 'lower-priority');
  }
  return stay({
    ...state,
    active,
    activeAdvertIntervalMs: advert.advertIntervalMs,
    activeDownAtMs: downAtMs(state.priority, advert.advertIntervalMs, nowMs),
    promotionCause: 'active-silent',
  });
}

function onFenceLifted(state: BackupState, cause: 'peer-resigned' | 'sync-lost', nowMs: number): RouterStep {
  if (state.activeDownAtMs !== undefined) return ignore(state, 'not-fenced');
  // A peer that says it is not active is as good as a priority-0 advert. One that is silent may still be active, and
  // gets the time for three adverts.
  if (cause === 'peer-resigned') return stay(expectResignation(state, nowMs));
  return stay({ ...state, activeDownAtMs: downAtMs(state.priority, state.activeAdvertIntervalMs, nowMs) });
}

function expectResignation(state: BackupState, nowMs: number): BackupState {
  const activeDownAtMs = toMicroseconds(nowMs + skewMs(state.priority, state.activeAdvertIntervalMs));
  return { ...state, activeDownAtMs, promotionCause: 'active-resigned' };
}

/** The timer that runs contains the skew once, be it a down interval or a resignation: only the skew moves. */
function onPriorityChanged(state: BackupState, priority: number): RouterStep {
  assertPriority(priority);
  const { activeDownAtMs, activeAdvertIntervalMs } = state;
  if (activeDownAtMs === undefined) return stay({ ...state, priority });
  const moveMs = skewMs(priority, activeAdvertIntervalMs) - skewMs(state.priority, activeAdvertIntervalMs);
  return stay({ ...state, priority, activeDownAtMs: toMicroseconds(activeDownAtMs + moveMs) });
}
