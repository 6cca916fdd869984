import { describe, expect, it } from 'vitest';
import { Mastership } from '../../../src/node/mastership.ts';
import { Switchover } from '../../../src/node/switchover.ts';
import type { PeerStatus, RouterState } from '../../../src/node/status-document.ts';
import type { Plain } from '../../../src/sync/index.ts';
import { ManualClock, OperatorError } from '../../../src/runtime/index.ts';

const request = { to: undefined, force: false, timeoutMs: 1_000 };

describe('Switchover', () => {
  it('prepares this node, asks the peer, and is done when this node has let go', async () => {
    const node = setup({ own: 'active' });
    node.answer = () => {
      node.mastership.onOwnChange('web', 'backup', 2);
      return Promise.resolve({});
    };
    const report = await node.switchover.run(request);
    expect(node.trace).toEqual(['vrrp hand-over web', 'ask take-over']);
    expect(report).toMatchObject({ from: 'lb1', to: 'lb2', virtualRouters: ['web'], connectionsReset: 5 });
  });

  it('hands over only what it is asked for, of what it holds', async () => {
    const node = setup({ own: 'active' });
    await expect(node.switchover.run({ ...request, to: 'lb2', routers: ['other'] })).rejects.toMatchObject({
      code: 'NOT_ACTIVE',
    });
    expect(node.trace).toEqual([]);
    node.answer = () => {
      node.mastership.onOwnChange('web', 'backup', 2);
      return Promise.resolve({});
    };
    expect(await node.switchover.run({ ...request, routers: ['web', 'other'] })).toMatchObject({
      virtualRouters: ['web'],
    });
  });

  it.each<[string, Partial<PeerStatus>, string]>([
    ['is not connected', { connected: false }, 'PEER_ABSENT'],
    ['is refused', { connected: false, refused: 'wrong key' }, 'PEER_REFUSED'],
    ['has another configuration', { configDiffers: true }, 'CONFIG_DIFFERS'],
    ['is behind in sync', { inSync: false }, 'NOT_IN_SYNC'],
    ['has a fault', { virtualRouters: { web: 'initialize' } }, 'PEER_FAULT'],
  ])('refuses when the peer %s, and touches nothing', async (_what, change, code) => {
    const node = setup({ own: 'active', peer: change });
    await expect(node.switchover.run(request)).rejects.toMatchObject({ code });
    expect(node.trace).toEqual([]);
  });

  it('hands over to a peer with another configuration if it may, but not to one that is behind', async () => {
    const node = setup({ own: 'active', peer: { configDiffers: true } });
    node.answer = () => {
      node.mastership.onOwnChange('web', 'backup', 2);
      return Promise.resolve({});
    };
    expect(await node.switchover.run({ ...request, mayDiffer: true })).toMatchObject({ to: 'lb2' });
    const behind = setup({ own: 'active', peer: { configDiffers: true, inSync: false } });
    await expect(behind.switchover.run({ ...request, mayDiffer: true })).rejects.toMatchObject({ code: 'NOT_IN_SYNC' });
  });

  it('with force does without sync, and resigns where the peer cannot be asked', async () => {
    const node = setup({ own: 'active', peer: { connected: false } });
    const run = node.switchover.run({ ...request, force: true });
    await Promise.resolve();
    await Promise.resolve();
    node.mastership.onOwnChange('web', 'backup', 1);
    await run;
    expect(node.trace).toEqual(['vrrp resign web']);
  });

  it('says that it goes on serving when the peer fails', async () => {
    const node = setup({ own: 'active' });
    node.answer = () => Promise.reject(new Error('it broke'));
    await expect(node.switchover.run(request)).rejects.toMatchObject({
      code: 'PEER_FAILED',
      mend: 'lb1 goes on serving',
    });
  });

  it('asks the active peer when this node is the standby', async () => {
    const node = setup({ own: 'backup', peerState: 'active' });
    node.answer = () => Promise.resolve({ to: 'lb1' });
    expect(await node.switchover.run(request)).toEqual({ to: 'lb1' });
    expect(node.trace).toEqual(['ask failover']);
  });

  it.each([
    ['the node asked for is unknown', { own: 'active' }, 'lb9', 'NO_SUCH_NODE'],
    ['the node asked for is active already', { own: 'active' }, 'lb1', 'NOT_ACTIVE'],
    ['the peer asked for is active already', { own: 'backup', peerState: 'active' }, 'lb2', 'NOT_ACTIVE'],
    ['nobody is active', { own: 'backup' }, undefined, 'NO_ACTIVE'],
  ] as const)('refuses when %s', async (_what, state, to, code) => {
    await expect(setup(state).switchover.run({ ...request, to })).rejects.toMatchObject({ code });
  });

  it('takes over with an epoch above both nodes and answers when it is active', async () => {
    const node = setup({ own: 'backup', peerState: 'active', peerEpoch: 6 });
    const done = node.switchover.takeOver(['web'], 1_000);
    expect(node.trace).toEqual(['vrrp take-over web 7']);
    node.mastership.onOwnChange('web', 'active', 7);
    await done;
  });

  it('gives up taking over after the time-out, and refuses it with a fault', async () => {
    const node = setup({ own: 'backup', peerState: 'active' });
    const done = node.switchover.takeOver(['web'], 1_000);
    node.clock.advance(1_001);
    await expect(done).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(setup({ own: 'initialize' }).switchover.takeOver(['web'], 1_000)).rejects.toMatchObject({
      code: 'FAULT',
    });
  });
});

