/** Two balancers with one virtual IP, in a lab of the default topology, that are struck down and mended in turns. */

import { assert } from '../../src/base/index.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import { holders, startServers, whoServes } from '../lab/stage.ts';
import type { BalancerName } from '../lab/stage.ts';
import { waitUntil } from '../lab/time.ts';
import { virtualAddress } from '../lab/topology.ts';

export type Trigger = 'cut' | 'kill';

/** What makes a host a balancer. */
export type Software = {
  readonly system: string;
  /** Starts it on a host; what stands there then has yet to get ready. */
  readonly start: (lab: Lab, name: BalancerName, advertIntervalMs: number) => Promise<Balancer>;
};

export type Balancer = {
  /** Resolves when it could serve at once, if it had to. */
  readonly ready: () => Promise<void>;
};

/** As `ip monitor` tells of an address that is there from now on. */
const isAddress = new RegExp(`^\\d.* inet ${virtualAddress.replaceAll('.', '\\.')}/`);

/** High, as those want them who count milliseconds: what a standby waits longer than three intervals is its skew. */
export const priorities: Readonly<Record<BalancerName, number>> = { lb1: 250, lb2: 240 };

const balancerNames: readonly BalancerName[] = ['lb1', 'lb2'];
const electionTimeoutMs = 15_000;
const takeOverTimeoutMs = 20_000;

export class FailoverPair {
  readonly lab: Lab;
  readonly #software: Software;
  readonly #balancers = new Map<BalancerName, Balancer>();
  #advertIntervalMs: number | undefined;
  #dead: BalancerName | undefined;

  constructor(lab: Lab, software: Software) {
    this.lab = lab;
    this.#software = software;
  }

  static async create(software: Software): Promise<FailoverPair> {
    const lab = await createLab();
    try {
      await startServers(lab);
      return new FailoverPair(lab, software);
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  get system(): string {
    return this.#software.system;
  }

  /** Both hosts, as after a reboot, become balancers with such adverts; lb1 is ahead, and so the first active one. */
  async start(advertIntervalMs: number): Promise<void> {
    if (advertIntervalMs === this.#advertIntervalMs) return;
    this.#advertIntervalMs = advertIntervalMs;
    await Promise.all(balancerNames.map((name) => this.#reboot(name)));
    for (const name of balancerNames) await this.#startOn(name);
    this.#dead = undefined;
  }

  async destroy(): Promise<void> {
    await this.lab.destroy();
  }

  /** Waits until both are ready and this one serves; the node that died before is started again, as the standby. */
  async makeWhole(active: BalancerName): Promise<void> {
    for (;;) {
      if (this.#dead !== undefined) await this.#revive(this.#dead);
      const holder = await this.#waitUntilServedByOne();
      for (const balancer of this.#balancers.values()) await balancer.ready();
      if (holder === active) return;
      this.#kill(holder);
      await this.#waitUntilHeldBy(active);
    }
  }

  /** Resolves when the active node sends its next advert. */
  async nextAdvert(): Promise<void> {
    const listener = this.lab.switch('lan').spawn(['tcpdump', '-lnc', '1', '-Z', 'root', '-i', 'bridge0', 'proto 112']);
    await listener.waitForLine(/VRRP/i, electionTimeoutMs);
  }

  /**
   * What will let the active node die the moment it is called. With `cut` the cables go first, and of these the one for
   * sync: nothing that the dying node or its kernel may say gets out.
   */
  prepareStrike(active: BalancerName, trigger: Trigger): () => Promise<void> {
    const cuts = trigger === 'cut' ? [this.#prepareCut(active, 'sync'), this.#prepareCut(active, 'lan')] : [];
    return async () => {
      for (const cut of cuts) await cut();
      this.#kill(active);
    };
  }

  /**
   * To be called while `active` lives; the promise inside resolves when the other node has taken the virtual IP and
   * serves the client. The kernel tells of the address: asking again and again would take time from those measured.
   */
  watchTakeOver(active: BalancerName): { readonly done: Promise<void> } {
    const other = active === 'lb1' ? 'lb2' : 'lb1';
    const monitor = this.lab.host(other).spawn(['ip', '-oneline', 'monitor', 'address']);
    const taken = monitor.waitForLine(isAddress, takeOverTimeoutMs);
    const done = taken.then(() => this.#waitUntilServed()).finally(() => monitor.kill('SIGKILL'));
    // It may fail before anybody awaits it; whoever does will hear of it.
    done.catch(() => undefined);
    return { done };
  }

  async #revive(name: BalancerName): Promise<void> {
    await this.#reboot(name);
    await this.#startOn(name);
    this.#dead = undefined;
  }

  #kill(name: BalancerName): void {
    this.lab.host(name).killAll('SIGKILL');
    this.#dead = name;
  }

  /** ip(8) stands ready with its standard input open, since to start it would take longer than 10 ms adverts last. */
  #prepareCut(name: BalancerName, network: 'lan' | 'sync'): () => Promise<void> {
    const ip = this.lab.switch(network).spawn(['ip', '-oneline', '-batch', '-']);
    return async () => {
      ip.tell(`link set ${name} down`);
      ip.tell(`link show ${name}`);
      await ip.waitForLine(/state DOWN/, 1_000);
      ip.kill('SIGKILL');
    };
  }

  /** Nothing runs on the host, its cables are in, and it has no address but its own. */
  async #reboot(name: BalancerName): Promise<void> {
    this.lab.host(name).killAll('SIGKILL');
    await this.lab.host(name).exec(['ip', 'address', 'flush', 'dev', 'lan0', 'to', virtualAddress]);
    await this.lab.heal(name, 'lan');
    await this.lab.heal(name, 'sync');
  }

  async #startOn(name: BalancerName): Promise<void> {
    assert(this.#advertIntervalMs !== undefined, 'balancers are started with a pair');
    this.#balancers.set(name, await this.#software.start(this.lab, name, this.#advertIntervalMs));
  }

  async #waitUntilServedByOne(): Promise<BalancerName> {
    return waitUntil(
      async () => {
        const [holder, ...others] = await holders(this.lab);
        return others.length === 0 && (await whoServes(this.lab)) !== '' && holder;
      },
      { timeoutMs: electionTimeoutMs, everyMs: 50, what: `${this.system}: one node has the virtual IP and serves` },
    );
  }

  async #waitUntilHeldBy(name: BalancerName): Promise<void> {
    const isHeld = (): Promise<boolean> => this.lab.host(name).hasAddress(virtualAddress);
    await waitUntil(isHeld, { timeoutMs: takeOverTimeoutMs, everyMs: 50, what: `${this.system}: ${name} is active` });
  }

  async #waitUntilServed(): Promise<void> {
    const isServed = async (): Promise<boolean> => (await whoServes(this.lab)) !== '';
    await waitUntil(isServed, { timeoutMs: takeOverTimeoutMs, what: `${this.system}: the client is served` });
  }
}
