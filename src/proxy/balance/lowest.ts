import { pickRoundRobin } from './round-robin.ts';
import type { Candidate } from './candidate.ts';

/**
 * The server of the lowest cost; weighted round-robin among equals, so that an idle service does not always start with
 * its first server.
 */
export function pickLowest<Server extends Candidate>(
  candidates: readonly Server[],
  costOf: (candidate: Server) => number,
): Server | undefined {
  let equals: Server[] = [];
  let lowest = Infinity;
  for (const candidate of candidates) {
    const cost = costOf(candidate);
    if (cost < lowest) {
      equals = [candidate];
      lowest = cost;
    } else if (cost === lowest) {
      equals.push(candidate);
    }
  }
  return pickRoundRobin(equals);
}
