/** The two nodes cannot hear each other, or one of them sleeps: who holds the address while it lasts, and after it. */

import { describe, expect, it } from 'vitest';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { usePairStage } from './pair-stage.ts';
import {
  hearAdverts,
  holderForClient,
  holders,
  rolesOf,
  probeService,
  statusOf,
  transitionsOf,
  waitForHolder,
} from './stage.ts';
import type { Pair } from './stage.ts';
import { tandem } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { sleep, waitUntil } from './time.ts';

/** What is promised after a healing, with some time for a busy machine. */
const agreementMs = 1_500;

/** What is promised after a node has stood still. */
const stallEndsMs = 200;

/** After this time a new active node announces its address no more (but for the refresh each minute). */
const announcedMs = 5_500;

describe('a split pair', () => {
  const stage = usePairStage(async (lab) => {
    for (const host of ['lb1', 'lb2']) await announceOwnAddress(lab.host(host));
  });

  it('changes nothing without the sync link, and swaps only when forced to', async () => {
    const { lab, pair, active, standby } = await stage.withRoles();
    const transitions = await transitionsSince(pair);
    await lab.cut(standby.host.name, 'sync');
    await waitUntil(async () => (await statusOf(active)).peer?.connected === false, waiting('the sync link is lost'));
    await waitUntil(async () => (await statusOf(standby)).peer?.connected === false, waiting('the sync link is lost'));
    await hearAdverts(standby, 10);
    expect(await transitions()).toEqual([]);
    expect(await holders(lab)).toEqual([active.host.name]);

    const refused = await tandem(active, 'failover');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toBe(`tandem: ${standby.host.name} is not connected; mend that, or use --force\n`);
    expect(await transitions()).toEqual([]);

    const forced = await tandem(active, 'failover', '--force');
    expect(forced).toMatchObject({ code: 0, stderr: '' });
    await waitForHolder(lab, standby);
    expect((await transitionsOf(standby)).at(-1)).toBe('backup -> active (active-resigned)');
  });

  it.each([
    ['of the active do not leave it', 'active', 'out'],
    ['do not reach the standby', 'standby', 'in'],
    ['pass in neither direction', 'active', 'both'],
  ] as const)('has one active when adverts %s, without flapping, and after it', async (_what, role, direction) => {
    const { lab, pair, active, standby } = await stage.withRoles();
    const transitions = await transitionsSince(pair);
    await lab.block((role === 'active' ? active : standby).host.name, 'lan', direction, { protocol: 'vrrp' });
    await waitForHolder(lab, standby);
    // The duration of the fault: a pair that throws the address to and fro would do so every 0.3 s.
    await sleep(3_000);
    expect(await holders(lab)).toEqual([standby.host.name]);
    // The active one yields to the epoch, or to adverts where those of the other one still reach it.
    const changes = [
      expect.stringMatching(`^${active.host.name}: active -> backup \\((fence|higher-priority)\\)$`),
      `${standby.host.name}: backup -> active (active-silent)`,
    ];
    expect(await transitions()).toEqual(expect.arrayContaining(changes));
    expect(await transitions()).toHaveLength(2);
    await lab.unblock(active.host.name, 'lan');
    await lab.unblock(standby.host.name, 'lan');
    await hearAdverts(active, 10);
    expect(await holders(lab)).toEqual([standby.host.name]);
    expect(await transitions()).toHaveLength(2);
    await waitForHolder(lab, standby);
  });

  it('heals from two actives to one, where the client goes, if lb2 hears lb1 first', async () => {
    const { lab, pair } = stage;
    await split(lab, pair);
    await lab.unblock('lb1', 'lan');
    await waitUntil(async () => (await holders(lab)).join() === 'lb1', waiting('lb2 yields'));
    // lb1 has heard nothing of it, and lb2 is silent from now on.
    await lab.unblock('lb2', 'lan');
    await healSync(lab, pair);
    await expectAgreement(lab, pair);
  });

  it('heals from two actives to one, where the client goes, if lb1 hears lb2 first', async () => {
    const { lab, pair } = stage;
    await split(lab, pair);
    await lab.unblock('lb2', 'lan');
    await hearAdverts(pair.lb1, 3);
    await lab.unblock('lb1', 'lan');
    await healSync(lab, pair);
    await expectAgreement(lab, pair);
  });

  it('heals from two actives to one, where the client goes, if the sync link comes first', async () => {
    const { lab, pair } = stage;
    await split(lab, pair);
    await healSync(lab, pair);
    await waitUntil(async () => (await holders(lab)).length === 1, waiting('one of them yields'));
    await lab.unblock('lb1', 'lan');
    await lab.unblock('lb2', 'lan');
    await expectAgreement(lab, pair);
  });

  it.each([1_500, 5_000])('has one active 200 ms after the active node was frozen for %d ms', async (frozenMs) => {
    const { lab, pair, active, standby } = await stage.withRoles();
    active.host.killAll('SIGSTOP');
    try {
      await waitUntil(
        async () => (await holderForClient(lab)) === standby.host.name,
        waiting('the client is repointed'),
      );
      await sleep(frozenMs);
    } finally {
      active.host.killAll('SIGCONT');
    }
    await sleep(stallEndsMs);
    expect(await Promise.all([holders(lab), holderForClient(lab)])).toEqual([[standby.host.name], standby.host.name]);
    expect(await expectAgreement(lab, pair)).toBe(standby.host.name);
    expect((await transitionsOf(active)).at(-1)).toMatch(/^active -> backup \((stall|fence)\)$/);
  });

  it('gives up being active when its adverts cannot be sent, by itself, for there is no sync link', async () => {
    const { lab, active, standby } = await stage.withRoles();
    await lab.cut(standby.host.name, 'sync');
    await waitUntil(async () => (await statusOf(active)).peer?.connected === false, waiting('the sync link is lost'));
    const prober = await probeService(lab);
    await refuseAdverts(active);
    try {
      await waitForHolder(lab, standby);
      expect((await transitionsOf(active)).at(-1)).toBe('active -> backup (send-failures)');
      expect((await statusOf(active)).virtualRouters[0]?.counters['sendErrors']).toBeGreaterThanOrEqual(3);
    } finally {
      await permitAdverts(active);
    }
    const { longestGap } = await prober.stop();
    expect(longestGap?.ms).toBeLessThan(1_000);
  });

  it('has one active, that serves, after 10 s in which every fifth frame is lost', async () => {
    const { lab, pair } = stage;
    await lab.loss('lb1', 'lan', 20);
    await sleep(10_000);
    await lab.loss('lb1', 'lan', 0);
    const holder = await expectAgreement(lab, pair);
    await waitForHolder(lab, holder === 'lb1' ? pair.lb1 : pair.lb2);
  });
});

