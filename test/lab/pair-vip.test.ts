/** The virtual address against others: people who delete it, what an earlier life left behind, forged adverts. */

import { describe, expect, it } from 'vitest';
import { announcementsIn } from '../interop/frames.ts';
import { startCapture } from './capture.ts';
import { forgeries } from './forge.ts';
import type { ForgeryKind } from './forge.ts';
import { usePairStage } from './pair-stage.ts';
import {
  eventsOf,
  hearAdverts,
  holders,
  rolesOf,
  sendForged,
  statusOf,
  transitionsOf,
  waitForHolder,
  waitForState,
} from './stage.ts';
import { startNode } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const vip = `${virtualAddress}/32`;

describe('the virtual address', () => {
  const stage = usePairStage();

  it('is put back and announced when somebody deletes it, and an event tells so', async () => {
    const { lab, active } = await stage.withRoles();
    const capture = await startCapture(lab, 'lan', 'arp');
    const deletedAtMs = Date.now();
    await ip(active, 'addr', 'del', vip, 'dev', 'lan0');
    const told = `web: ${virtualAddress} was deleted by somebody else and put back`;
    await waitUntil(async () => (await eventsOf(active)).some(({ message }) => message === told), waiting(told));
    await waitUntil(
      () =>
        announcementsIn(capture.frames()).some((seen) => seen.address === virtualAddress && seen.atMs > deletedAtMs),
      waiting('it is announced'),
    );
    await capture.stop();
    await waitForHolder(lab, active);
  });

  it('of an earlier life is removed when the node starts', async () => {
    const { lab, active, standby } = await stage.withRoles();
    active.host.killAll('SIGKILL');
    await active.process.exited;
    // As if it had just been renewed when the node starts again, whatever time that takes.
    await ip(active, 'addr', 'change', vip, 'dev', 'lan0', 'valid_lft', '600', 'preferred_lft', '600');
    await waitUntil(async () => (await statusOf(standby)).virtualRouters[0]?.state === 'active', waiting('take-over'));
    expect(await holders(lab)).toEqual(['lb1', 'lb2']);
    const started = await startNode(lab, active.host.name);
    await waitForState(started, 'backup');
    expect(await holders(lab)).toEqual([standby.host.name]);
    stage.pair = { ...stage.pair, [active.host.name]: started };
  });

  it('that an administrator has configured is left alone, and an event tells so', async () => {
    const { lab, active, standby } = await stage.withRoles();
    standby.host.killAll('SIGKILL');
    await standby.process.exited;
    await ip(standby, 'addr', 'add', `${virtualAddress}/24`, 'dev', 'lan0');
    try {
      const started = await startNode(lab, standby.host.name);
      stage.pair = { ...stage.pair, [standby.host.name]: started };
      await waitForState(started, 'backup');
      expect(await holders(lab)).toEqual(['lb1', 'lb2']);
      expect((await eventsOf(started)).map(({ message }) => message)).toContain(
        `web: ${virtualAddress} is configured on the interface by somebody else and left alone`,
      );
      expect((await statusOf(active)).virtualRouters[0]?.state).toBe('active');
    } finally {
      await ip(standby, 'addr', 'del', `${virtualAddress}/24`, 'dev', 'lan0');
    }
  });

  const faulty = Object.entries(forgeries).flatMap(([kind, { reason }]) =>
    reason === undefined ? [] : [[kind as ForgeryKind, reason] as const],
  );

  it.each(faulty)(
    'stays where it is when adverts are forged (%s); both nodes count them as %s',
    async (kind, reason) => {
      const { lab, pair } = stage;
      const nodes = [pair.lb1, pair.lb2];
      const before = await Promise.all(nodes.map((node) => dropped(node)));
      const transitions = await Promise.all(nodes.map(transitionsOf));
      await sendForged(lab, kind, 20);
      for (const [index, node] of nodes.entries()) {
        await waitUntil(async () => increase(before[index], await dropped(node))[reason] === 20, waiting(reason));
      }
      const { standby } = await rolesOf(lab, pair);
      await hearAdverts(standby, 5);
      expect(await Promise.all(nodes.map(transitionsOf))).toEqual(transitions);
      for (const [index, node] of nodes.entries()) {
        expect(increase(before[index], await dropped(node))).toEqual({ [reason]: 20 });
      }
    },
  );

  it('leaves the node for a genuine advert of higher priority: what is forged above arrives', async () => {
    const { lab, pair, active } = await stage.withRoles();
    await sendForged(lab, 'genuine', 1);
    await waitUntil(
      async () => (await transitionsOf(active)).includes('active -> backup (higher-priority)'),
      waiting('it yields'),
    );
    // The forger is silent from now on.
    await rolesOf(lab, pair);
  });
});

/** How many packets the node has dropped, by reason. */
async function dropped(node: TandemNode): Promise<Readonly<Record<string, number>>> {
  const counters = (await statusOf(node)).virtualRouters[0]?.counters ?? {};
  return Object.fromEntries(
    Object.entries(counters)
      .filter(([name]) => name.startsWith('dropped.'))
      .map(([name, count]) => [name.slice('dropped.'.length), count]),
  );
}

/** The reasons that have become more, and by how much. */
function increase(
  before: Readonly<Record<string, number>> | undefined,
  now: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const increases = Object.entries(now).map(([name, count]): [string, number] => [name, count - (before?.[name] ?? 0)]);
  return Object.fromEntries(increases.filter(([, count]) => count !== 0));
}

async function ip(node: TandemNode, ...args: readonly string[]): Promise<void> {
  expect(await node.host.exec(['ip', ...args])).toMatchObject({ code: 0, stderr: '' });
}

function waiting(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}
