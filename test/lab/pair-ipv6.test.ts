/** A pair whose virtual addresses are IPv6: elected by link-local adverts, announced by neighbour advertisements. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import {
  eventsOf,
  hearAdverts,
  holderForClient,
  holders,
  powerOff,
  startServers,
  statusOf,
  transitionsOf,
  waitForHolder,
  waitForState,
  waitForSync,
  whoServes,
} from './stage.ts';
import type { BalancerName, Pair } from './stage.ts';
import { pairConfig, serverPort, servicePort, startNode, tandem } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { defaultTopology } from './topology.ts';
import type { Topology } from './topology.ts';

const address = '2001:db8:9::100';
const linkLocal = 'fe80::100';

/** Beside the IPv4 addresses that the hosts have, as where people add IPv6 to a network. */
const topology: Topology = {
  ...defaultTopology,
  hosts: Object.fromEntries(
    Object.entries(defaultTopology.hosts).map(([name, { lan = [], ...others }]) => [
      name,
      { lan: [...lan, ...lan.map((text) => `${text.replace(/^10\.9\.0\.(\d+).*/, '2001:db8:9::$1')}/64`)], ...others },
    ]),
  ),
};

const nodes = [
  { name: 'lb1', address: '2001:db8:9::11', syncAddress: '10.9.1.11' },
  { name: 'lb2', address: '2001:db8:9::12', syncAddress: '10.9.1.12' },
];

const router = {
  ...{ name: 'six', vrid: 51, interface: 'lan0', addresses: [`${linkLocal}/64`, `${address}/64`] },
  ...{ advertInterval: '100ms', priority: { lb1: 200, lb2: 100 } },
};

function config(lab: Lab, overrides: Readonly<Record<string, unknown>> = {}): string {
  const servers = [1, 2, 3].map((number) => ({
    name: `s${number}`,
    address: `[2001:db8:9::2${number}]:${serverPort}`,
  }));
  const check = { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 };
  const service = { name: 'six', listen: `[${address}]:${servicePort}`, check, servers };
  return pairConfig(lab, { virtualRouters: [router], services: [service], ...overrides });
}

