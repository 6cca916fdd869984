/**
 * Holds virtual addresses on one interface. Every operation looks at what is there, plans, and performs the plan, so
 * that all are idempotent and one routine serves claiming, renewing and putting back what somebody deleted. They run
 * one after the other; what is held counts at the moment of the plan, so a renewal under way never undoes a release.
 *
 * Only a claim does not look first: while it asks, nobody serves. It goes by what was there at the last look and what
 * the kernel has told since, and looks when it is refused. What it may so have overlooked the next renewal sees.
 *
 * Addresses live a few seconds and are renewed while held: a process that is killed or stopped loses them.
 *
 * A virtual interface, where one is given, is part of what is brought about: it exists from start to stop, and is up
 * while addresses are held on it.
 */
import { assert, formatPrefix } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { Clock, Service, Timer } from '../../runtime/index.ts';
import { hostPrefix, planAddresses } from '../index.ts';
import type { AddressConflict, AddressOperation, PresentAddress } from '../index.ts';
import type { AddressKernel, Link, Refusal } from './address-kernel.ts';
import type { VirtualInterface } from './virtual-interface.ts';

export type AddressesOptions = {
  readonly interfaceName: string;
  /** How long an address outlives its holder: whole seconds, at least 2000. Linux may end it half a second early. */
  readonly addressLifetimeMs: number;
};

/** Told as it happens; each must return soon. */
export type AddressesHandlers = {
  /** A held address was deleted by somebody, or had lapsed; it is back on the interface and wants to be announced. */
  onAddressLost(vip: IpPrefix): void;
  /** Up: switched on, and with a carrier. Also told when the interface comes back after `onLinkGone`. */
  onLinkChanged(change: { readonly up: boolean }): void;
  onLinkGone(): void;
  /** Held addresses could not be renewed or put back; it is tried again until they are released. */
  onRenewalFailed(error: unknown): void;
};

/** What one operation did. */
export type AddressReport = {
  readonly added: readonly IpPrefix[];
  readonly renewed: readonly IpPrefix[];
  readonly removed: readonly IpPrefix[];
  readonly conflicts: readonly AddressConflict[];
};

export type AddressCounts = { readonly lost: number; readonly renewalsFailed: number };

export const addressLifetimeDefaultMs = 3000;

/** Two programs that both insist on an address fight at this pace, not as fast as they can. */
const restoreIntervalMs = 200;

const nothing: AddressReport = { added: [], renewed: [], removed: [], conflicts: [] };

type Holding = { readonly vip: IpPrefix; seen: boolean };

export class Addresses implements Service {
  readonly name = 'addresses';
  readonly #options: AddressesOptions;
  readonly #kernel: AddressKernel;
  readonly #clock: Clock;
  readonly #handlers: AddressesHandlers;
  readonly #virtualInterface: VirtualInterface | undefined;
  readonly #held = new Map<string, Holding>();
  #link: Link | undefined;
  /** What is on the interface, as far as is known; undefined: it has not been looked at, or events were lost. */
  #known: Map<string, PresentAddress> | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #renewal: Timer | undefined;
  #restoration: Timer | undefined;
  #restoredAtMs = -Infinity;
  #upholdsPending = 0;
  #lost = 0;
  #renewalsFailed = 0;

  constructor(
    options: AddressesOptions,
    dependencies: {
      kernel: AddressKernel;
      clock: Clock;
      handlers: AddressesHandlers;
      /** The one named in the options, if it is ours to make. It asks the same kernel. */
      virtualInterface?: VirtualInterface;
    },
  ) {
    const { addressLifetimeMs } = options;
    assert(addressLifetimeMs >= 2000 && addressLifetimeMs % 1000 === 0, 'addresses live whole seconds, two at least');
    this.#options = options;
    this.#kernel = dependencies.kernel;
    this.#clock = dependencies.clock;
    this.#handlers = dependencies.handlers;
    this.#virtualInterface = dependencies.virtualInterface;
  }

  /** The interface as it is now; undefined while it does not exist. */
  get link(): Link | undefined {
    return this.#link;
  }

