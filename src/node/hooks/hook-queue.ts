/**
 * The queue of one virtual router's hooks: in order, one at a time, and of those that wait only the latest, since a
 * hook tells how things are. What it leaves out it says.
 */
import type { RouterState } from '../status-document.ts';

/** A change of state, and the hook for it. */
export type HookCall = {
  /** The number of the change, from 1 on. */
  readonly generation: number;
  readonly from: RouterState;
  readonly to: RouterState;
  readonly cause: string;
  readonly epoch: number;
  /** Undefined: there is no hook for this state. */
  readonly command: readonly string[] | undefined;
};

export type HookQueue = { readonly running: HookCall | undefined; readonly waiting: HookCall | undefined };

export type HookStep = {
  readonly queue: HookQueue;
  /** To be run now. */
  readonly start: HookCall | undefined;
  /** Will never be run. */
  readonly skipped: HookCall | undefined;
};

export const emptyQueue: HookQueue = { running: undefined, waiting: undefined };

export function onChange({ running, waiting }: HookQueue, call: HookCall): HookStep {
  if (call.command === undefined) {
    const isOutdated = waiting !== undefined && (waiting.to === 'active') !== (call.to === 'active');
    return {
      queue: { running, waiting: isOutdated ? undefined : waiting },
      start: undefined,
      skipped: isOutdated ? waiting : undefined,
    };
  }
  if (running === undefined) return { queue: { running: call, waiting: undefined }, start: call, skipped: undefined };
  return { queue: { running, waiting: call }, start: undefined, skipped: waiting };
}

export function onEnd({ waiting }: HookQueue): HookStep {
  return { queue: { running: waiting, waiting: undefined }, start: waiting, skipped: undefined };
}
