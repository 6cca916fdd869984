import { expect, test } from 'vitest';
import { parseIp } from '../../../src/base/index.ts';
import { rehearse, rehearseClaim } from '../../../src/node/vrrp-rehearsal.ts';

test.each([
  ['192.0.2.1', '192.0.2.10', 24],
  ['fe80::1', 'fe80::10', 64],
])('a rehearsed router from %s becomes active again and again', async (own, address, prefixLength) => {
  const options = {
    name: 'web',
    version: 3,
    vrid: 51,
    priority: 100,
    advertIntervalMs: 1000,
    preempt: false,
    preemptDelayMs: 0,
    ownAddress: parseIp(own) ?? new Uint8Array(),
    addresses: [parseIp(address) ?? new Uint8Array()],
    unicastPeer: undefined,
    checksumForm: 'auto',
    authentication: undefined,
    epoch: 7,
  } as const;
  expect(await rehearse(options, [{ address, prefixLength }])).toBe(50);
});

test('a rehearsed claim is refused by the kernel, and no failure', async () => {
  await expect(rehearseClaim({ address: '192.0.2.10', prefixLength: 24 })).resolves.toBeUndefined();
});
