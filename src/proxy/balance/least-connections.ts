import { pickLowest } from './lowest.ts';
import type { Candidate } from './candidate.ts';

/** The server that is least loaded for its weight with one connection more: smallest (connections + 1) / weight. */
export function pickLeastConnections<Server extends Candidate>(candidates: readonly Server[]): Server | undefined {
  return pickLowest(candidates, ({ connections, weight }) => (connections + 1) / weight);
}
