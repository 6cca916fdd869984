/**
 * An active router that has lost health makes way for a peer in better health, also where preempt is off: there no
 * backup would take over by itself, however low the priority of the active router has fallen.
 */
import { graceInForce } from './grace.ts';
import type { ActiveState, Grace, RouterConfig, RouterStep } from './router-state.ts';
import { stay } from './router-state.ts';
import { toMicroseconds } from './timing.ts';

/** An invitation that nobody has followed is repeated after this many intervals. */
const invitationPauseIntervals = 10;

/** With preempt on nothing is needed: the peer of higher priority takes over by itself. */
export function isInviting(config: RouterConfig, state: ActiveState, nowMs: number): boolean {
  if (config.preempt || state.priority >= config.priority) return false;
  if (state.standbyPriority === undefined || state.standbyPriority <= state.priority) return false;
  return state.inviteAtMs !== undefined && state.inviteAtMs <= nowMs && graceInForce(state, nowMs) === undefined;
}

/**
 * Priority 0, and silence for two intervals: a backup promotes itself after its skew, which is less than one. We serve
 * meanwhile, and yield when we hear it. If nobody comes we go on before those who missed the priority 0 take us for
 * dead, and ask again later.
 */
export function invite(config: RouterConfig, state: ActiveState, nowMs: number): RouterStep {
  const untilMs = toMicroseconds(nowMs + 2 * config.advertIntervalMs);
  const inviteAtMs = untilMs + invitationPauseIntervals * config.advertIntervalMs;
  const grace: Grace = { kind: 'invitation', untilMs };
  return stay({ ...state, grace, nextAdvertAtMs: untilMs, inviteAtMs }, [{ type: 'send-advert', priority: 0 }]);
}
