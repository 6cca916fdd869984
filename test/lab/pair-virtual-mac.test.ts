/** A pair in virtual MAC mode: no neighbour ever has to notice that another node serves. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { hearAdverts, holders, powerOff, powerOn, startPair, startServers, waitForState, whoServes } from './stage.ts';
import type { BalancerName, Pair } from './stage.ts';
import { pairConfig, startNode, tandem } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const virtualMac = '00:00:5e:00:01:33';
const virtualInterface = 'v4-51-lan0';
const overrides = {
  virtualRouters: [
    {
      ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], advertInterval: '100ms' },
      ...{ priority: { lb1: 200, lb2: 100 }, mac: 'virtual' },
    },
  ],
};

describe('a pair with the virtual MAC', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, overrides);
  });

  afterAll(() => lab.destroy());

  it('fails over at a power cut while the client keeps its neighbour entry', async () => {
    await waitForVirtualHolder('lb1');
    const entries = await watchEntry();
    await powerOff(lab, pair.lb1);
    await waitForService();
    expect(await portOfMac()).toBe('lb2');
    // What the dead node has left lapses.
    await waitForVirtualHolder('lb2');
    expect(await entries.end()).toEqual([]);
  });

  it('starts over what a killed life has left, and hands back by a switchover', async () => {
    expect(await hasVirtualInterface('lb1')).toBe(true);
    pair = { ...pair, lb1: await powerOn(lab, pair.lb1, overrides) };
    const entries = await watchEntry();
    expect(await tandem(pair.lb2, 'failover')).toMatchObject({ code: 0 });
    await waitForVirtualHolder('lb1');
    expect(await portOfMac()).toBe('lb1');
    await hearAdverts(pair.lb2, 5);
    expect(await entries.end()).toEqual([]);
  });

  it('gives the interface back what it had when a node ends', async () => {
    expect(await arpSettings('lb2')).toEqual([1, 2]);
    await pair.lb2.process.stop();
    expect(await arpSettings('lb2')).toEqual([0, 0]);
    expect(await hasVirtualInterface('lb2')).toBe(false);
  });

  it('that is killed on one node is cleaned up after by the next life, without the virtual MAC as well', async () => {
    const { host } = pair.lb1;
    host.killAll('SIGKILL');
    await pair.lb1.process.exited;
    expect([await arpSettings('lb1'), await hasVirtualInterface('lb1')]).toEqual([[1, 2], true]);
    const plain = await startNode(lab, 'lb1', pairConfig(lab));
    await waitForState(plain, 'active');
    expect([await arpSettings('lb1'), await hasVirtualInterface('lb1')]).toEqual([[0, 0], false]);
    await waitUntil(async () => (await clientEntry()) === (await macOfHost('lb1')), {
      timeoutMs: 5_000,
      what: 'the client goes to the MAC of the interface',
    });
  });

  /** The node alone has the address, on the macvlan; the client is served, and by way of the virtual MAC. */
  async function waitForVirtualHolder(name: BalancerName): Promise<void> {
    await waitUntil(async () => (await holders(lab)).join() === name, { timeoutMs: 10_000, what: `${name} holds it` });
    await waitForService();
    expect(await clientEntry()).toBe(virtualMac);
    const held = (await lab.host(name).addresses()).find(({ address }) => address === virtualAddress);
    expect(held?.interface).toBe(virtualInterface);
  }

  async function waitForService(): Promise<void> {
    await waitUntil(() => whoServes(lab), { timeoutMs: 5_000, what: 'the client is served' });
  }

  /** Every change of the client's neighbour entry that names another MAC, or none. */
  async function watchEntry(): Promise<{ end(): Promise<readonly string[]> }> {
    const client = lab.host('client');
    const monitor = client.spawn(['ip', 'monitor', 'neigh']);
    // It does not say when it begins: an entry of another's, made again and again, shows that it has.
    const stranger = ['10.9.0.254', 'dev', 'lan0'];
    await waitUntil(
      async () => {
        await client.exec(['ip', 'neigh', 'replace', ...stranger, 'lladdr', '02:00:00:00:00:01']);
        await client.exec(['ip', 'neigh', 'del', ...stranger]);
        return monitor.stdout.length > 0;
      },
      { timeoutMs: 5_000, what: 'the neighbours are watched' },
    );
    return {
      end: async () => {
        await monitor.stop();
        return monitor.stdout.filter((line) => line.includes(`${virtualAddress} `) && !line.includes(virtualMac));
      },
    };
  }

  async function clientEntry(): Promise<string | undefined> {
    return (await lab.host('client').neighbours()).find(({ address }) => address === virtualAddress)?.mac;
  }

  /** The host to whose port the switch sends frames for the virtual MAC. */
  async function portOfMac(): Promise<string | undefined> {
    const entries = (await lab.switch('lan').execJson(['bridge', '-j', 'fdb', 'show'])) as FdbEntry[];
    return entries.find(({ mac }) => mac === virtualMac)?.ifname;
  }

  async function macOfHost(name: BalancerName): Promise<string | undefined> {
    const links = (await lab.host(name).execJson(['ip', '-j', 'link', 'show', 'lan0'])) as { address: string }[];
    return links[0]?.address;
  }

  async function hasVirtualInterface(name: BalancerName): Promise<boolean> {
    return (await lab.host(name).exec(['ip', 'link', 'show', virtualInterface])).code === 0;
  }

  async function arpSettings(name: BalancerName): Promise<readonly number[]> {
    const files = ['arp_ignore', 'arp_announce'].map((setting) => `/proc/sys/net/ipv4/conf/lan0/${setting}`);
    return (await lab.host(name).exec(['cat', ...files])).stdout.trim().split('\n').map(Number);
  }
});

type FdbEntry = { readonly mac: string; readonly ifname: string };
