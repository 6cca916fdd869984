/**
 * A virtual router's own interface, with the virtual MAC. It is made at start, so that what is wrong shows then, and is
 * switched off: an interface that is down sends nothing from which a switch could learn the virtual MAC, answers
 * nobody, and its parent discards frames to that MAC, as a backup has to (RFC 9568, 6.4.2). Only the active router's
 * is up.
 */
import { assert, toHex } from '../../base/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import {
  formatAlias,
  formatMac,
  parentArpSettings,
  parseAlias,
  restoredArpSettings,
  virtualInterfaceName,
  virtualMac,
} from '../index.ts';
import type { ArpSettings, VirtualInterfaceSpec } from '../index.ts';
import type { Refusal } from './address-kernel.ts';
import type { LinkDetails, LinkKernel } from './link-kernel.ts';

/**
 * arp_ignore 1: it answers for the VIPs only, not for its parent's addresses as well. rp_filter 2: requests come in
 * here, while the way back to the client leads over the parent; the strict check would drop them. The loose one (2)
 * stands above a strict one that is set for all interfaces: the kernel takes the larger number.
 */
const ownSettings = { arpIgnore: 1, rpFilter: 2 } as const;

export class VirtualInterface {
  readonly name: string;
  readonly macAddress: Uint8Array;
  readonly #spec: VirtualInterfaceSpec;
  readonly #kernel: LinkKernel;
  #index: number | undefined;

  /** The kernel has to be open while this is used. */
  constructor(spec: VirtualInterfaceSpec, dependencies: { kernel: LinkKernel }) {
    this.name = virtualInterfaceName(spec);
    this.macAddress = virtualMac(spec.family, spec.vrid);
    this.#spec = spec;
    this.#kernel = dependencies.kernel;
  }

  /**
   * Makes the interface, switched off, in place of one that an earlier life left behind, and sets up its parent. Leaves
   * nothing half done. Throws OperatorError: `INTERFACE_MISSING`, `VIRTUAL_INTERFACE_TAKEN`, `VIRTUAL_MAC_TAKEN`,
   * `VIRTUAL_INTERFACE_REFUSED`, `ROUTER_ADVERTISEMENTS`.
   */
  create(): Promise<void> {
    return inTurn(async () => {
      await this.#remove();
      await this.#create();
    });
  }

  /**
   * Deletes it, with its addresses, and gives the parent back what it had. Nothing to delete is fine; an interface of
   * the same name that is not ours stays.
   */
  remove(): Promise<void> {
    return inTurn(() => this.#remove());
  }

  /** Switches it on; makes it anew if it has gone, alone or with its parent. Throws like `create`. */
  async raise(): Promise<void> {
    let refusal = await this.#switch(true);
    if (refusal === 'ENODEV') {
      await this.create();
      refusal = await this.#switch(true);
    }
    if (refusal !== undefined) throw this.#refused(refusal);
  }

  /** Switches it off. From then on nothing leaves it and nothing arrives; its IPv6 addresses are gone. */
  async lower(): Promise<void> {
    const refusal = await this.#switch(false);
    if (refusal !== undefined && refusal !== 'ENODEV') throw this.#refused(refusal);
  }

  async #switch(up: boolean): Promise<Refusal> {
    return this.#index === undefined ? 'ENODEV' : this.#kernel.changeLink(this.#index, { up });
  }

  async #create(): Promise<void> {
    const links = await this.#kernel.links();
    const parent = links.find((link) => link.name === this.#spec.parentName);
    if (parent === undefined) throw this.#parentMissing(links);
    const twin = links.find((link) => link.parentIndex === parent.index && hasMac(link, this.macAddress));
    if (twin !== undefined) throw this.#macTaken(twin);
    const namesake = links.find((link) => link.name === this.name);
    if (namesake !== undefined) throw this.#nameTaken(namesake);
    this.#check(await this.#kernel.createMacvlan(this.name, parent.index, this.macAddress));
    try {
      await this.#configure(parent, this.#siblings(links)[0]?.original ?? parent.arp);
    } catch (error) {
      await this.#remove();
      throw error;
    }
  }