describe('an IPv6 pair', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab(topology);
    for (const name of ['lb1', 'lb2'] as const) await detectDuplicates(name);
    await startServers(lab);
    pair = { lb1: await startNode(lab, 'lb1', config(lab)), lb2: await startNode(lab, 'lb2', config(lab)) };
    await waitForState(pair.lb1, 'active');
    await waitForState(pair.lb2, 'backup');
    await Promise.all([waitForSync(pair.lb1), waitForSync(pair.lb2)]);
  });

  afterAll(() => lab.destroy());

  it('serves on both sides of the election by link-local addresses, the nodes having IPv4 ones', async () => {
    await waitForHolder(lab, pair.lb1, 10_000, address);
    const own = await linkLocalOf('lb1');
    expect((await statusOf(pair.lb1)).virtualRouters[0]?.activeAddress).toBe(own);
    expect((await statusOf(pair.lb2)).virtualRouters[0]?.activeAddress).toBe(own);
    expect(await duplicateFlags('lb1')).toEqual([]);
  });

  it('swaps by a switchover that measures the time without service', async () => {
    const swapped = await tandem(pair.lb1, 'failover', '--json');
    expect(swapped).toMatchObject({ code: 0 });
    expect((JSON.parse(swapped.stdout) as { gapMs?: number }).gapMs).toBeLessThan(1_000);
    await waitForHolder(lab, pair.lb2, 10_000, address);
    await hearAdverts(pair.lb1, 5);
  });

  it('fails over at a power cut; no duplicate address detection keeps the new node silent', async () => {
    await powerOff(lab, pair.lb2);
    await waitUntil(() => whoServes(lab, servicePort, address), { timeoutMs: 2_000, what: 'the client is served' });
    expect(await holderForClient(lab, address)).toBe('lb1');
    expect(await duplicateFlags('lb1')).toEqual([]);
    expect((await transitionsOf(pair.lb1)).at(-1)).toBe('backup -> active (peer-silent)');
    await waitUntil(async () => (await holders(lab, address)).join() === 'lb1', {
      timeoutMs: 10_000,
      what: 'it lapses',
    });
    await lab.heal('lb2', 'lan');
    await lab.heal('lb2', 'sync');
  });

  it('takes a killed process for dead after one interval: it is known by its link-local address', async () => {
    pair = { ...pair, lb2: await startNode(lab, 'lb2', config(lab)) };
    await waitForState(pair.lb2, 'backup');
    await waitForSync(pair.lb1);
    await hearAdverts(pair.lb2, 5);
    pair.lb1.host.killAll('SIGKILL');
    await waitForHolder(lab, pair.lb2, 10_000, address);
    expect((await transitionsOf(pair.lb2)).at(-1)).toBe('backup -> active (peer-died)');
  });

  it('waits without a link-local address, says so, and stands for election when one appears', async () => {
    const own = await linkLocalOf('lb1');
    await ip('lb1', 'address', 'del', `${own}/64`, 'dev', 'lan0');
    const started = await startNode(lab, 'lb1', config(lab));
    pair = { ...pair, lb1: started };
    const fault = 'its interface has no IPv6 link-local address that is ready for use';
    await waitUntil(async () => (await statusOf(started)).virtualRouters[0]?.faults.includes(fault), waiting(fault));
    expect((await statusOf(started)).virtualRouters[0]?.state).toBe('initialize');
    expect((await eventsOf(started)).map(({ message }) => message).join()).toContain('waits for an IPv6 link-local');
    await ip('lb1', 'address', 'add', `${own}/64`, 'dev', 'lan0');
    await waitForState(started, 'backup');
    await waitForSync(started);
    expect(await tandem(pair.lb2, 'failover')).toMatchObject({ code: 0 });
    await waitForHolder(lab, started, 10_000, address);
  });

  it('stands for election again when its link has been off, which takes the link-local address away', async () => {
    await ip('lb1', 'link', 'set', 'lan0', 'down');
    await waitForState(pair.lb1, 'initialize');
    await waitForState(pair.lb2, 'active');
    await ip('lb1', 'link', 'set', 'lan0', 'up');
    await ip('lb1', 'address', 'add', '2001:db8:9::11/64', 'dev', 'lan0');
    await waitForState(pair.lb1, 'backup');
    expect((await transitionsOf(pair.lb1)).at(-1)).toBe('initialize -> backup (link-up)');
    await waitForHolder(lab, pair.lb2, 10_000, address);
  });

  it('has its own virtual MAC, 00-00-5E-00-02, if it shall', { timeout: 60_000 }, async () => {
    const virtual = { virtualRouters: [{ ...router, mac: 'virtual' }] };
    await restart(virtual);
    await whoServes(lab, servicePort, address);
    const macOfClient = async (): Promise<string | undefined> =>
      (await lab.host('client').neighbours()).find((entry) => entry.address === address)?.mac;
    expect(await macOfClient()).toBe('00:00:5e:00:02:33');
    expect((await statusOf(pair.lb2)).virtualRouters[0]?.activeAddress).toBe(await linkLocalOf('lb1'));
    expect(await linkLocalsOn('lb1', 'v6-51-lan0')).toEqual([linkLocal]);
    await powerOff(lab, pair.lb1);
    await waitUntil(() => whoServes(lab, servicePort, address), waiting('the client is served'));
    expect(await macOfClient()).toBe('00:00:5e:00:02:33');
    expect(await duplicateFlags('lb2')).toEqual([]);
    await lab.heal('lb1', 'lan');
    await lab.heal('lb1', 'sync');
  });

  it('elects by unicast between the addresses of the nodes', { timeout: 60_000 }, async () => {
    await restart({ nodes, virtualRouters: [{ ...router, mode: 'unicast' }] });
    await waitForHolder(lab, pair.lb1, 10_000, address);
    expect((await statusOf(pair.lb2)).virtualRouters[0]?.activeAddress).toBe('2001:db8:9::11');
    await powerOff(lab, pair.lb1);
    await waitForHolder(lab, pair.lb2, 10_000, address);
  });

  async function restart(overrides: Readonly<Record<string, unknown>>): Promise<void> {
    await Promise.all([pair.lb1, pair.lb2].map(({ process }) => process.stop()));
    const start = (name: BalancerName): Promise<TandemNode> => startNode(lab, name, config(lab, overrides));
    const lb1 = await start('lb1');
    await waitForState(lb1, 'active');
    pair = { lb1, lb2: await start('lb2') };
    await waitForState(pair.lb2, 'backup');
    await waitForSync(lb1);
    await hearAdverts(pair.lb2, 5);
  }

  /** As a host does by default; the lab's own do not. */
  async function detectDuplicates(name: BalancerName): Promise<void> {
    const files = ['accept_dad', 'dad_transmits'].map((setting) => `/proc/sys/net/ipv6/conf/lan0/${setting}`);
    for (const file of files)
      expect(await lab.host(name).exec(['sh', '-c', `echo 1 > ${file}`])).toMatchObject({ code: 0 });
  }

  async function linkLocalOf(name: BalancerName): Promise<string | undefined> {
    return (await linkLocalsOn(name, 'lan0')).find((one) => one !== linkLocal);
  }

  async function linkLocalsOn(name: BalancerName, interfaceName: string): Promise<readonly string[]> {
    const addresses = (await lab.host(name).addresses()).filter((one) => one.interface === interfaceName);
    return addresses.map((one) => one.address).filter((one) => one.startsWith('fe80:'));
  }

  /** Virtual addresses that are being tried for duplicates, or have been found to be some. */
  async function duplicateFlags(name: BalancerName): Promise<readonly string[]> {
    const { stdout } = await lab.host(name).exec(['ip', '-6', '-o', 'address', 'show']);
    return stdout.split('\n').filter((line) => line.includes('::100/') && /tentative|dadfailed/.test(line));
  }

  async function ip(name: BalancerName, ...args: readonly string[]): Promise<void> {
    expect(await lab.host(name).exec(['ip', ...args])).toMatchObject({ code: 0, stderr: '' });
  }
});

function waiting(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}
