/** Elections between Tandem and the real keepalived, judged by the wire and by keepalived's notify script. */

import { describe, expect, test } from 'vitest';
import { sleep, waitUntil } from '../lab/time.ts';
import { flavours, multicastV3 } from './flavours.ts';
import { bothWays, useLan } from './routers.ts';
import type { Make, Router } from './routers.ts';

const lan = useLan();

/** Three adverts and the skew of that priority. */
function downMs(priority: number, advertIntervalMs: number): number {
  return 3 * advertIntervalMs + ((256 - priority) * advertIntervalMs) / 256;
}

/** A node whose peer is not on the sync link waits for it before it preempts. */
const preemptTimeoutMs = 30_000;

/** What a busy machine may add to any time measured here. */
const slackMs = 250;

describe.each(flavours)('$name', (flavour) => {
  // A link-local one, which comes first, cannot be asked for without naming an interface.
  const address = flavour.addresses.at(-1)?.replace(/\/.*/, '') ?? '';
  const { advertIntervalMs } = flavour;

  test.each(bothWays)('$first with 200 is active beside $second with 100', async ({ first, second }) => {
    const low = await lan.start(second, 'r2', flavour, { priority: 100 });
    await lan.waitForSpeaker(low);
    const high = await lan.start(first, 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(high, preemptTimeoutMs);
    expect(await lan.whoAnswersFor(address)).toBe(high.mac);
    await expectKeepalivedToSay(low, 'BACKUP');
    await expectKeepalivedToSay(high, 'MASTER');
  });

  test.each(bothWays)('$first says goodbye and $second waits for no more than the skew', async ({ first, second }) => {
    const slowMs = 1000;
    const high = await lan.start(first, 'r1', flavour, { priority: 200, advertIntervalMs: slowMs });
    const low = await lan.start(second, 'r2', flavour, { priority: 100, advertIntervalMs: slowMs });
    await waitUntil(() => lan.advertsOf(high).length > 1, { timeoutMs: 10_000, what: 'the active router speaks' });
    await high.stop();
    const goodbye = lan.advertsOf(high).at(-1);
    expect(goodbye?.priority).toBe(0);
    const taken = await lan.waitForAdvert(low, goodbye?.atMs ?? 0);
    const skewMs = downMs(100, slowMs) - 3 * slowMs;
    const waitedMs = taken.atMs - (goodbye?.atMs ?? 0);
    expect(waitedMs).toBeGreaterThan(skewMs - 20);
    expect(waitedMs).toBeLessThan(skewMs + slackMs);
    expect(await lan.whoAnswersFor(address)).toBe(low.mac);
    expect(await lan.lab.host(high.name).hasAddress(address)).toBe(false);
  });

  test.each(bothWays)('$first dies and $second takes over after three intervals and the skew', async (makes) => {
    const high = await lan.start(makes.first, 'r1', flavour, { priority: 200 });
    const low = await lan.start(makes.second, 'r2', flavour, { priority: 100 });
    await lan.waitForSpeaker(high);
    await lan.whoAnswersFor(address);
    await lan.die(high);
    const lastMs = lan.advertsOf(high).at(-1)?.atMs ?? 0;
    const taken = await lan.waitForAdvert(low, lastMs);
    expect(taken.atMs - lastMs).toBeGreaterThan(downMs(100, advertIntervalMs) - 5);
    expect(taken.atMs - lastMs).toBeLessThan(downMs(100, advertIntervalMs) + slackMs);
    // The announcement alone moves the observer's entry: asking anew would find the way by itself.
    const announced = await waitUntil(
      () => lan.announcements().find((seen) => seen.atMs >= taken.atMs - 50 && seen.address === address),
      { timeoutMs: 1_000, what: 'the new active router announces itself' },
    );
    expect(announced.targetMac).toBe(low.mac);
    expect(await observersEntry(address)).toBe(low.mac);
    await expectKeepalivedToSay(low, 'MASTER');
  });

  test.each(bothWays)('$first with 200 and no preemption leaves $second active', async ({ first, second }) => {
    const low = await lan.start(second, 'r2', flavour, { priority: 100, preempt: false });
    await lan.waitForSpeaker(low);
    const high = await lan.start(first, 'r1', flavour, { priority: 200, preempt: false });
    await sleep(4 * downMs(200, advertIntervalMs));
    expect(lan.advertsOf(high)).toEqual([]);
    await lan.waitForSpeaker(low);
    expect(await lan.whoAnswersFor(address)).toBe(low.mac);
    // It was silent because it heard the other one, not because it was deaf to the end of it.
    await low.stop();
    await lan.waitForSpeaker(high);
  });
});

describe('two that were active at once', () => {
  /** Neither hears the other one until both are active. */
  async function startApart(r1: Make, r2: Make, priorities: readonly [number, number]): Promise<[Router, Router]> {
    await lan.lab.block('r1', 'lan', 'in', { protocol: 'vrrp' });
    await lan.lab.block('r2', 'lan', 'in', { protocol: 'vrrp' });
    const a = await lan.start(r1, 'r1', multicastV3, { priority: priorities[0] });
    const b = await lan.start(r2, 'r2', multicastV3, { priority: priorities[1] });
    await waitUntil(() => lan.advertsOf(a).length > 2 && lan.advertsOf(b).length > 2, {
      timeoutMs: 10_000,
      what: 'both are active',
    });
    return [a, b];
  }

  /**
   * The one that will stay hears the other one first. In the other order that one would yield before it was ever heard,
   * and of an overlap that it never noticed a keepalived has nothing to announce.
   */
  async function meet(stays: Router, yields: Router): Promise<void> {
    await lan.lab.unblock(stays.name, 'lan');
    await lan.waitForAdvert(yields, Date.now());
    await lan.lab.unblock(yields.name, 'lan');
    await lan.waitForSpeaker(stays);
    await waitUntil(async () => (await observersEntry('10.9.0.100')) === stays.mac, {
      timeoutMs: 2_000,
      what: `the observer has learned that ${stays.name} is active`,
    });
  }

  /** The observer believes in the router that will yield, and would find out by itself only after many seconds. */
  async function mislead({ mac }: Router): Promise<void> {
    const entry = ['to', '10.9.0.100', 'lladdr', mac, 'dev', 'lan0', 'nud', 'reachable'];
    await lan.observer.execJson(['ip', 'neighbour', 'replace', ...entry]);
  }

  test.each(bothWays)('equal priority: $second stays, whose address is higher, and not $first', async (makes) => {
    const [lower, higher] = await startApart(makes.first, makes.second, [150, 150]);
    await mislead(lower);
    await meet(higher, lower);
    expect(await lan.whoAnswersFor('10.9.0.100')).toBe(higher.mac);
  });

  test.each(bothWays)('$first stays, whose priority is higher, and announces itself anew', async (makes) => {
    const [higher, lower] = await startApart(makes.first, makes.second, [200, 100]);
    await mislead(lower);
    await meet(higher, lower);
    expect(await lan.whoAnswersFor('10.9.0.100')).toBe(higher.mac);
  });
});

describe('three routers', () => {
  test('a Tandem amid two keepalived is second in line, and then gives way again', async () => {
    const flavour = multicastV3;
    const first = await lan.start('keepalived', 'r1', flavour, { priority: 200 });
    const second = await lan.start('tandem', 'r2', flavour, { priority: 150 });
    const third = await lan.start('keepalived', 'r3', flavour, { priority: 100 });
    await lan.waitForSpeaker(first);
    await lan.die(first);
    await lan.waitForSpeaker(second);
    await lan.die(second);
    await lan.waitForSpeaker(third);
    await lan.lab.heal('r1', 'lan');
    const again = await lan.start('keepalived', 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(again);
    expect(await lan.whoAnswersFor('10.9.0.100')).toBe(again.mac);
    expect(new Set(lan.adverts().map(({ source }) => source)).size).toBe(3);
  });
});

/** What the observer has, without sending anything. */
async function observersEntry(address: string): Promise<string | undefined> {
  return (await lan.observer.neighbours()).find((neighbour) => neighbour.address === address)?.mac;
}

/** Of the router that is a keepalived; of another one nothing is asked. */
async function expectKeepalivedToSay({ keepalived, name }: Router, state: string): Promise<void> {
  if (keepalived === undefined) return;
  await waitUntil(() => keepalived.markers().at(-1)?.state === state, {
    timeoutMs: 2_000,
    what: `keepalived on ${name} says ${state}`,
  });
}
