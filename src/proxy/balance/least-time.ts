import { latencyAt } from './latency.ts';
import { pickLowest } from './lowest.ts';
import type { Candidate } from './candidate.ts';

/** Below this one server is as quick as another: what is left is noise, and a product with 0 would hide the load. */
const noiseMs = 0.01;

/**
 * The server whose next connection would cost least: latency * (connections + 1) / weight. One that has not been
 * measured yet is taken for as quick as the quickest, so that it is.
 */
export function pickLeastTime<Server extends Candidate>(
  candidates: readonly Server[],
  nowMs: number,
): Server | undefined {
  const latencies = new Map<Server, number>();
  for (const candidate of candidates) {
    if (candidate.latency === undefined) continue;
    latencies.set(candidate, Math.max(noiseMs, latencyAt(candidate.latency, nowMs)));
  }
  const quickest = latencies.size === 0 ? noiseMs : Math.min(...latencies.values());
  return pickLowest(candidates, (candidate) => {
    return ((latencies.get(candidate) ?? quickest) * (candidate.connections + 1)) / candidate.weight;
  });
}
