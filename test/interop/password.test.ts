/** Version 2 with a simple-text password: a keepalived that has one is replaced node by node. */

import { describe, expect, test } from 'vitest';
import { sleep, waitUntil } from '../lab/time.ts';
import { multicastV2WithPassword } from './flavours.ts';
import { bothWays, useLan } from './routers.ts';
import type { Router } from './routers.ts';

const lan = useLan();
const flavour = multicastV2WithPassword('secret');
const other = multicastV2WithPassword('Secret');

describe(flavour.name, () => {
  test.each(bothWays)('$first with 200 is active beside $second with 100, until it dies', async ({ first, second }) => {
    const low = await lan.start(second, 'r2', flavour, { priority: 100 });
    const high = await lan.start(first, 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(high, 20_000);
    expect(await lan.whoAnswersFor('10.9.0.100')).toBe(high.mac);
    await lan.die(high);
    await lan.waitForAdvert(low, lan.advertsOf(high).at(-1)?.atMs ?? 0);
    expect(await lan.whoAnswersFor('10.9.0.100')).toBe(low.mac);
  });

  test('Tandem sends the very messages that keepalived sends in its place, the password in them', async () => {
    const said = [];
    for (const make of ['keepalived', 'tandem'] as const) {
      const fromMs = Date.now();
      const router = await lan.start(make, 'r1', flavour, { priority: 200 });
      await lan.waitForAdvert(router, fromMs);
      await router.stop();
      said.push(messagesSince(router, fromMs));
    }
    const [keepalived, tandem] = said;
    expect(tandem).toEqual(keepalived);
    // The advert and the goodbye.
    expect(keepalived?.map((message) => message.slice(-16))).toEqual([flavour.wire.trailer, flavour.wire.trailer]);
  });

  test.each(bothWays)('$second does not hear $first, which has another password', async ({ first, second }) => {
    const high = await lan.start(first, 'r1', other, { priority: 200 });
    const low = await lan.start(second, 'r2', flavour, { priority: 100 });
    await waitUntil(() => lan.advertsOf(high).length > 0, { timeoutMs: 10_000, what: 'the active router speaks' });
    await sleep(4 * flavour.advertIntervalMs);
    expect(lan.advertsOf(low).length).toBeGreaterThan(0);
    expect(lan.advertsOf(high).at(-1)?.priority).toBe(200);
  });
});

/** Distinct ones in their order. */
function messagesSince(router: Router, sinceMs: number): string[] {
  const adverts = lan.advertsOf(router).filter(({ atMs }) => atMs > sinceMs);
  return [...new Set(adverts.map(({ message }) => message))];
}
