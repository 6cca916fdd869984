import { pickLeastConnections } from './least-connections.ts';
import { pickRoundRobin } from './round-robin.ts';
import type { BalanceState, Candidate, Picked } from './candidate.ts';

/** HAProxy's names of the algorithms. */
export type Balance = 'roundrobin' | 'leastconn';

/** Picks the server of the next connection; those in `excluded` (by name) take no part and lose no share. */
export function pick<Server extends Candidate>(
  balance: Balance,
  candidates: readonly Server[],
  state: BalanceState,
  excluded: ReadonlySet<string>,
): Picked<Server> {
  const open = excluded.size === 0 ? candidates : candidates.filter((candidate) => !excluded.has(candidate.name));
  switch (balance) {
    case 'roundrobin':
      return pickRoundRobin(open, state);
    case 'leastconn':
      return pickLeastConnections(open, state);
  }
}
