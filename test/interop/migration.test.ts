/** A pair of keepalived + HAProxy becomes a pair of Tandem nodes, one host at a time, as docs/keepalived.md tells. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHaproxy } from '../lab/haproxy.ts';
import type { Haproxy } from '../lab/haproxy.ts';
import { startKeepalived } from '../lab/keepalived.ts';
import type { Keepalived } from '../lab/keepalived.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import {
  holderForClient,
  holders,
  probeService,
  startServers,
  statusOf,
  waitForHolder,
  waitForState,
  waitForSync,
} from '../lab/stage.ts';
import type { BalancerName } from '../lab/stage.ts';
import { pairConfig, startNode, tandem } from '../lab/tandem.ts';
import type { TandemNode } from '../lab/tandem.ts';
import { waitUntil } from '../lab/time.ts';
import { virtualAddress } from '../lab/topology.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await startServers(lab);
});

afterAll(() => lab.destroy());

const priorities: Readonly<Record<BalancerName, number>> = { lb1: 200, lb2: 100 };

type Old = { readonly keepalived: Keepalived; readonly haproxy: Haproxy };

/** keepalived's defaults: version 2, an advert each second; and a password, as its examples have it. */
async function startOld(name: BalancerName): Promise<Old> {
  const haproxy = await startHaproxy(lab, name);
  const keepalived = await startKeepalived(lab, name, {
    version: 2,
    vrid: 51,
    interface: 'lan0',
    priority: priorities[name],
    advertIntervalMs: 1_000,
    addresses: [`${virtualAddress}/24`],
    preempt: true,
    lines: ['authentication {', '  auth_type PASS', '  auth_pass secret', '}'],
  });
  return { keepalived, haproxy };
}

async function stopOld({ keepalived, haproxy }: Old): Promise<void> {
  await keepalived.process.stop();
  await haproxy.process.stop();
}

const router = { name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], priority: priorities };
const likeTheOld = pairRouter({ version: 2, advertInterval: '1s', simplePassword: 'secret' });
const asTandemLikesIt = pairRouter({ advertInterval: '100ms' });

function pairRouter(more: object): { readonly virtualRouters: readonly object[] } {
  return { virtualRouters: [{ ...router, ...more }] };
}

async function stopNode({ process }: TandemNode): Promise<void> {
  expect(await process.stop()).toMatchObject({ code: 0 });
}

async function waitForOldHolder(name: BalancerName): Promise<void> {
  await waitUntil(async () => (await holders(lab)).join() === name, {
    timeoutMs: 15_000,
    what: `keepalived on ${name} alone has the virtual address`,
  });
}

/** What a step comes to, and how long clients were not served during it, ms. */
async function during<Value>(step: () => Promise<Value>): Promise<{ value: Value; gapMs: number }> {
  const prober = await probeService(lab);
  const value = await step();
  const { longestGap, refused } = await prober.stop();
  expect(refused).toBe(0);
  return { value, gapMs: longestGap === undefined ? 0 : longestGap.ms - longestGap.pauseMs };
}

/** The machine is busy; a failover by the down timer would take 0.3 s in version 3 and more than 3 s in version 2. */
const slackMs = 150;
/** Of priority 100 at an advert each second. */
const skewMs = 610;

test('a keepalived pair is replaced node by node, and then changed to version 3', { timeout: 120_000 }, async () => {
  const old1 = await startOld('lb1');
  await waitForOldHolder('lb1');
  const old2 = await startOld('lb2');

  // The standby first: nobody is served by it.
  const standby = await during(async () => {
    await stopOld(old2);
    const node = await startNode(lab, 'lb2', pairConfig(lab, likeTheOld));
    await waitUntil(async () => (await statusOf(node)).virtualRouters[0]?.activeAddress === '10.9.0.11', {
      timeoutMs: 5_000,
      what: 'lb2 follows the keepalived on lb1',
    });
    return node;
  });
  expect(await holderForClient(lab)).toBe('lb1');
  expect(standby.gapMs).toBeLessThan(slackMs);

  // keepalived says goodbye, and Tandem takes over after the skew.
  const active = await during(async () => {
    await stopOld(old1);
    await waitForHolder(lab, standby.value);
    const node = await startNode(lab, 'lb1', pairConfig(lab, likeTheOld));
    await waitForState(node, 'backup');
    await waitForSync(node);
    return node;
  });
  expect(active.gapMs).toBeLessThan(skewMs + slackMs);

  // The nodes are of one make now: the standby gets the new file, the other one hands over to it, and gets it too.
  const changed = await during(async () => {
    await stopNode(active.value);
    const lb1 = await startNode(lab, 'lb1', pairConfig(lab, asTandemLikesIt));
    await waitForState(lb1, 'backup');
    await waitForSync(lb1);
    const failover = await tandem(lb1, 'failover', '--to', 'lb1', '--force');
    expect(failover).toMatchObject({ stderr: '', code: 0 });
    await waitForHolder(lab, lb1);
    await stopNode(standby.value);
    const lb2 = await startNode(lab, 'lb2', pairConfig(lab, asTandemLikesIt));
    await waitForState(lb2, 'backup');
    await waitForSync(lb2);
    return lb1;
  });
  await waitForHolder(lab, changed.value);
  expect(changed.gapMs).toBeLessThan(slackMs);
});
