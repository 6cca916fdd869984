/** What the two sides of a switchover, and a router that has lost health, do for a while. */
import type { ActiveState, Grace } from './router-state.ts';

export function graceInForce(state: ActiveState, nowMs: number): Grace['kind'] | undefined {
  return state.grace !== undefined && nowMs < state.grace.untilMs ? state.grace.kind : undefined;
}

/** Who is asked to yield, or has asked for it, does so at the first sign of another active router. */
export function causeOfYielding(grace: Grace['kind'] | undefined): 'hand-over' | 'weakened' | undefined {
  if (grace === 'invitation') return 'weakened';
  return grace === 'hand-over' ? grace : undefined;
}
