/** Whether what the prober saw says how long the failover took, or how busy the machine was. */

import type { ProberReport } from '../lab/prober.ts';

export type FailoverVerdict =
  { readonly isValid: true; readonly gapMs: number } | { readonly isValid: false; readonly reason: string };

/** The part of a report that decides. */
export type SeenByProber = Pick<ProberReport, 'longestGap'>;

/** From the order to cut and kill until it is done: some processes have to be started for it. */
const strikeMsMax = 250;
/** A gap is known up to the prober's pauses in it: a third of it is the error that we bear. */
const pauseShareMax = 1 / 3;

/** `struckAtMs`: when the node's death was ordered, on the prober's clock. */
export function judgeFailover({ longestGap }: SeenByProber, struckAtMs: number): FailoverVerdict {
  if (longestGap === undefined) return invalid('no time without service was seen');
  if (longestGap.endMs < struckAtMs || longestGap.startMs > struckAtMs + strikeMsMax) {
    const awayMs = longestGap.startMs - struckAtMs;
    return invalid(`the longest gap (${ms(longestGap.ms)}) began ${ms(awayMs)} after the node was struck`);
  }
  if (longestGap.pauseMs > longestGap.ms * pauseShareMax) {
    return invalid(`the prober paused for ${ms(longestGap.pauseMs)}, the gap was ${ms(longestGap.ms)}`);
  }
  return { isValid: true, gapMs: longestGap.ms };
}

function invalid(reason: string): FailoverVerdict {
  return { isValid: false, reason };
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
