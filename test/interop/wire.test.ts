/** What Tandem sends is what keepalived sends and understands, byte for byte; what keepalived sends is understood. */

import { describe, expect, test } from 'vitest';
import { sleep, waitUntil } from '../lab/time.ts';
import { flavours } from './flavours.ts';
import type { SeenAdvert } from './frames.ts';
import { useLan, vrid } from './routers.ts';

const lan = useLan();

describe.each(flavours)('$name', (flavour) => {
  const { wire, advertIntervalMs } = flavour;
  const addresses = flavour.addresses.map((prefix) => prefix.replace(/\/.*/, ''));
  /** As long as anybody waits for an active router. */
  const patienceMs = 4 * advertIntervalMs;

  test("Tandem's adverts are right in every field", async () => {
    const router = await lan.start('tandem', 'r1', flavour, { priority: 200 });
    const other = await lan.start('keepalived', 'r2', flavour, { priority: 100 });
    await lan.waitForSpeaker(router);
    for (const advert of lan.advertsOf(router)) {
      expect(advert).toMatchObject({
        sourceMac: router.mac,
        destinationMac: wire.group?.mac ?? other.mac,
        destination: wire.group?.address ?? other.address,
        ttl: wire.ttl,
        isHeaderRight: true,
        vrid,
        priority: 200,
        advertIntervalMs,
        addresses,
        trailer: wire.trailer,
        checksum: wire.checksum,
      });
      expect(advert.message.slice(0, 2)).toBe(wire.versionAndType);
    }
    const distances = distancesMs(lan.advertsOf(router).slice(-6));
    expect(median(distances)).toBeGreaterThan(advertIntervalMs * 0.95);
    expect(median(distances)).toBeLessThan(advertIntervalMs * 1.05);
  });

  test('keepalived counts no fault in what Tandem sends', async () => {
    const router = await lan.start('tandem', 'r1', flavour, { priority: 200 });
    const keepalived = await lan.start('keepalived', 'r2', flavour, { priority: 100 });
    const before = lan.advertsOf(router).length;
    await waitUntil(() => lan.advertsOf(router).length >= before + 8, { timeoutMs: 20_000, what: 'Tandem speaks' });
    expect(lan.advertsOf(keepalived)).toEqual([]);
    const statistics = (await keepalived.keepalived?.statistics()) ?? {};
    const faults = Object.entries(statistics).filter(([name, count]) => / Errors\./.test(name) && count > 0);
    expect(faults).toEqual([]);
    expect(statistics['Advertisements.Received']).toBeGreaterThan(4);
  });

  test('Tandem sends the very message that keepalived sends in its place', async () => {
    const options = { priority: 200 };
    const keepalived = await lan.start('keepalived', 'r1', flavour, options);
    await waitUntil(() => lan.advertsOf(keepalived).length > 0, { timeoutMs: 10_000, what: 'keepalived speaks' });
    await keepalived.stop();
    const expected = messages(lan.advertsOf(keepalived));
    const before = lan.adverts().length;
    const tandem = await lan.start('tandem', 'r1', flavour, options);
    await waitUntil(() => lan.adverts().length > before, { timeoutMs: 10_000, what: 'Tandem speaks' });
    await tandem.stop();
    expect(messages(lan.adverts().slice(before))).toEqual(expected);
    expect(expected).toHaveLength(2);
  });

  test('Tandem announces each address when it becomes active', async () => {
    const router = await lan.start('tandem', 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(router);
    for (const address of addresses) {
      const announced = lan.announcements().filter((seen) => seen.address === address);
      expect(announced.every(({ targetMac, sourceMac }) => targetMac === router.mac && sourceMac === router.mac)).toBe(
        true,
      );
      const kinds = new Set(announced.map(({ kind, flags }) => `${kind} ${flags}`.trim()));
      // Hosts differ in what they learn from: some take requests, some replies.
      // None of the hosts forwards, so nobody may take one for a router (RFC 4861, 7.2.5).
      const expected = address.includes(':') ? ['neighbour-advertisement override'] : ['request', 'reply'];
      expect([...kinds]).toEqual(expected);
    }
  });

  test('another list of addresses is no reason for Tandem not to listen to a router', async () => {
    const more = [...flavour.addresses, addressLike(addresses[0] ?? '')];
    const keepalived = await lan.start('keepalived', 'r1', flavour, { priority: 200, addresses: more });
    await lan.waitForSpeaker(keepalived);
    const tandem = await lan.start('tandem', 'r2', flavour, { priority: 100 });
    await sleep(3 * patienceMs);
    expect(lan.advertsOf(tandem)).toEqual([]);
    await lan.die(keepalived);
    await lan.waitForSpeaker(tandem);
  });

  // Version 2.2 is deaf to such adverts and claims its addresses; later ones only count them.
  test('keepalived counts adverts with another list, and Tandem speaks on, whatever that one makes of it', async () => {
    const more = [...flavour.addresses, addressLike(addresses[0] ?? '')];
    const tandem = await lan.start('tandem', 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(tandem);
    const backup = await lan.start('keepalived', 'r2', flavour, { priority: 100, addresses: more });
    const fromMs = Date.now();
    await sleep(3 * patienceMs);
    const spoken = lan.advertsOf(tandem).filter(({ atMs, priority }) => atMs > fromMs && priority === 200);
    expect(spoken.length).toBeGreaterThanOrEqual(Math.floor((3 * patienceMs) / advertIntervalMs) - 1);
    expect((await backup.keepalived?.statistics())?.['Packet Errors.Address List']).toBeGreaterThan(0);
  });
});

/** Distinct messages in the order in which they came. */
function messages(adverts: readonly SeenAdvert[]): string[] {
  return [...new Set(adverts.map(({ message }) => message))];
}

/** Another address of the same network. */
function addressLike(address: string): string {
  return address.includes(':') ? `${address.replace(/[^:]+$/, '199')}/64` : `${address.replace(/\d+$/, '199')}/24`;
}

function distancesMs(adverts: readonly SeenAdvert[]): number[] {
  return adverts.slice(1).map(({ atMs }, index) => atMs - (adverts[index]?.atMs ?? NaN));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
