import { describe, expect, it } from 'vitest';
import { sumCounters } from '../../../src/node/sum-counters.ts';
import { endCauses } from '../../../src/proxy/index.ts';
import type { ServerCounters, ServiceCounters } from '../../../src/proxy/index.ts';

describe('sumCounters', () => {
  it('adds the workers up, by service, by reason and by server', () => {
    const sums = sumCounters([
      worker(service('web', 1, [server('s1', 2), server('s2', 3)]), service('db', 7, [])),
      worker(service('web', 10, [server('s2', 30), server('s1', 20)])),
    ]);
    expect([...sums.keys()]).toEqual(['web', 'db']);
    expect(sums.get('web')).toMatchObject({ service: 'web', connectionsTotal: 11, queued: 11, queuedMax: 10 });
    expect(sums.get('web')).toMatchObject({ refused: { 'no-server': 11 }, ended: { completed: 11 } });
    expect(sums.get('web')?.servers).toMatchObject([
      { server: 's1', connectionsTotal: 22 },
      { server: 's2', connectionsTotal: 33 },
    ]);
    expect(sums.get('db')).toMatchObject({ connectionsTotal: 7 });
  });

  it('keeps a server that one worker does not know yet', () => {
    const sums = sumCounters([worker(service('web', 1, [])), worker(service('web', 1, [server('s1', 4)]))]);
    expect(sums.get('web')?.servers).toMatchObject([{ server: 's1', connectionsTotal: 4 }]);
  });

  it('adds up reasons that only some of the workers know', () => {
    const [first, second] = [service('web', 1, []), service('web', 10, [])];
    const sums = sumCounters([
      worker({ ...first, refused: { ...first.refused, denied: 2, maxconn: 3 } }),
      worker({ ...second, refused: { ...second.refused, denied: 5, 'no-such-name': 7 } }),
    ]);
    expect(sums.get('web')?.refused).toMatchObject({ 'no-server': 11, denied: 7, maxconn: 3, 'no-such-name': 7 });
  });

  it('answers nothing for nobody', () => {
    expect(sumCounters([]).size).toBe(0);
  });
});

function worker(...services: readonly ServiceCounters[]) {
  return { services, acceptPauses: 0, connectionLimitHits: 0, isFull: false, accessRecordsDropped: 0 };
}

function service(name: string, n: number, servers: readonly ServerCounters[]): ServiceCounters {
  return {
    ...{ service: name, connectionsTotal: n, connectionsCurrent: n, bytesIn: n, bytesOut: n, unsentBytes: n },
    ...{ redispatches: n, stickHits: n, stickClaims: n, stickClaimTimeouts: n, queued: n, queuedMax: n, servers },
    ended: Object.fromEntries(endCauses.map((cause) => [cause, n])) as ServiceCounters['ended'],
    refused: { 'no-server': n, 'connect-failed': n, 'no-descriptor': n, 'queue-full': n, 'queue-timeout': n },
  };
}

function server(name: string, n: number): ServerCounters {
  return {
    ...{ server: name, connectionsTotal: n, connectionsCurrent: n, bytesIn: n, bytesOut: n },
    ...{ connectFailures: n, connectTimeouts: n, queued: n, drained: n, shutdowns: n },
  };
}
