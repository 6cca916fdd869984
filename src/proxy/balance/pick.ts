import { pickLeastConnections } from './least-connections.ts';
import { pickLeastTime } from './least-time.ts';
import { pickByMaglev } from './maglev.ts';
import { pickRandomOfTwo } from './random-two.ts';
import { pickRoundRobin } from './round-robin.ts';
import { pickBySource } from './source-hash.ts';
import type { Candidate, PoolView, Question } from './candidate.ts';

/** HAProxy's names of the algorithms where it has them; `leasttime` is nginx's. */
export type Balance = 'roundrobin' | 'leastconn' | 'random' | 'source' | 'maglev' | 'leasttime' | 'first';

/** Whether the algorithm gives every source a server of its own, which its clients wait for when that one is full. */
export function isHashed(balance: Balance): boolean {
  return balance === 'source' || balance === 'maglev';
}

/**
 * Picks the server of a connection; those it may not go to take no part and lose no share. Hashing picks a server that
 * is full as well, everything else only one that has room. Undefined when there is none.
 */
export function pick<Server extends Candidate>(
  balance: Balance,
  pool: PoolView<Server>,
  question: Question,
): Server | undefined {
  const { servers } = pool;
  const { excluded, source, fraction, nowMs } = question;
  switch (balance) {
    case 'roundrobin':
      return pickRoundRobin(withRoom(servers, excluded));
    case 'leastconn':
      return pickLeastConnections(withRoom(servers, excluded));
    case 'random':
      return pickRandomOfTwo(withRoom(servers, excluded), fraction);
    case 'leasttime':
      return pickLeastTime(withRoom(servers, excluded), nowMs);
    case 'first':
      return servers.find((server) => mayTake(server, excluded));
    case 'source':
      return pickBySource(permitted(servers, excluded), source);
    case 'maglev':
      return pickByMaglev(servers, pool.maglevTable(), source, excluded);
  }
}

/** Nearly always these are all, which then need not be copied for every connection. */
function withRoom<Server extends Candidate>(servers: readonly Server[], excluded: ReadonlySet<string>) {
  if (servers.every((server) => mayTake(server, excluded))) return servers;
  return servers.filter((server) => mayTake(server, excluded));
}

function permitted<Server extends Candidate>(servers: readonly Server[], excluded: ReadonlySet<string>) {
  return excluded.size === 0 ? servers : servers.filter(({ name }) => !excluded.has(name));
}

function mayTake(server: Candidate, excluded: ReadonlySet<string>): boolean {
  return !server.isFull && !excluded.has(server.name);
}
