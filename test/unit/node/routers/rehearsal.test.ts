import { expect, test } from 'vitest';
import { parseIp } from '../../../../src/base/index.ts';
import { loadNative } from '../../../../src/runtime/index.ts';
import { Rehearsal } from '../../../../src/node/routers/rehearsal.ts';

function rehearsalOf(own: string, address: string, prefixLength: number): Rehearsal {
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
  return new Rehearsal(options, [{ address, prefixLength }], { native: loadNative() });
}

test.each([
  ['192.0.2.1', '192.0.2.10', 24],
  ['fe80::1', 'fe80::10', 64],
])('a rehearsed router at %s becomes active each time', async (own, address, prefixLength) => {
  const rehearsal = rehearsalOf(own, address, prefixLength);
  await rehearsal.start();
  for (let round = 0; round < 10; round++) await rehearsal.perform();
  expect(rehearsal.promotions).toBe(10);
  await rehearsal.stop();
});

test('of two rehearsals at once one takes place', async () => {
  const rehearsal = rehearsalOf('192.0.2.1', '192.0.2.10', 24);
  await rehearsal.start();
  await Promise.all([rehearsal.perform(), rehearsal.perform()]);
  expect(rehearsal.promotions).toBe(1);
  await rehearsal.stop();
});