  /** Notes what the parent has before it changes that. */
  async #configure(parent: LinkDetails, original: ArpSettings): Promise<void> {
    const link = (await this.#kernel.links()).find(({ name }) => name === this.name);
    assert(link !== undefined, 'what has been made is there');
    this.#index = link.index;
    const alias = formatAlias(this.#spec, original);
    this.#check(await this.#kernel.changeLink(link.index, { alias, ipv4: ownSettings }));
    if (link.ipv6 !== undefined) {
      this.#check(await this.#kernel.changeLink(link.index, { ipv6AddressGeneration: 'none' }));
      if (link.ipv6.followsRouters) await this.#ignoreRouters();
    }
    this.#check(await this.#kernel.changeLink(parent.index, { ipv4: parentArpSettings(original) }));
  }

  /**
   * The interface would take an address of the advertised network, made from the virtual MAC and thus the same on both
   * nodes, and a default route, although it is no host of its own.
   */
  async #ignoreRouters(): Promise<void> {
    const refusal = await this.#kernel.ignoreRouters(this.name);
    if (refusal === undefined) return;
    throw new OperatorError(
      'ROUTER_ADVERTISEMENTS',
      `${this.name} must not follow IPv6 router advertisements, but /proc/sys cannot be written: ${refusal}`,
      'in a container, set it from outside (Compose: sysctls: {net.ipv6.conf.default.accept_ra: 0})',
    );
  }

  /** The parent is restored first: whoever dies in between has left the macvlan with its note. */
  async #remove(): Promise<void> {
    const links = await this.#kernel.links();
    const own = links.find(
      (link) => link.name === this.name && link.kind === 'macvlan' && hasMac(link, this.macAddress),
    );
    if (own === undefined) return;
    const parent = links.find((link) => link.name === this.#spec.parentName);
    const original = parseAlias(own.alias)?.original;
    if (parent !== undefined && original !== undefined && this.#siblings(links).length === 0) {
      this.#check(await this.#kernel.changeLink(parent.index, { ipv4: restoredArpSettings(original, parent.arp) }));
    }
    const refusal = await this.#kernel.deleteLink(own.index);
    if (refusal !== 'ENODEV') this.#check(refusal);
  }

  /** The notes of the parent's other virtual interfaces: of other virtual routers, or of another Tandem. */
  #siblings(links: readonly LinkDetails[]) {
    return links
      .filter((link) => link.name !== this.name)
      .map((link) => parseAlias(link.alias))
      .filter((note) => note !== undefined)
      .filter((note) => note.parentName === this.#spec.parentName);
  }

  #check(refusal: Refusal): void {
    if (refusal !== undefined) throw this.#refused(refusal);
  }

  #parentMissing(links: readonly LinkDetails[]): OperatorError {
    return new OperatorError(
      'INTERFACE_MISSING',
      `there is no network interface ${this.#spec.parentName}`,
      `create it, or configure one of these: ${links.map(({ name }) => name).join(', ')}`,
    );
  }

  #nameTaken({ kind, macAddress }: LinkDetails): OperatorError {
    return new OperatorError(
      'VIRTUAL_INTERFACE_TAKEN',
      `${this.name} is somebody else's interface (${kind ?? 'hardware'}, ${formatMac(macAddress)})`,
      `rename or remove it: ip link delete ${this.name}`,
    );
  }

  #macTaken({ name }: LinkDetails): OperatorError {
    const { parentName, vrid } = this.#spec;
    return new OperatorError(
      'VIRTUAL_MAC_TAKEN',
      `${name} on ${parentName} has the virtual MAC ${formatMac(this.macAddress)} already`,
      `end the other VRRP program on this host, or use another vrid than ${vrid}`,
    );
  }

  #refused(refusal: string): OperatorError {
    const what = `the kernel refuses the virtual interface ${this.name}: ${refusal}`;
    return new OperatorError('VIRTUAL_INTERFACE_REFUSED', what, mends[refusal] ?? this.#tryByHand());
  }

  #tryByHand(): string {
    return `try it by hand: ip link add ${this.name} link ${this.#spec.parentName} type macvlan mode vepa`;
  }
}

const mends: Readonly<Record<string, string>> = {
  EPERM: 'run as root or grant CAP_NET_ADMIN',
  ENOTSUP: 'the kernel lacks macvlan: modprobe macvlan, or do without the virtual MAC',
  EBUSY: 'an interface that is in a bridge can carry none: configure the bridge instead of it',
  EADDRINUSE: 'another interface on the same parent is up with the virtual MAC: end the other VRRP program',
};

/**
 * A parent's settings belong to all of its virtual interfaces together: who makes one or removes one looks at the
 * others, and may not be overtaken between looking and doing.
 */
let lastTurn: Promise<unknown> = Promise.resolve();

function inTurn(operation: () => Promise<void>): Promise<void> {
  const result = lastTurn.then(operation);
  lastTurn = result.catch(() => undefined);
  return result;
}

function hasMac(link: LinkDetails, macAddress: Uint8Array): boolean {
  return toHex(link.macAddress) === toHex(macAddress);
}