/**
 * By default the kernel may ask for a neighbour in the name of the virtual address, which repoints whom it asks. What
 * the client knows shall come from Tandem's announcements alone.
 */
async function announceOwnAddress(host: Host): Promise<void> {
  expect(await host.exec(['sysctl', '-qw', 'net.ipv4.conf.all.arp_announce=2'])).toMatchObject({ code: 0 });
}

/** Nothing passes between the nodes any more, while the client reaches both; the client follows who came last. */
async function split(lab: Lab, pair: Pair): Promise<void> {
  const { active } = await rolesOf(lab, pair);
  // lb1 has the higher priority: it shall be the one that was active first, and has said all that it says on that.
  if (active !== pair.lb1) expect((await tandem(pair.lb1, 'failover')).code).toBe(0);
  await waitForHolder(lab, pair.lb1);
  await waitUntil(async () => ((await statusOf(pair.lb1)).virtualRouters[0]?.stateForMs ?? 0) > announcedMs, {
    timeoutMs: 2 * announcedMs,
    what: 'lb1 has sent its last announcement',
  });
  await lab.block('lb2', 'sync', 'both');
  for (const node of [pair.lb1, pair.lb2]) {
    await waitUntil(async () => (await statusOf(node)).peer?.connected === false, waiting('the sync link is lost'));
  }
  // In this order lb1 never hears that lb2 is active.
  for (const host of ['lb2', 'lb1']) await lab.block(host, 'lan', 'out', { protocol: 'vrrp' });
  await waitUntil(async () => (await holders(lab)).length === 2, waiting('both are active'));
  await waitUntil(async () => (await holderForClient(lab)) === 'lb2', waiting('the client follows lb2'));
}

async function healSync(lab: Lab, pair: Pair): Promise<void> {
  await lab.unblock('lb2', 'sync');
  for (const node of [pair.lb1, pair.lb2]) {
    await waitUntil(async () => (await statusOf(node)).peer?.connected === true, waiting('the sync link is back'));
  }
}

/** Within a second of what was done last, the client's frames go to the only holder; and so it stays. */
async function expectAgreement(lab: Lab, pair: Pair): Promise<string> {
  const holder = await waitUntil(
    async () => {
      const [first, ...others] = await holders(lab);
      return others.length === 0 && first !== undefined && first === (await holderForClient(lab)) && first;
    },
    { timeoutMs: agreementMs, what: 'one node has the address, and the client goes there' },
  );
  await hearAdverts(holder === 'lb1' ? pair.lb2 : pair.lb1, 5);
  expect(await holders(lab)).toEqual([holder]);
  expect(await holderForClient(lab)).toBe(holder);
  return holder;
}

/** A function that answers with the transitions of both nodes since now. */
async function transitionsSince(pair: Pair): Promise<() => Promise<readonly string[]>> {
  const nodes = [pair.lb1, pair.lb2];
  const before = await Promise.all(nodes.map(async (node) => (await transitionsOf(node)).length));
  return async () => {
    const lists = await Promise.all(nodes.map((node) => transitionsOf(node)));
    return lists.flatMap((list, index) =>
      list.slice(before[index]).map((transition) => `${nodes[index]?.host.name ?? ''}: ${transition}`),
    );
  };
}

async function refuseAdverts({ host }: TandemNode): Promise<void> {
  const ruleset = 'table ip mute { chain c { type filter hook output priority 0; ip protocol 112 drop; }; }';
  expect(await host.exec(['nft', '-f', '-'], { input: ruleset })).toMatchObject({ code: 0 });
}

async function permitAdverts({ host }: TandemNode): Promise<void> {
  expect(await host.exec(['nft', 'delete', 'table', 'ip', 'mute'])).toMatchObject({ code: 0 });
}

function waiting(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}
