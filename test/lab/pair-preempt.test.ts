/** A node of higher priority comes home, with preemption: not before it knows all that the active one knows. */

import { describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import {
  eventsOf,
  hearAdverts,
  powerOff,
  startPair,
  startServers,
  transitionsOf,
  waitForHolder,
  waitForState,
  whoServes,
} from './stage.ts';
import { stickyPort } from './story.ts';
import { pairConfig, serverPort, servicePort, startNode, tandem } from './tandem.ts';
import { virtualAddress } from './topology.ts';

const preemptDelayMs = 1_000;

describe('a node of higher priority that boots mid-traffic', () => {
  it('waits for the stick table and the overrides, and for its delay, before it preempts', async () => {
    await using lab = await createLab();
    await startServers(lab);
    const overrides = { virtualRouters: [preemptingRouter()], services: [service('web', servicePort), sticky] };
    const { lb1, lb2 } = await startPair(lab, overrides);
    await waitForHolder(lab, lb1);
    await powerOff(lab, lb1);
    await waitForHolder(lab, lb2);
    expect(await tandem(lb2, 'server', 'drain', 'web', 's3')).toMatchObject({ code: 0 });
    const stickyServer = await whoServes(lab, stickyPort);

    // It boots; the LAN is there before the sync link is.
    await lab.block('lb1', 'sync', 'in');
    await Promise.all([lab.heal('lb1', 'lan'), lab.heal('lb1', 'sync')]);
    const booted = await startNode(lab, 'lb1', pairConfig(lab, overrides));
    await waitForState(booted, 'backup');
    // It would have preempted after a second and three adverts.
    await hearAdverts(booted, 30);
    expect(await transitionsOf(booted)).toEqual(['initialize -> backup (startup)']);

    await lab.unblock('lb1', 'sync');
    await waitForHolder(lab, booted);
    expect((await transitionsOf(booted)).at(-1)).toBe('backup -> active (preempt)');
    const events = await eventsOf(booted);
    const inSync = events.find(({ message }) => message === 'lb2: in sync');
    const preempted = events.findLast(({ kind }) => kind === 'transition');
    expect((preempted?.wallMs ?? 0) - (inSync?.wallMs ?? Number.NaN)).toBeGreaterThanOrEqual(preemptDelayMs);
    expect(await whoServes(lab, stickyPort)).toBe(stickyServer);
    const asked = await Promise.all(Array.from({ length: 12 }, () => whoServes(lab)));
    expect(new Set(asked)).toEqual(new Set(['s1', 's2']));
  });
});

function service(name: string, port: number): object {
  const servers = [21, 22, 23].map((last, index) => ({
    name: `s${index + 1}`,
    address: `10.9.0.${last}:${serverPort}`,
  }));
  return { name, listen: `${virtualAddress}:${port}`, balance: 'roundrobin', servers };
}

const sticky = { ...service('sticky', stickyPort), stick: { by: 'source' } };

function preemptingRouter(): object {
  return {
    ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], advertInterval: '100ms' },
    ...{ priority: { lb1: 200, lb2: 100 }, preempt: true, preemptDelay: `${preemptDelayMs}ms` },
  };
}
