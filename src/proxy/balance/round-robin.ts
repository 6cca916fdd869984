import type { BalanceState, Candidate, Picked } from './candidate.ts';

/**
 * Smooth weighted round-robin (nginx, ngx_http_upstream_round_robin.c): each candidate gains its weight, the richest is
 * picked and pays the sum of all weights. Over a cycle of that many picks each server gets exactly its weight, and at
 * no time is one ahead of its share by a whole connection: no bursts. Ties go to the first in the list.
 */
export function pickRoundRobin<Server extends Candidate>(
  candidates: readonly Server[],
  state: BalanceState,
): Picked<Server> {
  const next = new Map(state);
  let best: Server | undefined;
  let bestCurrent = 0;
  let total = 0;
  for (const candidate of candidates) {
    const current = (state.get(candidate.name) ?? 0) + candidate.weight;
    next.set(candidate.name, current);
    total += candidate.weight;
    if (best === undefined || current > bestCurrent) {
      best = candidate;
      bestCurrent = current;
    }
  }
  if (best !== undefined) next.set(best.name, bestCurrent - total);
  return { server: best, state: next };
}
