/** A pair that speaks unicast: strangers are not heard, be it with the owner's priority or with a goodbye. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DropReason } from '../../src/vrrp/index.ts';
import type { ForgeryKind } from './forge.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { hearAdverts, rolesOf, startPair, startServers, statusOf, transitionsOf, waitForHolder } from './stage.ts';
import type { BalancerName, Pair } from './stage.ts';
import type { TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { runProgram } from './tools.ts';
import { virtualAddress } from './topology.ts';

const addresses = { lb1: '10.9.0.11', lb2: '10.9.0.12', s3: '10.9.0.23' } as const;
const peerOf = { lb1: 'lb2', lb2: 'lb1' } as const;
const router = {
  ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], advertInterval: '100ms' },
  ...{ priority: { lb1: 200, lb2: 100 }, mode: 'unicast' },
};

describe('a pair that speaks unicast', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, { virtualRouters: [router] });
  });

  afterAll(() => lab.destroy());

  /** Sent by a third host on the LAN, in its own name or in another one's. */
  function forge(kind: ForgeryKind, source: keyof typeof addresses, to: BalancerName, count: number): Promise<void> {
    const args = [kind, addresses[source], '51', virtualAddress, String(count), addresses[to]];
    return runProgram(lab.host('s3'), 'forge.ts', args);
  }

  it.each<[string, ForgeryKind, 'stranger' | 'peer', DropReason]>([
    ["with the owner's priority, from an address that is not its peer's", 'owner', 'stranger', 'unicast-source'],
    ["with a goodbye, from an address that is not its peer's", 'goodbye', 'stranger', 'unicast-source'],
    ["with the owner's priority, in its peer's name from behind a router", 'ttl-254-owner', 'peer', 'ttl'],
    ["with a goodbye, in its peer's name from behind a router", 'ttl-254-goodbye', 'peer', 'ttl'],
  ])('does not hear an advert %s, and counts it', async (_what, kind, from, reason) => {
    const nodes = [pair.lb1, pair.lb2];
    const transitions = await Promise.all(nodes.map(transitionsOf));
    const { active, standby } = await rolesOf(lab, pair);
    for (const name of ['lb1', 'lb2'] as const) {
      const before = await droppedFor(pair[name], reason);
      await forge(kind, from === 'peer' ? peerOf[name] : 's3', name, 20);
      await waitUntil(async () => (await droppedFor(pair[name], reason)) === before + 20, {
        timeoutMs: 5_000,
        what: `${name} has dropped them: ${reason}`,
      });
    }
    await hearAdverts(standby, 5);
    expect(await Promise.all(nodes.map(transitionsOf))).toEqual(transitions);
    await waitForHolder(lab, active);
  });

  it("hears them in its peer's name on its LAN (hmac alone prevents that): what is forged above arrives", async () => {
    const { active } = await rolesOf(lab, pair);
    await forge('owner', active === pair.lb1 ? 'lb2' : 'lb1', active === pair.lb1 ? 'lb1' : 'lb2', 1);
    await waitUntil(async () => (await transitionsOf(active)).includes('active -> backup (higher-priority)'), {
      timeoutMs: 5_000,
      what: 'it yields',
    });
    // The forger is silent from now on.
    await rolesOf(lab, pair);
  });
});

async function droppedFor(node: TandemNode, reason: DropReason): Promise<number> {
  return (await statusOf(node)).virtualRouters[0]?.counters[`dropped.${reason}`] ?? 0;
}