type TestNode = {
  readonly trace: string[];
  readonly clock: ManualClock;
  readonly mastership: Mastership;
  answer: () => Promise<Plain>;
  readonly switchover: Switchover;
};

type Setup = { own: RouterState; peer?: Partial<PeerStatus>; peerState?: RouterState; peerEpoch?: number };

function setup({ own, peer, peerState = 'backup', peerEpoch = 1 }: Setup): TestNode {
  const trace: string[] = [];
  const clock = new ManualClock();
  const role = { epoch: 1, priority: 100, address: '10.0.0.1' };
  const mastership = new Mastership(
    { web: { ...role, state: own } },
    {
      onFence: ignore,
      onPeerResigned: ignore,
      onFenceLifted: ignore,
      onPeerDied: ignore,
      onPeerSilent: ignore,
      onPeerEpoch: ignore,
      sendRoles: ignore,
    },
  );
  mastership.onPeerRoles({ web: { ...role, state: peerState, epoch: peerEpoch } });
  const node: TestNode = {
    trace,
    clock,
    mastership,
    answer: () => Promise.reject(new OperatorError('X', 'nobody asked', '')),
    switchover: new Switchover('lb1', {
      clock,
      mastership,
      sendToVrrp: (command) => {
        const router = 'router' in command ? command.router : '';
        trace.push(`vrrp ${command.type} ${router}${command.type === 'take-over' ? ` ${command.epoch}` : ''}`);
      },
      askPeer: (method) => {
        trace.push(`ask ${method}`);
        return node.answer();
      },
      peer: () => ({ ...healthyPeer, virtualRouters: { web: peerState }, ...peer }),
      probeTarget: () => undefined,
      openConnections: () => Promise.resolve(5),
    }),
  };
  return node;
}

const ignore = (): void => undefined;

const healthyPeer: PeerStatus = {
  name: 'lb2',
  connected: true,
  refused: undefined,
  inSync: true,
  inSyncForMs: 1_000,
  lagEntries: 0,
  lagMs: 0,
  configDiffers: false,
  configDiffersForMs: undefined,
  configHash: 'x',
  virtualRouters: {},
  counters: {},
  ...{ lagBytes: 0, comparedForMs: undefined, protocolVersion: 2, tables: {} },
};