  get counts(): AddressCounts {
    return { lost: this.#lost, renewalsFailed: this.#renewalsFailed };
  }

  /**
   * A standby finds out now what is wrong, not when it must act. Throws OperatorError `INTERFACE_MISSING`,
   * `NET_ADMIN_MISSING`, or as `VirtualInterface.create`.
   */
  async start(): Promise<void> {
    this.#kernel.open({
      onLink: (link) => this.#onLink(link),
      onLinkRemoved: (index) => this.#onLinkRemoved(index),
      onAddress: (index, address) => this.#onAddress(index, address),
      onAddressRemoved: (index, prefix) => this.#onAddressRemoved(index, prefix),
      onOverrun: () => this.#onOverrun(),
    });
    try {
      if (!(await this.#kernel.mayChange())) throw netAdminMissing(this.#options.interfaceName);
      await this.#virtualInterface?.create();
      this.#link = await this.#findLink();
      if (this.#link === undefined) throw await this.#interfaceMissing();
    } catch (error) {
      this.#kernel.close();
      throw error;
    }
    this.#renewal = this.#clock.every(Math.min(1000, this.#options.addressLifetimeMs / 3), () => this.#uphold());
  }

  /** Releases what is still held, and removes the virtual interface. */
  async stop(): Promise<void> {
    this.#renewal?.cancel();
    this.#restoration?.cancel();
    try {
      await this.release([...this.#held.values()].map(({ vip }) => vip));
      await this.#enqueue(() => this.#virtualInterface?.remove() ?? Promise.resolve());
    } finally {
      this.#kernel.close();
    }
  }

  /**
   * Adds the VIPs, or renews those that are there, and holds them until `release`; also when it fails, so that a later
   * renewal may succeed. A conflict is left alone and reported. Throws OperatorError: as `start`, `ADDRESS_REFUSED`.
   */
  claim(vips: readonly IpPrefix[]): Promise<AddressReport> {
    for (const vip of vips) {
      if (!this.#held.has(vip.address)) this.#held.set(vip.address, { vip, seen: false });
    }
    return this.#enqueue(() => this.#bring('claim', vips, this.#known));
  }

  /** Removes the VIPs; those that are absent, or whose interface is, are as wanted. Throws like `claim`. */
  release(vips: readonly IpPrefix[]): Promise<AddressReport> {
    for (const vip of vips) this.#held.delete(vip.address);
    return this.#enqueue(() => this.#bring('release', vips));
  }

  /** Removes what an earlier life left behind. A conflict means that the interface answers for the VIP all the time. */
  removeStale(vips: readonly IpPrefix[]): Promise<AddressReport> {
    return this.#enqueue(() => this.#bring('release', vips));
  }

  async #bring(
    intent: 'claim' | 'release',
    vips: readonly IpPrefix[],
    known?: ReadonlyMap<string, PresentAddress>,
  ): Promise<AddressReport> {
    // What is known, or what the kernel says, may be outdated when the change arrives: then look once more.
    for (let lookAgain = true; ; lookAgain = false) {
      await this.#switchVirtualInterface();
      const link = this.#link;
      if (link === undefined && intent === 'release') return nothing;
      if (link === undefined) throw await this.#interfaceMissing();
      const present = known !== undefined && lookAgain ? [...known.values()] : await this.#look(link.index);
      const wanted = vips.filter((vip) => this.#held.has(vip.address) === (intent === 'claim'));
      const plan = planAddresses(intent, wanted, present);
      const refusal = await this.#perform(link.index, plan.operations);
      if (refusal === undefined) return { ...sort(plan.operations), conflicts: plan.conflicts };
      if (!lookAgain || (refusal !== 'EEXIST' && refusal !== 'ENODEV')) throw this.#refused(refusal);
      await this.#refreshLink();
    }
  }

  async #look(interfaceIndex: number): Promise<readonly PresentAddress[]> {
    const present = await this.#kernel.addresses(interfaceIndex);
    this.#known = new Map(present.map((address) => [formatPrefix(address.prefix), address]));
    return present;
  }

  /** Off before the addresses go: what the kernel sends when one goes would lead frames for the virtual MAC here. */
  async #switchVirtualInterface(): Promise<void> {
    if (this.#virtualInterface === undefined) return;
    if (this.#held.size === 0) return this.#virtualInterface.lower();
    await this.#virtualInterface.raise();
    if (this.#link === undefined) await this.#refreshLink();
  }

  /** The operations go out together; answers with the first refusal. */
  async #perform(interfaceIndex: number, operations: readonly AddressOperation[]): Promise<Refusal> {
    const refusals = await Promise.all(operations.map((operation) => this.#change(interfaceIndex, operation)));
    return refusals.find((refusal) => refusal !== undefined);
  }

  async #change(interfaceIndex: number, { type, vip }: AddressOperation): Promise<Refusal> {
    const prefix = hostPrefix(vip);
    if (type === 'remove') {
      const refusal = await this.#kernel.remove(interfaceIndex, prefix);
      return refusal === 'EADDRNOTAVAIL' ? undefined : refusal;
    }
    const refusal = await this.#kernel[type](interfaceIndex, prefix, this.#options.addressLifetimeMs);
    if (refusal === undefined) this.#noteSeen(vip, type);
    return refusal;
  }

  /** An address that has to be added although it was there before in this holding has been lost. */
  #noteSeen(vip: IpPrefix, type: 'add' | 'renew'): void {
    const holding = this.#held.get(vip.address);
    if (holding === undefined) return;
    const lost = holding.seen && type === 'add';
    holding.seen = true;
    if (!lost) return;
    this.#lost++;
    this.#handlers.onAddressLost(vip);
  }

  /**
   * Renews what is held and puts back what is missing, in the background. One running and one waiting are enough: the
   * one that waits will see whatever has changed until then.
   */
  #uphold(): void {
    if (this.#held.size === 0 || !this.#isReachable() || this.#upholdsPending >= 2) return;
    this.#upholdsPending++;
    const vips = [...this.#held.values()].map(({ vip }) => vip);
    void this.#enqueue(async () => {
      // Gone meanwhile: that has been told, and is no failure to renew.
      if (this.#isReachable()) await this.#bring('claim', vips);
    })
      .catch((error: unknown) => {
        this.#renewalsFailed++;
        this.#handlers.onRenewalFailed(error);
      })
      .finally(() => {
        this.#upholdsPending--;
      });
  }

  /** The interface is there, or can be made. */
  #isReachable(): boolean {
    return this.#link !== undefined || this.#virtualInterface !== undefined;
  }

  #restore(): void {
    if (this.#restoration !== undefined) return;
    const waitMs = this.#restoredAtMs + restoreIntervalMs - this.#clock.nowMs();
    const restore = (): void => {
      this.#restoration = undefined;
      this.#restoredAtMs = this.#clock.nowMs();
      this.#uphold();
    };
    if (waitMs <= 0) restore();
    else this.#restoration = this.#clock.after(waitMs, restore);
  }

  #onAddress(interfaceIndex: number, address: PresentAddress): void {
    if (interfaceIndex === this.#link?.index) this.#known?.set(formatPrefix(address.prefix), address);
  }

  #onAddressRemoved(interfaceIndex: number, prefix: IpPrefix): void {
    if (interfaceIndex === this.#link?.index) this.#known?.delete(formatPrefix(prefix));
    const holding = this.#held.get(prefix.address);
    if (holding === undefined || interfaceIndex !== this.#link?.index) return;
    if (formatPrefix(hostPrefix(holding.vip)) === formatPrefix(prefix)) this.#restore();
  }

  #onLink(link: Link): void {
    const before = this.#link;
    if (link.name !== this.#options.interfaceName) {
      // Renamed: the interface of our name is no more.
      if (link.index === before?.index) this.#onLinkRemoved(link.index);
      return;
    }
    this.#link = link;
    if (link.index !== before?.index) {
      this.#known = undefined;
      this.#restore();
    }
    if (link.up !== before?.up) this.#handlers.onLinkChanged({ up: link.up });
  }

  #onLinkRemoved(interfaceIndex: number): void {
    if (interfaceIndex !== this.#link?.index) return;
    this.#link = undefined;
    this.#known = undefined;
    this.#handlers.onLinkGone();
  }

  #onOverrun(): void {
    this.#known = undefined;
    void this.#enqueue(() => this.#refreshLink()).catch((error: unknown) => this.#handlers.onRenewalFailed(error));
    this.#restore();
  }

  /** Takes the present state as an event: events may have been lost, or not have arrived yet. */
  async #refreshLink(): Promise<void> {
    const link = await this.#findLink();
    if (link !== undefined) this.#onLink(link);
    else if (this.#link !== undefined) this.#onLinkRemoved(this.#link.index);
  }

  async #findLink(): Promise<Link | undefined> {
    return (await this.#kernel.links()).find((link) => link.name === this.#options.interfaceName);
  }

  async #interfaceMissing(): Promise<OperatorError> {
    const names = (await this.#kernel.links()).map((link) => link.name).join(', ');
    return new OperatorError(
      'INTERFACE_MISSING',
      `there is no network interface ${this.#options.interfaceName}`,
      `create it, or configure one of these: ${names}`,
    );
  }

  #refused(refusal: string): OperatorError {
    const { interfaceName } = this.#options;
    if (refusal === 'EPERM') return netAdminMissing(interfaceName);
    const what = `the kernel refuses to change addresses of ${interfaceName}: ${refusal}`;
    // EACCES is what Linux says of an IPv6 address where IPv6 is switched off (net/ipv6/addrconf.c).
    const mend =
      refusal === 'EACCES'
        ? `switch IPv6 on: sysctl net.ipv6.conf.${interfaceName}.disable_ipv6=0`
        : `try it by hand: ip address add ADDRESS dev ${interfaceName}`;
    return new OperatorError('ADDRESS_REFUSED', what, mend);
  }

  #enqueue<Value>(operation: () => Promise<Value>): Promise<Value> {
    const result = this.#queue.then(operation);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function netAdminMissing(interfaceName: string): OperatorError {
  return new OperatorError(
    'NET_ADMIN_MISSING',
    `no permission to change addresses of ${interfaceName}`,
    'run as root or grant CAP_NET_ADMIN (docker run --cap-add NET_ADMIN; AmbientCapabilities= in systemd)',
  );
}

function sort(operations: readonly AddressOperation[]): Omit<AddressReport, 'conflicts'> {
  const of = (type: AddressOperation['type']): readonly IpPrefix[] =>
    operations.filter((operation) => operation.type === type).map((operation) => operation.vip);
  return { added: of('add'), renewed: of('renew'), removed: of('remove') };
}
