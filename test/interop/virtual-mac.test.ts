/** Tandem and the real keepalived send from one and the same MAC: whoever is active, no neighbour has to notice. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Host } from '../lab/host.ts';
import { waitUntil } from '../lab/time.ts';
import { multicastV3, multicastV3Ipv6 } from './flavours.ts';
import type { Flavour } from './flavours.ts';
import { useLan } from './routers.ts';
import type { Make, Router } from './routers.ts';

const lan = useLan();

type VirtualMacCase = { readonly flavour: Flavour; readonly mac: string; readonly first: Make; readonly second: Make };

const bothFamilies = [
  { flavour: multicastV3, mac: '00:00:5e:00:01:33' },
  { flavour: multicastV3Ipv6, mac: '00:00:5e:00:02:33' },
].map(({ flavour, mac }) => ({
  mac,
  flavour: {
    ...flavour,
    keepalived: { ...flavour.keepalived, lines: ['use_vmac vrrp51'] },
    tandem: { mac: 'virtual' },
  },
}));

const cases: readonly VirtualMacCase[] = bothFamilies.flatMap((family) => [
  { ...family, first: 'tandem', second: 'keepalived' } as const,
  { ...family, first: 'keepalived', second: 'tandem' } as const,
]);

// Registered later, so done earlier than what the LAN's own hook does.
afterEach(() => Promise.all(['r1', 'r2'].map((name) => clear(lan.lab.host(name)))));

describe('the virtual MAC', () => {
  test.each(cases)('stays the same when $second takes over from $first; $flavour.name', async (given) => {
    const { flavour, mac, first, second } = given;
    const address = flavour.addresses.at(-1)?.replace(/\/.*/, '') ?? '';
    const low = await lan.start(second, 'r2', flavour, { priority: 100 });
    await lan.waitForSpeaker(low);
    await expectTandemToAnswer(low, address, mac);
    const high = await lan.start(first, 'r1', flavour, { priority: 200 });
    await lan.waitForSpeaker(high);
    expect(await portOf(mac)).toBe('r1');
    await expectTandemToAnswer(high, address, mac);
    await lan.die(high);
    await lan.waitForSpeaker(low);
    expect(await portOf(mac)).toBe('r2');
    expect((await lan.observer.neighbours()).find((entry) => entry.address === address)?.mac).toBe(mac);
    expect(sourceMacs(low, high)).toEqual([mac]);
    expect(new Set(lan.announcements().map(({ targetMac }) => targetMac))).toEqual(new Set([mac]));
  });
});

/**
 * A keepalived is not asked: its answer to an observer whose MAC it does not know begins with an ARP request from its
 * interface's MAC in the name of the virtual address (it leaves arp_announce alone), which the observer believes.
 */
async function expectTandemToAnswer({ keepalived }: Router, address: string, mac: string): Promise<void> {
  if (keepalived === undefined) expect(await lan.whoAnswersFor(address)).toBe(mac);
}

function sourceMacs(...routers: readonly Router[]): readonly string[] {
  return [...new Set(routers.flatMap((router) => lan.advertsOf(router).map(({ sourceMac }) => sourceMac)))];
}

/** The router to whose port the switch sends frames for the MAC. */
async function portOf(mac: string): Promise<string | undefined> {
  const entries = (await lan.lab.switch('lan').execJson(['bridge', '-j', 'fdb', 'show'])) as FdbEntry[];
  return entries.find((entry) => entry.mac === mac)?.ifname;
}

/** A killed router leaves its interface behind, and settings of the one below. */
async function clear(host: Host): Promise<void> {
  host.killAll('SIGKILL');
  await waitUntil(() => host.processes().length === 0, { timeoutMs: 5_000, what: `nothing runs on ${host.name}` });
  const links = (await host.execJson(['ip', '-j', 'link', 'show', 'type', 'macvlan'])) as { ifname?: string }[];
  for (const { ifname } of links) if (ifname !== undefined) await host.exec(['ip', 'link', 'delete', ifname]);
  const settings = ['arp_ignore', 'arp_announce', 'arp_filter', 'rp_filter'];
  const script = settings.map((name) => `echo 0 > /proc/sys/net/ipv4/conf/lan0/${name}`).join('\n');
  await host.exec(['sh', '-e'], { input: script });
}

type FdbEntry = { readonly mac: string; readonly ifname: string };
