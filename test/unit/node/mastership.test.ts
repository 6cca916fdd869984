import { describe, expect, it } from 'vitest';
import { Mastership } from '../../../src/node/mastership.ts';
import type { RouterRole } from '../../../src/node/mastership.ts';

describe('Mastership', () => {
  it('tells the peer each change of its own', () => {
    const { mastership, trace } = setup();
    mastership.onOwnChange('web', 'active', 3);
    expect(trace).toEqual(['send web=active@3 db=backup@0']);
    expect(mastership.held()).toEqual(['web']);
  });

  it('tells the peer what it is worth, when that has changed', () => {
    const { mastership, trace } = setup();
    mastership.onOwnPriority('web', 200);
    expect(trace).toEqual([]);
    mastership.onOwnPriority('web', 50);
    expect([mastership.own('web')?.priority, trace]).toEqual([50, ['send web=backup@0 db=backup@0']]);
  });

  it('tells the peer where its adverts come from, when that has been found out', () => {
    const { mastership, trace } = setup();
    mastership.onOwnAddress('web', 'fe80::1');
    mastership.onOwnAddress('web', 'fe80::1');
    expect([mastership.own('web')?.address, trace]).toEqual(['fe80::1', ['send web=backup@0 db=backup@0']]);
  });

  it('fences where the peer is active, and lifts the fence when it is not any more', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7) });
    mastership.onPeerRoles({ web: role('backup', 7) });
    mastership.onPeerRoles({ web: role('backup', 7) });
    expect(trace).toEqual(['fence web 7', 'resigned web 10.0.0.2', 'epoch web 7', 'epoch web 7']);
  });

  it('tells what the peer that is not active knows, also of a later epoch than its own', () => {
    const { mastership, trace } = setup();
    mastership.onOwnChange('web', 'active', 1);
    trace.length = 0;
    mastership.onPeerRoles({ web: role('backup', 2), db: role('initialize', 9) });
    expect(trace).toEqual(['epoch web 2', 'epoch db 9']);
  });

  it('tells a router that was being made what it has missed, the end of a fence as well', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7), db: role('backup', 1) });
    trace.length = 0;
    mastership.tellStanding();
    expect(trace).toEqual(['fence web 7', 'lifted db', 'epoch db 1']);
    mastership.onPeerLost('died');
    trace.length = 0;
    mastership.tellStanding();
    expect(trace).toEqual(['lifted web', 'lifted db']);
  });

  it('knows what the peer said of a virtual router before it was configured here', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('backup', 1), late: role('active', 4) });
    expect([mastership.peerStates(), mastership.heldByPeer(), trace.splice(0)]).toEqual([
      { web: 'backup' },
      [],
      ['epoch web 1'],
    ]);
    mastership.add({ late: role('initialize', 0) });
    expect([mastership.heldByPeer(), mastership.fence('late')?.epoch]).toEqual([['late'], 4]);
  });

  it('lifts the fence of what the peer does not speak of any more', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7) });
    trace.length = 0;
    mastership.onPeerRoles({});
    expect(trace).toEqual(['resigned web 10.0.0.2']);
    expect(mastership.fence('web')).toBeUndefined();
  });

  it('speaks of nothing that is no longer configured, and keeps the roles of what stays', () => {
    const { mastership, trace } = setup();
    mastership.onOwnChange('web', 'active', 3);
    trace.length = 0;
    mastership.add({ web: role('initialize', 0) });
    mastership.retain(['web']);
    expect(trace).toEqual(['send web=active@3']);
    expect(mastership.own('db')).toBeUndefined();
  });

  it('says that the peer is dead, and where its adverts came from, when its kernel ended the connection', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7) });
    mastership.onPeerLost('died');
    expect(trace).toEqual(['fence web 7', 'died web 10.0.0.2']);
    expect(mastership.heldByPeer()).toEqual([]);
  });

  it('says that an active peer is silent, and tells its fence again when it is heard', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7), db: role('backup', 1) });
    trace.length = 0;
    mastership.onPeerQuiet(true);
    expect(trace).toEqual(['silent web 10.0.0.2']);
    mastership.onPeerQuiet(false);
    expect(trace).toEqual(['silent web 10.0.0.2', 'fence web 7']);
  });

  it('says that a peer is silent before it lifts the fence of one that was lost in silence', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7) });
    mastership.onPeerLost('silent');
    expect(trace).toEqual(['fence web 7', 'silent web 10.0.0.2', 'lifted web']);
  });

  it('lifts every fence when the peer is lost', () => {
    const { mastership, trace } = setup();
    mastership.onPeerRoles({ web: role('active', 7), db: role('backup', 1) });
    mastership.onPeerLost('unknown');
    expect(trace).toEqual(['fence web 7', 'epoch db 1', 'lifted web', 'lifted db']);
    expect(mastership.heldByPeer()).toEqual([]);
  });

  it.each([
    ['no object', 7],
    ['nothing', null],
    ['a state that does not exist', { web: { ...role('active', 1), state: 'master' } }],
    ['a negative epoch', { web: role('active', -1) }],
    ['an epoch with a fraction', { web: role('active', 1.5) }],
    ['an address of a megabyte', { web: { ...role('active', 1), address: 'x'.repeat(1e6) } }],
  ])('refuses %s whole', (_what, body) => {
    const { mastership, trace } = setup();
    expect(mastership.onPeerRoles(body)).toBe(false);
    expect(trace).toEqual([]);
  });

  it('ignores virtual routers that it does not have', () => {
    const { mastership, trace } = setup();
    expect(mastership.onPeerRoles({ other: role('active', 9) })).toBe(true);
    expect([trace, mastership.peerStates()]).toEqual([[], {}]);
  });

  it('wakes who waits for a role, and gives up when told to', async () => {
    const { mastership } = setup();
    const isActive = mastership.until(() => mastership.held().length > 0, new AbortController().signal);
    mastership.onOwnChange('db', 'active', 1);
    expect(await isActive).toBe(true);
    const controller = new AbortController();
    const never = mastership.until(() => false, controller.signal);
    controller.abort();
    expect(await never).toBe(false);
  });
});

function role(state: RouterRole['state'], epoch: number): RouterRole {
  return { state, epoch, priority: 100, address: '10.0.0.2' };
}

function setup(): { mastership: Mastership; trace: string[] } {
  const trace: string[] = [];
  const own = { state: 'backup', epoch: 0, priority: 200, address: '10.0.0.1' } as const;
  const mastership = new Mastership(
    { web: own, db: own },
    {
      onFence: (router, fence) => trace.push(`fence ${router} ${fence.epoch}`),
      onPeerDied: (router, address) => trace.push(`died ${router} ${address}`),
      onPeerSilent: (router, address) => trace.push(`silent ${router} ${address}`),
      onPeerResigned: (router, address) => trace.push(`resigned ${router} ${address}`),
      onFenceLifted: (router) => trace.push(`lifted ${router}`),
      onPeerEpoch: (router, epoch) => trace.push(`epoch ${router} ${epoch}`),
      sendRoles: (roles) =>
        trace.push(
          `send ${Object.entries(roles)
            .map(([name, { state, epoch }]) => `${name}=${state}@${epoch}`)
            .join(' ')}`,
        ),
    },
  );
  return { mastership, trace };
}
