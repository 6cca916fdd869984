import { describe, expect, it } from 'vitest';
import { HealthPolicy, judge } from '../../../src/node/health-policy.ts';
import type { Standing } from '../../../src/node/health-policy.ts';
import type { FailoverRequest } from '../../../src/node/admin-api.ts';
import { EventLog } from '../../../src/node/events.ts';
import { Mastership } from '../../../src/node/mastership.ts';
import type { FailoverReport, RouterState } from '../../../src/node/status-document.ts';
import { ManualClock, OperatorError, silentLogger } from '../../../src/runtime/index.ts';

function role(state: RouterState, priority: number) {
  return { state, priority, epoch: 1, address: '10.0.0.1' };
}

const handingOver: Standing = {
  own: role('active', 50),
  peer: role('backup', 100),
  isImpaired: true,
  preempt: false,
  hasGivenAway: false,
};
const takingBack: Standing = {
  own: role('backup', 200),
  peer: role('active', 100),
  isImpaired: false,
  preempt: true,
  hasGivenAway: true,
};

describe('a node that is worth less', () => {
  it.each<[string, Partial<Standing>, string]>([
    ['hands over', {}, 'hand-over'],
    ['stays when nothing is wrong with it: the lower priority is as configured', { isImpaired: false }, 'stay'],
    ['stays when the peer is worth the same', { peer: role('backup', 50) }, 'stay'],
    ['stays when the peer is worth even less', { peer: role('backup', 1) }, 'stay'],
    ['stays when the peer has a fault', { peer: role('initialize', 100) }, 'stay'],
    ['stays when both are active: the election decides', { peer: role('active', 100) }, 'stay'],
    ['stays when the peer cannot be heard', { peer: undefined }, 'stay'],
    ['stays when it is not active', { own: role('backup', 50) }, 'stay'],
  ])('%s', (_claim, change, move) => {
    expect(judge({ ...handingOver, ...change })).toBe(move);
  });
});

describe('a node that is well again', () => {
  it.each<[string, Partial<Standing>, string]>([
    ['takes back what it gave away', {}, 'take-back'],
    ['stays without preempt', { preempt: false }, 'stay'],
    ['stays where an operator put it', { hasGivenAway: false }, 'stay'],
    ['stays when it is worth no more than the peer', { own: role('backup', 100) }, 'stay'],
    ['stays when the peer is not active', { peer: role('backup', 100) }, 'stay'],
  ])('%s', (_claim, change, move) => {
    expect(judge({ ...takingBack, ...change })).toBe(move);
  });
});

describe('HealthPolicy', () => {
  it('hands over once, and asks for it back after the delay', async () => {
    const node = await setup({ preempt: true, preemptDelayMs: 3_000 });
    node.setWorth(50, true);
    await node.settle();
    expect(node.requests).toEqual(['to lb2: web']);
    node.setWorth(200, false);
    node.clock.advance(2_000);
    await node.settle();
    expect(node.requests).toHaveLength(1);
    node.clock.advance(2_000);
    await node.settle();
    expect(node.requests).toEqual(['to lb2: web', 'to lb1: web']);
  });

  it('begins the delay anew when it was unwell in between', async () => {
    const node = await setup({ preempt: true, preemptDelayMs: 3_000 });
    node.setWorth(50, true);
    await node.settle();
    node.setWorth(200, false);
    node.clock.advance(2_500);
    node.setWorth(50, true);
    node.clock.advance(1_000);
    node.setWorth(200, false);
    node.clock.advance(2_500);
    await node.settle();
    expect(node.requests).toEqual(['to lb2: web']);
  });

  it('leaves an unwell node also for a peer with another file, but does not come back from one', async () => {
    const node = await setup({ preempt: true, preemptDelayMs: 0 });
    node.setWorth(50, true);
    await node.settle();
    node.setWorth(200, false);
    node.clock.advance(2_000);
    await node.settle();
    expect(node.mayDiffer).toEqual([true, false]);
  });

  it('goes by what is configured now', async () => {
    const node = await setup({ preempt: true, preemptDelayMs: 0 });
    node.setWorth(50, true);
    await node.settle();
    node.policy.reconfigure([{ name: 'web', preempt: false, preemptDelayMs: 0 }]);
    node.setWorth(200, false);
    node.clock.advance(2_000);
    await node.settle();
    expect(node.requests).toEqual(['to lb2: web']);
  });

  it('tries again what is refused, ever more slowly, and says it once', async () => {
    const node = await setup({ preempt: false, preemptDelayMs: 0 });
    node.refuse(new OperatorError('NOT_IN_SYNC', 'lb2 is behind in sync', 'wait'));
    node.setWorth(50, true);
    await node.settle();
    for (let second = 1; second <= 60; second++) {
      node.clock.advance(1_000);
      await node.settle();
    }
    // After 0, 1, 4, 11, 21, 31, 41 and 51 seconds.
    expect(node.requests).toHaveLength(8);
    expect(node.events.after(0).map(({ message }) => message)).toEqual([
      'web should move to lb2, but: lb2 is behind in sync',
    ]);
  });

  it('does nothing any more after its end', async () => {
    const node = await setup({ preempt: false, preemptDelayMs: 0 });
    await node.policy.stop();
    node.setWorth(50, true);
    await node.settle();
    expect(node.requests).toEqual([]);
  });
});

/** lb1 is active and worth 200, lb2 is backup and worth 100; what is asked for happens unless it is refused. */
async function setup(router: { preempt: boolean; preemptDelayMs: number }) {
  const clock = new ManualClock();
  const events = new EventLog(() => 0);
  const requests: string[] = [];
  const worth = { priority: 200, isImpaired: false };
  const mastership = new Mastership(
    { web: role('active', 200) },
    {
      onFence: () => undefined,
      onPeerResigned: () => undefined,
      onFenceLifted: () => undefined,
      onPeerEpoch: () => undefined,
      onPeerDied: () => undefined,
      onPeerSilent: () => undefined,
      sendRoles: () => undefined,
    },
  );
  mastership.onPeerRoles({ web: role('backup', 100) });
  const refusals: { now: OperatorError | undefined } = { now: undefined };
  const mayDiffers: (boolean | undefined)[] = [];
  const failover = ({ to, routers, mayDiffer }: FailoverRequest): Promise<FailoverReport> => {
    mayDiffers.push(mayDiffer);
    requests.push(`to ${to ?? ''}: ${routers?.join() ?? 'all'}`);
    if (refusals.now !== undefined) return Promise.reject(refusals.now);
    const isHere = to === 'lb1';
    mastership.onOwnChange('web', isHere ? 'active' : 'backup', 2);
    mastership.onPeerRoles({ web: role(isHere ? 'backup' : 'active', 100) });
    return Promise.resolve({ virtualRouters: ['web'] } as unknown as FailoverReport);
  };
  const policy = new HealthPolicy({ self: 'lb1', peer: 'lb2' }, [{ name: 'web', ...router }], {
    clock,
    events,
    logger: silentLogger,
    mastership,
    health: () => ({ ...worth, faults: [] }),
    failover,
  });
  await policy.start();
  return {
    clock,
    events,
    requests,
    mayDiffer: mayDiffers,
    policy,
    refuse: (error: OperatorError): void => {
      refusals.now = error;
    },
    setWorth(priority: number, isImpaired: boolean): void {
      Object.assign(worth, { priority, isImpaired });
      mastership.onOwnPriority('web', priority);
      policy.consider();
    },
    /** Lets what was asked for come about. */
    async settle(): Promise<void> {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    },
  };
}
