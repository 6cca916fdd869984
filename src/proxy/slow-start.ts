/** What a server is given at first, of its weight (HAProxy's slowstart). */
const firstPart = 0.1;

/** The weight of a server that came into use so long ago: a tenth at first, then more, in a line, until it is all. */
export function slowStartWeight(weight: number, sinceMs: number, durationMs: number): number {
  const part = Math.min(1, Math.max(0, sinceMs) / durationMs);
  return weight * (firstPart + (1 - firstPart) * part);
}
