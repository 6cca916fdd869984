/** What goes wrong between a Tandem and a keepalived, and who has the address then. */

import { describe, expect, test } from 'vitest';
import { sleep, waitUntil } from '../lab/time.ts';
import { multicastV3, unicastV3 } from './flavours.ts';
import { bothWays, useLan } from './routers.ts';
import type { Router } from './routers.ts';

const lan = useLan();
const address = '10.9.0.100';
const { advertIntervalMs } = multicastV3;
/** Longer than anybody waits for an active router. */
const patienceMs = 12 * advertIntervalMs;

describe('adverts are lost one way', () => {
  test.each(bothWays)('those of $first, which is active: in the end it is so alone', async ({ first, second }) => {
    const high = await lan.start(first, 'r1', multicastV3, { priority: 200 });
    const low = await lan.start(second, 'r2', multicastV3, { priority: 100 });
    await lan.waitForSpeaker(high);
    await lan.whoAnswersFor(address);
    await lan.lab.block(high.name, 'lan', 'out', { protocol: 'vrrp' });
    await lan.waitForAdvert(low, Date.now());
    await sleep(patienceMs);
    // It hears that the other one has a worse claim; there is no link but this one to tell it so.
    expect(await holders(high, low)).toEqual([true, true]);
    await lan.lab.unblock(high.name, 'lan');
    await lan.waitForSpeaker(high);
    await waitUntil(async () => (await observersEntry()) === high.mac, {
      timeoutMs: 3_000,
      what: 'the observer has learned who is active',
    });
    expect(await holders(high, low)).toEqual([true, false]);
  });

  test.each(bothWays)('those of $second, which stands by: nothing changes', async ({ first, second }) => {
    const high = await lan.start(first, 'r1', multicastV3, { priority: 200 });
    const low = await lan.start(second, 'r2', multicastV3, { priority: 100 });
    await lan.waitForSpeaker(high);
    await lan.lab.block(low.name, 'lan', 'out', { protocol: 'vrrp' });
    const fromMs = Date.now();
    await sleep(patienceMs);
    expect(lan.adverts().filter(({ atMs, source }) => atMs > fromMs && source !== high.address)).toEqual([]);
    expect(await holders(high, low)).toEqual([true, false]);
  });
});

test('a Tandem whose kernel refuses its adverts makes room for a keepalived, and does not come back', async () => {
  const options = { preempt: false };
  const tandem = await lan.start('tandem', 'r1', multicastV3, { ...options, priority: 200 });
  await lan.waitForSpeaker(tandem);
  const keepalived = await lan.start('keepalived', 'r2', multicastV3, { ...options, priority: 100 });
  await lan.whoAnswersFor(address);
  const ruleset = 'table ip mute { chain c { type filter hook output priority 0; ip protocol 112 drop; }; }';
  const host = lan.lab.host('r1');
  expect(await host.exec(['nft', '-f', '-'], { input: ruleset })).toMatchObject({ code: 0 });
  try {
    await lan.waitForSpeaker(keepalived);
    expect(await holders(tandem, keepalived)).toEqual([false, true]);
    expect(await observersEntry()).toBe(keepalived.mac);
  } finally {
    expect(await host.exec(['nft', 'delete', 'table', 'ip', 'mute'])).toMatchObject({ code: 0 });
  }
  const fromMs = Date.now();
  await sleep(patienceMs);
  expect(lan.advertsOf(tandem).filter(({ atMs }) => atMs > fromMs)).toEqual([]);
});

test('a Tandem in unicast does not hear a keepalived that is not its peer, whatever it claims', async () => {
  const tandem = await lan.start('tandem', 'r2', unicastV3, { priority: 100, peer: 'r1' });
  await waitUntil(() => lan.advertsOf(tandem).length > 0, { timeoutMs: 10_000, what: 'the Tandem speaks' });
  const stranger = await lan.start('keepalived', 'r3', unicastV3, { priority: 250, peer: 'r2' });
  const first = await lan.waitForAdvert(stranger, 0);
  expect(first).toMatchObject({ destination: tandem.address, priority: 250, ttl: 255, checksum: 'pseudo-header' });
  await sleep(patienceMs);
  const spoken = lan.advertsOf(tandem).filter(({ atMs, priority }) => atMs > first.atMs && priority === 100);
  expect(spoken.length).toBeGreaterThanOrEqual(patienceMs / advertIntervalMs - 2);
  expect(await lan.lab.host('r2').hasAddress(address)).toBe(true);
});

function holders(...routers: readonly Router[]): Promise<boolean[]> {
  return Promise.all(routers.map(({ name }) => lan.lab.host(name).hasAddress(address)));
}

/** What the observer has, without sending anything. */
async function observersEntry(): Promise<string | undefined> {
  return (await lan.observer.neighbours()).find((neighbour) => neighbour.address === address)?.mac;
}
