/** A pair with the shortest adverts on a machine that has no time: nothing happens. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { startLoad } from './load.ts';
import { holders, startPair, startServers, statusOf, transitionsOf, waitForHolder } from './stage.ts';
import type { Pair } from './stage.ts';
import { sleep } from './time.ts';
import { virtualAddress } from './topology.ts';

const advertIntervalMs = 10;
const loadMs = 20_000;

describe('a pair with 10 ms adverts', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, { virtualRouters: [router] });
    await waitForHolder(lab, pair.lb1);
  });

  afterAll(() => lab.destroy());

  it(`stays as it is while all cores are busy and a file is synced in a loop, for ${loadMs / 1000} s`, async () => {
    const nodes = [pair.lb1, pair.lb2];
    const before = await Promise.all(nodes.map(transitionsOf));
    const heardBefore = await heardBy(pair);
    const load = await startLoad(lab.host('client'), lab.directory);
    await sleep(loadMs);
    await load.stop();
    expect(await Promise.all(nodes.map(transitionsOf))).toEqual(before);
    expect(await holders(lab)).toEqual(['lb1']);
    // The machine was busy, not the adverts fewer.
    expect((await heardBy(pair)) - heardBefore).toBeGreaterThan((loadMs / advertIntervalMs) * 0.9);
  });
});

const router = {
  ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`] },
  ...{ advertInterval: `${advertIntervalMs}ms`, priority: { lb1: 200, lb2: 100 } },
};

async function heardBy({ lb2 }: Pair): Promise<number> {
  return (await statusOf(lb2)).virtualRouters[0]?.counters['advertsReceived'] ?? 0;
}
