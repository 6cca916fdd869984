/** Routers of either make in one LAN, and what an observer sees of them. */

import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { startCapture } from '../lab/capture.ts';
import type { Capture } from '../lab/capture.ts';
import type { Host, HostAddress } from '../lab/host.ts';
import { startKeepalived } from '../lab/keepalived.ts';
import type { Keepalived } from '../lab/keepalived.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/lab-process.ts';
import { statusOf } from '../lab/stage.ts';
import { pairConfig, startNode } from '../lab/tandem.ts';
import { waitUntil } from '../lab/time.ts';
import type { Topology } from '../lab/topology.ts';
import type { Flavour } from './flavours.ts';
import { advertsIn, announcementsIn } from './frames.ts';
import type { SeenAdvert, SeenAnnouncement } from './frames.ts';

export type Make = 'tandem' | 'keepalived';
export type HostName = 'r1' | 'r2' | 'r3';

export type RouterOptions = {
  readonly priority: number;
  /** Default true: the higher priority wins in the end, whoever was first. */
  readonly preempt?: boolean;
  /** Default: the flavour's. */
  readonly advertIntervalMs?: number;
  readonly addresses?: readonly string[];
  /** The other router where adverts are unicast; default: the one of r1 and r2 that this is not. */
  readonly peer?: HostName;
};

export type Router = {
  readonly name: HostName;
  /** Where its adverts come from. */
  readonly address: string;
  readonly mac: string;
  /** Ends it in an orderly way. */
  readonly stop: () => Promise<void>;
  /** Of a keepalived only: what it said by itself. */
  readonly keepalived: Keepalived | undefined;
};

/** For tests of two routers, each make in either part. */
export const bothWays: readonly { first: Make; second: Make }[] = [
  { first: 'tandem', second: 'keepalived' },
  { first: 'keepalived', second: 'tandem' },
];

export const vrid = 51;
const hostNames: readonly HostName[] = ['r1', 'r2', 'r3'];
const addressOf = (name: HostName): string => `10.9.0.${10 + Number(name.slice(1))}`;

const topology: Topology = {
  networks: ['lan'],
  hosts: {
    observer: { lan: ['10.9.0.10/24', '2001:db8:9::10/64'] },
    ...Object.fromEntries(hostNames.map((name) => [name, { lan: [`${addressOf(name)}/24`] }])),
  },
};

/** Registers the hooks of a test file: one LAN for all of its tests, in which nothing runs when a test begins. */
export function useLan(): Lan {
  const lan = new Lan();
  beforeAll(() => lan.open());
  beforeEach(() => lan.begin());
  afterEach(() => lan.end());
  afterAll(() => lan.close());
  return lan;
}

export class Lan {
  #lab: Lab | undefined;
  #capture: Capture | undefined;
  readonly #ownAddresses = new Set<string>();

