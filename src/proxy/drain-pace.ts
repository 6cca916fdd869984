/** How fast the connections of a server are ended: evenly over a time, however many end by themselves meanwhile. */

export type DrainPace = {
  readonly untilMs: number;
  /** Up to when it has been reckoned. */
  readonly atMs: number;
  /** The part of a connection that is due; the next one is ended when it is a whole one. */
  readonly due: number;
};

/** `fraction` in [0, 1) is randomness: several workers with one connection each do not end them at the same moment. */
export function startDrainPace(durationMs: number, nowMs: number, fraction: number): DrainPace {
  return { untilMs: nowMs + durationMs, atMs: nowMs, due: fraction };
}

/** How many of the connections that are open now are to be ended now: in the end all of them. */
export function stepDrainPace(
  pace: DrainPace,
  open: number,
  nowMs: number,
): { readonly pace: DrainPace; readonly ending: number } {
  if (nowMs >= pace.untilMs) return { pace: { ...pace, atMs: nowMs, due: 0 }, ending: open };
  const due = pace.due + (open * Math.max(0, nowMs - pace.atMs)) / (pace.untilMs - pace.atMs);
  const ending = Math.min(open, Math.floor(due));
  return { pace: { ...pace, atMs: nowMs, due: due - ending }, ending };
}
