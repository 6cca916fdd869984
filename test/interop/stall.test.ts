/** The active router stands still for seconds, as a virtual machine under backup does, and then goes on. */

import { describe, expect, test } from 'vitest';
import { sleep } from '../lab/time.ts';
import { multicastV3 } from './flavours.ts';
import { useLan } from './routers.ts';
import type { Make, Router } from './routers.ts';

const lan = useLan();
const stallMs = 5_000;
/** After this time there is one that has the address, and everybody knows which. */
const agreementMs = 200;
const address = '10.9.0.100';

describe('the active router stands still for 5 seconds', () => {
  /** Answers when it goes on (wall clock). */
  async function stall(router: Router, other: Router): Promise<number> {
    const host = lan.lab.host(router.name);
    host.killAll('SIGSTOP');
    await lan.waitForSpeaker(other);
    expect(await lan.whoAnswersFor(address)).toBeDefined();
    await sleep(stallMs - 2_000);
    const goesOnAtMs = Date.now();
    host.killAll('SIGCONT');
    return goesOnAtMs;
  }

  async function startBoth(first: Make, second: Make): Promise<[Router, Router]> {
    const options = { priority: 150, preempt: false };
    const active = await lan.start(first, 'r1', multicastV3, options);
    await lan.waitForSpeaker(active);
    const backup = await lan.start(second, 'r2', multicastV3, options);
    await lan.whoAnswersFor(address);
    return [active, backup];
  }

  async function expectSoleHolder(holder: Router, other: Router): Promise<void> {
    await sleep(agreementMs);
    const hasIt = ({ name }: Router): Promise<boolean> => lan.lab.host(name).hasAddress(address);
    // The observer asks nobody: it has what was announced to it.
    const entry = (await lan.observer.neighbours()).find((neighbour) => neighbour.address === address);
    const isHolder = [await hasIt(holder), await hasIt(other)];
    expect({ isHolder, mac: entry?.mac }).toEqual({ isHolder: [true, false], mac: holder.mac });
    expect(await lan.whoAnswersFor(address)).toBe(holder.mac);
  }

  test('a Tandem finds out by itself within 200 ms, and does not say another word', async () => {
    const [tandem, keepalived] = await startBoth('tandem', 'keepalived');
    const goesOnAtMs = await stall(tandem, keepalived);
    await expectSoleHolder(keepalived, tandem);
    await sleep(1_000);
    expect(lan.advertsOf(tandem).filter(({ atMs }) => atMs > goesOnAtMs)).toEqual([]);
  });

  test('a keepalived gives way to a Tandem with the better claim within 200 ms', async () => {
    const [keepalived, tandem] = await startBoth('keepalived', 'tandem');
    const goesOnAtMs = await stall(keepalived, tandem);
    await expectSoleHolder(tandem, keepalived);
    await sleep(1_000);
    const late = lan.advertsOf(keepalived).filter(({ atMs }) => atMs > goesOnAtMs + 200);
    expect(late).toEqual([]);
  });
});
