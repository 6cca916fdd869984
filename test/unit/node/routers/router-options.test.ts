import { describe, expect, it } from 'vitest';
import { parseIp } from '../../../../src/base/index.ts';
import { routerOptions } from '../../../../src/node/routers/router-options.ts';
import type { ConfiguredRouter } from '../../../../src/node/vrrp-protocol.ts';

const spec: ConfiguredRouter = {
  name: 'web',
  version: 3,
  vrid: 51,
  interface: 'lan0',
  family: 4,
  addresses: [{ address: '192.0.2.10', prefixLength: 24 }],
  priority: 200,
  advertIntervalMs: 1_000,
  preempt: true,
  preemptDelayMs: 0,
  ownAddress: '192.0.2.1',
  unicastPeer: undefined,
  checksum: 'auto',
  simplePassword: undefined,
  hmac: undefined,
  syncGroup: undefined,
  virtualMac: false,
  announceRefreshMs: 0,
  epoch: 7,
  health: { priority: 150, faults: [] },
  fence: undefined,
};

describe('what the machine of a virtual router is told', () => {
  it('has the priority of its health, not the configured one', () => {
    expect(routerOptions(spec).priority).toBe(150);
  });

  it('has addresses as bytes', () => {
    const { ownAddress, addresses, unicastPeer } = routerOptions({ ...spec, unicastPeer: '192.0.2.2' });
    expect(ownAddress).toEqual(parseIp('192.0.2.1'));
    expect(addresses).toEqual([parseIp('192.0.2.10')]);
    expect(unicastPeer).toEqual(parseIp('192.0.2.2'));
  });

  it('has the unspecified address where the own one is still to be found', () => {
    expect(routerOptions({ ...spec, ownAddress: undefined }).ownAddress).toEqual(parseIp('::'));
  });

  it('has the one kind of authentication that is configured', () => {
    const key = Uint8Array.of(1, 2, 3);
    const hmac = { keys: [{ id: 4, key }], activeKey: 4, mode: 'enforce' } as const;
    expect(routerOptions(spec).authentication).toBeUndefined();
    expect(routerOptions({ ...spec, simplePassword: 'secret' }).authentication).toEqual({
      type: 'simple-text',
      password: 'secret',
    });
    expect(routerOptions({ ...spec, hmac }).authentication).toEqual({
      type: 'hmac-sha256',
      keys: new Map([[4, key]]),
      sendKeyId: 4,
      mode: 'enforce',
    });
  });
});
