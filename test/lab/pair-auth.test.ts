/** A pair whose adverts are sealed: it works as any other, and believes nobody else on its LAN. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { hearAdverts, powerOff, startPair, startServers, statusOf, transitionsOf, waitForHolder } from './stage.ts';
import type { Pair } from './stage.ts';
import { tandem } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

describe('a pair with sealed adverts', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, { virtualRouters: [sealedRouter(lab)] });
  });

  afterAll(() => lab.destroy());

  it('is not moved by a genuine advert of higher priority that has no seal, and counts it', async () => {
    const before = await transitionsOf(pair.lb1);
    const forge = [process.execPath, new URL('forge.ts', import.meta.url).pathname];
    const sent = await lab.host('s3').exec([...forge, 'genuine', '10.9.0.23', '51', virtualAddress, '20']);
    expect(sent).toMatchObject({ code: 0 });
    for (const node of [pair.lb1, pair.lb2]) {
      await waitUntil(async () => (await statusOf(node)).virtualRouters[0]?.counters['dropped.auth-missing'] === 20, {
        timeoutMs: 5_000,
        what: `${node.host.name} counts what has no seal`,
      });
    }
    await hearAdverts(pair.lb2, 5);
    expect(await transitionsOf(pair.lb1)).toEqual(before);
    await waitForHolder(lab, pair.lb1);
  });

  it('swaps and fails over', async () => {
    expect(await tandem(pair.lb1, 'failover')).toMatchObject({ code: 0 });
    await waitForHolder(lab, pair.lb2);
    await hearAdverts(pair.lb1, 5);
    await powerOff(lab, pair.lb2);
    await waitForHolder(lab, pair.lb1);
  });
});

function sealedRouter(lab: Lab): object {
  const keyFile = join(lab.directory, 'advert.key');
  writeFileSync(keyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return {
    ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], advertInterval: '100ms' },
    ...{ priority: { lb1: 200, lb2: 100 }, hmac: { keys: [{ id: 1, keyFile }], activeKey: 1 } },
  };
}
