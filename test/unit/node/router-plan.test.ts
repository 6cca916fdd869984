import { describe, expect, it } from 'vitest';
import { identityChanges, planRouters } from '../../../src/node/router-plan.ts';
import type { RouterSpec } from '../../../src/node/vrrp-protocol.ts';

const web: RouterSpec = {
  ...{ name: 'web', version: 3, vrid: 51, interface: 'eth0', family: 4, priority: 200, advertIntervalMs: 100 },
  ...{ addresses: [{ address: '10.9.0.100', prefixLength: 24 }], preempt: false, preemptDelayMs: 0 },
  ...{ ownAddress: '10.9.0.11', unicastPeer: undefined, checksum: 'auto', simplePassword: undefined },
  ...{ hmac: undefined, syncGroup: undefined, virtualMac: false, announceRefreshMs: 60_000, epoch: 0 },
};
const db: RouterSpec = { ...web, name: 'db', vrid: 52 };
const key = (byte: number) => ({
  keys: [{ id: 1, key: new Uint8Array(32).fill(byte) }],
  activeKey: 1,
  mode: 'enforce',
});

describe('the plan from running to wanted virtual routers', () => {
  it('touches nothing that is as it was, whatever the epoch, the trackers and the peer say', () => {
    const now = { ...structuredClone(web), epoch: 7, health: { priority: 1, faults: [] }, fence: undefined };
    expect(planRouters([web, db], [now, db])).toEqual({ removed: [], restarted: [], changed: [], added: [] });
  });

  it('ends what is gone and makes what is new', () => {
    expect(planRouters([web], [db])).toEqual({ removed: ['web'], restarted: [], changed: [], added: [db] });
  });

  it.each<[string, Partial<RouterSpec>]>([
    ['priority', { priority: 150 }],
    ['addresses', { addresses: [...web.addresses, { address: '10.9.0.101', prefixLength: 24 }] }],
    ['advertInterval of version 3', { advertIntervalMs: 200 }],
    ['preempt', { preempt: true }],
    ['preemptDelay', { preemptDelayMs: 1_000 }],
    ['checksum', { checksum: 'message-only' }],
    ['announceRefresh', { announceRefreshMs: 0 }],
    ['sync group', { syncGroup: 'all' }],
    ['hmac', { hmac: key(1) as RouterSpec['hmac'] }],
  ])('lets a router go on with another %s', (_what, change) => {
    const to = { ...web, ...change };
    expect(planRouters([web, db], [to, db])).toMatchObject({ restarted: [], changed: [{ from: web, to }], added: [] });
  });

  it('sees another key behind the same file', () => {
    const [from, to] = [1, 2].map((byte) => ({ ...web, hmac: key(byte) as RouterSpec['hmac'] }));
    expect(planRouters(from ? [from] : [], to ? [to] : []).changed).toHaveLength(1);
  });

  it.each<[string, Partial<RouterSpec>]>([
    ['version', { version: 2 }],
    ['vrid', { vrid: 9 }],
    ['interface', { interface: 'eth1' }],
    ['addresses', { family: 6 }],
    ['mode', { unicastPeer: '10.9.0.12' }],
    ['mac', { virtualMac: true }],
    ['simplePassword', { simplePassword: 'x' }],
  ])('makes a router anew with another %s', (key, change) => {
    const to = { ...web, ...change };
    expect(identityChanges(web, to)).toEqual([key]);
    expect(planRouters([web], [to])).toEqual({ removed: [], restarted: [to], changed: [], added: [] });
  });

  it('makes a router of version 2 anew with another interval: its peers would not believe it', () => {
    const two: RouterSpec = { ...web, version: 2, advertIntervalMs: 1_000 };
    expect(identityChanges(two, { ...two, advertIntervalMs: 2_000 })).toEqual(['advertInterval']);
  });
});
