import { pickRoundRobin } from './round-robin.ts';
import type { BalanceState, Candidate, Picked } from './candidate.ts';

/**
 * The server that would be least loaded for its weight with one more connection: smallest (connections + 1) / weight;
 * weighted round-robin among equals, so that an idle service does not always start with its first server.
 */
export function pickLeastConnections<Server extends Candidate>(
  candidates: readonly Server[],
  state: BalanceState,
): Picked<Server> {
  let equals: Server[] = [];
  for (const candidate of candidates) {
    const order = equals[0] === undefined ? -1 : compareLoad(candidate, equals[0]);
    if (order < 0) equals = [candidate];
    else if (order === 0) equals.push(candidate);
  }
  return pickRoundRobin(equals, state);
}

/** Compares the two fractions without dividing, so that equal ones are equal. */
function compareLoad(a: Candidate, b: Candidate): number {
  return (a.connections + 1) * b.weight - (b.connections + 1) * a.weight;
}
