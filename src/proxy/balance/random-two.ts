import type { Candidate } from './candidate.ts';

/**
 * Two servers are drawn by weight, and the one with fewer connections for its weight is picked; the first one of equals
 * (HAProxy's random(2)). Workers that know little of each other do not all rush to the same server in this way.
 */
export function pickRandomOfTwo<Server extends Candidate>(
  candidates: readonly Server[],
  fraction: () => number,
): Server | undefined {
  const first = draw(candidates, fraction());
  if (first === undefined) return undefined;
  const second = draw(
    candidates.filter((candidate) => candidate !== first),
    fraction(),
  );
  if (second === undefined) return first;
  return second.connections * first.weight < first.connections * second.weight ? second : first;
}

function draw<Server extends Candidate>(candidates: readonly Server[], fraction: number): Server | undefined {
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let left = fraction * total;
  // Of the last one only rounding could leave a rest.
  return candidates.find(({ weight }) => (left -= weight) < 0) ?? candidates.at(-1);
}
