import type { Candidate } from './candidate.ts';

/**
 * Smooth weighted round-robin (nginx, ngx_http_upstream_round_robin.c): each candidate gains its weight, the richest is
 * picked and pays the sum of all weights. Over a cycle of that many picks each server gets exactly its weight, and at
 * no time is one ahead of its share by a whole connection: no bursts. Ties go to the first in the list.
 */
export function pickRoundRobin<Server extends Candidate>(candidates: readonly Server[]): Server | undefined {
  let best: Server | undefined;
  let total = 0;
  for (const candidate of candidates) {
    candidate.turn += candidate.weight;
    total += candidate.weight;
    if (best === undefined || candidate.turn > best.turn) best = candidate;
  }
  if (best !== undefined) best.turn -= total;
  return best;
}
