import { hashSeeds, hashText } from './hash.ts';
import type { Candidate } from './candidate.ts';

/**
 * A server for each source address, by weight: the same one as long as the pool is the same. When a server comes or
 * goes, most sources get another one (HAProxy's map-based `source`); `maglev` moves few.
 */
export function pickBySource<Server extends Candidate>(
  candidates: readonly Server[],
  source: string,
): Server | undefined {
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let left = hashText(source, hashSeeds.source) % total;
  return candidates.find(({ weight }) => (left -= weight) < 0);
}
