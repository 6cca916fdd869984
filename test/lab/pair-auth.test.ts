/** A pair whose adverts are sealed: it works as any other, and believes nobody else on its LAN. */

import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/index.ts';
import type { DropReason } from '../../src/vrrp/index.ts';
import { startCapture } from './capture.ts';
import type { ForgeryKind } from './forge.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import {
  hearAdverts,
  holders,
  powerOff,
  rolesOf,
  sendForged,
  startPair,
  startServers,
  statusOf,
  transitionsOf,
  waitForHolder,
  waitForState,
  waitForSync,
} from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, startNode, tandem } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { runProgram } from './tools.ts';
import { virtualAddress } from './topology.ts';

const ethernetBytes = 14;

describe('a pair with sealed adverts', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, {
      virtualRouters: [sealedRouter(lab, { keyIds: [1], activeKey: 1, mode: 'enforce' })],
    });
  });

  afterAll(() => lab.destroy());

  it.each<ForgeryKind>(['genuine', 'owner', 'goodbye'])(
    'is not moved by an advert of somebody on its LAN that has no seal (%s), and counts it',
    async (kind) => {
      const { active, standby } = await rolesOf(lab, pair);
      const transitions = await Promise.all([active, standby].map(transitionsOf));
      const before = await Promise.all([active, standby].map(dropped));
      await sendForged(lab, kind, 20);
      for (const [index, node] of [active, standby].entries()) {
        await waitForDropped(node, 'auth-missing', (before[index]?.['auth-missing'] ?? 0) + 20);
      }
      await hearAdverts(standby, 5);
      expect(await Promise.all([active, standby].map(transitionsOf))).toEqual(transitions);
      await waitForHolder(lab, active);
    },
  );

  it('is not moved by recordings of its own adverts, and counts them', async () => {
    await waitForHolder(lab, pair.lb1);
    const capture = await startCapture(lab, 'lan', 'ip proto 112 and src 10.9.0.11');
    await waitUntil(() => capture.frames().length >= 5, { timeoutMs: 5_000, what: 'adverts of lb1 are recorded' });
    await capture.stop();
    // The one that they would move: active with a lower priority than theirs.
    expect(await tandem(pair.lb1, 'failover')).toMatchObject({ code: 0 });
    await waitForHolder(lab, pair.lb2);
    await hearAdverts(pair.lb1, 5);
    const transitions = await transitionsOf(pair.lb2);
    const before = (await dropped(pair.lb2))['auth-replay'] ?? 0;
    const recorded = capture.frames().map(({ bytes }) => toHex(bytes.subarray(ethernetBytes)));
    await runProgram(lab.host('s3'), 'replay.ts', recorded);
    await waitForDropped(pair.lb2, 'auth-replay', before + recorded.length);
    await hearAdverts(pair.lb1, 5);
    expect(await transitionsOf(pair.lb2)).toEqual(transitions);
    expect(await holders(lab)).toEqual(['lb2']);
    expect(await tandem(pair.lb2, 'failover')).toMatchObject({ code: 0 });
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

describe('seals on a pair that runs', () => {
  const steps: readonly Hmac[] = [
    { keyIds: [1], activeKey: 1, mode: 'permissive' },
    { keyIds: [1], activeKey: 1, mode: 'enforce' },
    { keyIds: [1, 2], activeKey: 1, mode: 'enforce' },
    { keyIds: [1, 2], activeKey: 2, mode: 'enforce' },
    { keyIds: [2], activeKey: 2, mode: 'enforce' },
  ];

  it('are introduced, and get another key, node by node: nobody takes over unasked', { timeout: 180_000 }, async () => {
    await using lab = await createLab();
    await startServers(lab);
    let { lb1: active, lb2: standby } = await startPair(lab);
    for (const step of steps) {
      for (const name of [standby.host.name, active.host.name]) {
        const before = await transitionsOf(active);
        await standby.process.stop();
        standby = await startNode(lab, name, pairConfig(lab, { virtualRouters: [sealedRouter(lab, step)] }));
        await waitForState(standby, 'backup');
        await waitForSync(standby);
        await waitForSync(active);
        await hearAdverts(standby, 5);
        expect(await transitionsOf(active)).toEqual(before);
        expect(await transitionsOf(standby)).toEqual(['initialize -> backup (startup)']);
        expect(await tandem(active, 'failover', '--force')).toMatchObject({ code: 0 });
        [active, standby] = [standby, active];
        await waitForHolder(lab, active);
        expect(await transitionsOf(active)).toEqual(['initialize -> backup (startup)', 'backup -> active (take-over)']);
        expect((await transitionsOf(standby)).at(-1)).toBe('active -> backup (hand-over)');
        const isWarned = (await statusOf(active)).warnings.some((warning) => warning.includes('protects nothing yet'));
        expect(isWarned).toBe(step.mode !== 'enforce');
      }
    }
    // All of this would go well, too, if nobody asked for seals.
    await sendForged(lab, 'genuine', 20);
    await waitForDropped(active, 'auth-missing', 20);
  });
});

type Hmac = { readonly keyIds: readonly number[]; readonly activeKey: number; readonly mode: string };

function sealedRouter(lab: Lab, { keyIds, activeKey, mode }: Hmac): object {
  return {
    ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], advertInterval: '100ms' },
    priority: { lb1: 200, lb2: 100 },
    hmac: { keys: keyIds.map((id) => ({ id, keyFile: keyFile(lab, id) })), activeKey, mode },
  };
}

function keyFile(lab: Lab, id: number): string {
  const path = join(lab.directory, `advert-${id}.key`);
  if (!existsSync(path)) writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return path;
}

/** How many packets the node has dropped, by reason. */
async function dropped(node: TandemNode): Promise<Readonly<Record<string, number>>> {
  const counters = (await statusOf(node)).virtualRouters[0]?.counters ?? {};
  return Object.fromEntries(Object.entries(counters).map(([name, count]) => [name.replace(/^dropped\./, ''), count]));
}

async function waitForDropped(node: TandemNode, reason: DropReason, count: number): Promise<void> {
  await waitUntil(async () => (await dropped(node))[reason] === count, {
    timeoutMs: 5_000,
    what: `${node.host.name} has dropped ${count} packets: ${reason}`,
  });
}