  get lab(): Lab {
    if (this.#lab === undefined) throw new Error('the LAN exists between the hooks of its tests');
    return this.#lab;
  }

  get observer(): Host {
    return this.lab.host('observer');
  }

  async open(): Promise<void> {
    this.#lab = await createLab(topology);
    const present = await Promise.all(hostNames.map((name) => addressesOf(this.lab.host(name))));
    for (const { address } of present.flat()) this.#ownAddresses.add(address);
  }

  async close(): Promise<void> {
    await this.#lab?.destroy();
  }

  async begin(): Promise<void> {
    this.#capture = await startCapture(this.lab, 'lan', 'proto 112 or ip6 proto 112 or arp or icmp6');
  }

  async end(): Promise<void> {
    await this.#capture?.stop();
    await Promise.all(hostNames.map((name) => this.#clear(name)));
    const all = ['observer', ...hostNames].map((name) => this.lab.host(name));
    await Promise.all(all.map((host) => host.exec(['ip', 'neighbour', 'flush', 'dev', 'lan0'])));
  }

  /** Resolves when the router takes part in the election. */
  async start(make: Make, name: HostName, flavour: Flavour, options: RouterOptions): Promise<Router> {
    const host = this.lab.host(name);
    const identity = { name, address: await sourceOf(host, name, flavour), mac: await macOf(host) };
    if (make === 'keepalived') {
      const keepalived = await this.#startKeepalived(name, flavour, options);
      return { ...identity, stop: stopper(keepalived.process), keepalived };
    }
    const node = await startNode(this.lab, name, tandemConfig(this.lab, name, flavour, options));
    // Operators are answered a moment before the election is joined.
    await waitUntil(async () => (await statusOf(node)).virtualRouters.every(({ state }) => state !== 'initialize'), {
      timeoutMs: 10_000,
      what: `the node ${name} takes part in the election`,
    });
    return { ...identity, stop: stopper(node.process), keepalived: undefined };
  }

  /** As a power cut would. */
  async die(router: Router): Promise<void> {
    await this.lab.cut(router.name, 'lan');
    this.lab.host(router.name).killAll('SIGKILL');
  }

  adverts(): readonly SeenAdvert[] {
    return advertsIn(this.#captured.frames()).filter((advert) => advert.vrid === vrid);
  }

  announcements(): readonly SeenAnnouncement[] {
    return announcementsIn(this.#captured.frames());
  }

  /** Of this router, in their order. */
  advertsOf({ address }: Router): readonly SeenAdvert[] {
    return this.adverts().filter(({ source }) => source === address);
  }

  /** Waits until the last adverts, as many as the others' patience and more, are of this router alone. */
  async waitForSpeaker(router: Router, timeoutMs = 20_000): Promise<void> {
    const isAlone = (): boolean => {
      const last = this.adverts().slice(-alone);
      return last.length === alone && last.every(({ source, priority }) => source === router.address && priority > 0);
    };
    await waitUntil(isAlone, { timeoutMs, everyMs: 20, what: `only ${router.name} speaks` });
  }

  /** Waits for the first advert of a router after a moment (wall clock), with a priority: one that speaks as active. */
  async waitForAdvert(router: Router, afterMs: number, timeoutMs = 10_000): Promise<SeenAdvert> {
    const find = (): SeenAdvert | undefined =>
      this.advertsOf(router).find(({ atMs, priority }) => atMs > afterMs && priority > 0);
    return waitUntil(find, { timeoutMs, everyMs: 10, what: `${router.name} speaks` });
  }

  /** Whose MAC address the observer has for an address, after it has sent something there: nobody needs to listen. */
  async whoAnswersFor(address: string): Promise<string | undefined> {
    await this.observer.exec([
      'curl',
      '-s',
      '-m',
      '1',
      `http://${address.includes(':') ? `[${address}]` : address}:9/`,
    ]);
    return (await this.observer.neighbours()).find((neighbour) => neighbour.address === address)?.mac;
  }

  get #captured(): Capture {
    if (this.#capture === undefined) throw new Error('the capture runs during tests');
    return this.#capture;
  }

  #startKeepalived(name: HostName, flavour: Flavour, options: RouterOptions): Promise<Keepalived> {
    const { priority, preempt = true, advertIntervalMs = flavour.advertIntervalMs } = options;
    const { addresses = flavour.addresses, peer = otherOf(name) } = options;
    return startKeepalived(this.lab, name, {
      ...flavour.keepalived,
      vrid,
      interface: 'lan0',
      priority,
      advertIntervalMs,
      addresses,
      preempt,
      ...(flavour.isUnicast ? { unicast: { source: addressOf(name), peer: addressOf(peer) } } : {}),
    });
  }

  /** A host is as after a reboot. */
  async #clear(name: HostName): Promise<void> {
    const host = this.lab.host(name);
    host.killAll('SIGKILL');
    await waitUntil(() => host.processes().length === 0, { timeoutMs: 5_000, what: `nothing runs on ${name}` });
    for (const { address, prefixLength } of await host.addresses()) {
      if (this.#ownAddresses.has(address)) continue;
      await host.exec(['ip', 'address', 'del', `${address}/${prefixLength}`, 'dev', 'lan0']);
    }
    await this.lab.heal(name, 'lan');
    await this.lab.unblock(name, 'lan');
  }
}

/** So many adverts in a row of one router mean that no other one is waiting for its turn. */
const alone = 6;

/** Node by node is how people migrate: the file names two nodes, one of which is a keepalived still. */
function tandemConfig(lab: Lab, name: HostName, flavour: Flavour, options: RouterOptions): string {
  const { priority, preempt = true, advertIntervalMs = flavour.advertIntervalMs } = options;
  const { addresses = flavour.addresses, peer = otherOf(name) } = options;
  const router = {
    name: 'web',
    vrid,
    interface: 'lan0',
    addresses,
    advertInterval: `${advertIntervalMs}ms`,
    priority,
    preempt,
    ...flavour.tandem,
  };
  const nodes = [name, peer].map((node) => ({ name: node, address: addressOf(node) }));
  return pairConfig(lab, { nodes, virtualRouters: [router], services: undefined });
}

function stopper(process: LabProcess): () => Promise<void> {
  return async () => {
    await process.stop();
  };
}

function otherOf(name: HostName): HostName {
  return name === 'r1' ? 'r2' : 'r1';
}

/** Complete: the kernel makes the link-local one when the cable has been plugged in. */
async function addressesOf(host: Host): Promise<readonly HostAddress[]> {
  const look = async (): Promise<readonly HostAddress[] | undefined> => {
    const addresses = await host.addresses();
    return addresses.some(({ address }) => address.startsWith('fe80:')) ? addresses : undefined;
  };
  return waitUntil(look, { timeoutMs: 5_000, what: `${host.name} has a link-local address` });
}

/** IPv6 adverts come from the link-local address. */
async function sourceOf(host: Host, name: HostName, { addresses: [first = ''] }: Flavour): Promise<string> {
  if (!first.includes(':')) return addressOf(name);
  const linkLocal = (await host.addresses()).find(({ address }) => address.startsWith('fe80:'));
  return linkLocal?.address ?? '';
}

async function macOf(host: Host): Promise<string> {
  const links = (await host.execJson(['ip', '-j', 'link', 'show', 'lan0'])) as { address: string }[];
  return links[0]?.address ?? '';
}
