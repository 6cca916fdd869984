import type { IpPrefix } from '../../base/index.ts';
import { formatPrefix, toHex } from '../../base/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import { addressProtocol } from '../index.ts';
import type { PresentAddress } from '../index.ts';
import type { AddressKernel, AddressKernelEvents, Link, Refusal } from './address-kernel.ts';
import type { LinkChange, LinkDetails, LinkKernel } from './link-kernel.ts';

/** What hardware is like, on a host with IPv6. */
const plainDetails = {
  kind: undefined,
  parentIndex: undefined,
  alias: '',
  arp: { arpIgnore: 0, arpAnnounce: 0 },
  ipv6: { followsRouters: true },
} as const;

type Entry = { readonly address: PresentAddress; readonly expiry: Timer | undefined };

/** A fake kernel: its interfaces and their addresses live in memory, lifetimes run by the injected clock. */
export class MemoryKernel implements AddressKernel, LinkKernel {
  readonly #clock: Clock;
  readonly #links = new Map<number, LinkDetails>();
  readonly #addresses = new Map<number, Map<string, Entry>>();
  #events: AddressKernelEvents | undefined;
  #nextIndex = 1;
  #privileged = true;
  #procIsWritable = true;

  constructor(dependencies: { clock: Clock }) {
    this.#clock = dependencies.clock;
  }

  open(events: AddressKernelEvents): void {
    this.#events = events;
  }

  close(): void {
    this.#events = undefined;
  }

  mayChange(): Promise<boolean> {
    return Promise.resolve(this.#privileged);
  }

  links(): Promise<readonly LinkDetails[]> {
    return Promise.resolve([...this.#links.values()]);
  }

  addresses(interfaceIndex: number): Promise<readonly PresentAddress[]> {
    return Promise.resolve(this.present(interfaceIndex));
  }

  add(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number): Promise<Refusal> {
    if (this.#addresses.get(interfaceIndex)?.has(formatPrefix(prefix)) === true) return Promise.resolve('EEXIST');
    return this.renew(interfaceIndex, prefix, lifetimeMs);
  }

  renew(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number): Promise<Refusal> {
    if (!this.#privileged) return Promise.resolve('EPERM');
    if (!this.#links.has(interfaceIndex)) return Promise.resolve('ENODEV');
    const expiry = this.#clock.after(lifetimeMs, () => this.deleteAddress(interfaceIndex, prefix));
    this.#put(interfaceIndex, { address: { prefix, protocol: addressProtocol, permanent: false }, expiry });
    return Promise.resolve(undefined);
  }

  remove(interfaceIndex: number, prefix: IpPrefix): Promise<Refusal> {
    if (!this.#privileged) return Promise.resolve('EPERM');
    if (!this.#links.has(interfaceIndex)) return Promise.resolve('ENODEV');
    return Promise.resolve(this.deleteAddress(interfaceIndex, prefix) ? undefined : 'EADDRNOTAVAIL');
  }

  createMacvlan(name: string, parentIndex: number, macAddress: Uint8Array): Promise<Refusal> {
    if (!this.#privileged) return Promise.resolve('EPERM');
    if ([...this.#links.values()].some((link) => link.name === name)) return Promise.resolve('EEXIST');
    if (!this.#links.has(parentIndex)) return Promise.resolve('ENODEV');
    const index = this.#nextIndex++;
    this.setLink({ name, index, macAddress, up: false }, { kind: 'macvlan', parentIndex });
    return Promise.resolve(undefined);
  }

  changeLink(interfaceIndex: number, { up, alias, ipv4 }: LinkChange): Promise<Refusal> {
    if (!this.#privileged) return Promise.resolve('EPERM');
    const link = this.#links.get(interfaceIndex);
    if (link === undefined) return Promise.resolve('ENODEV');
    const isTwin = (other: LinkDetails): boolean =>
      other !== link && other.up && toHex(other.macAddress) === toHex(link.macAddress);
    if (up === true && [...this.#links.values()].some(isTwin)) return Promise.resolve('EADDRINUSE');
    const arp = {
      arpIgnore: ipv4?.arpIgnore ?? link.arp.arpIgnore,
      arpAnnounce: ipv4?.arpAnnounce ?? link.arp.arpAnnounce,
    };
    this.setLink({ ...link, up: up ?? link.up }, { alias: alias ?? link.alias, arp });
    return Promise.resolve(undefined);
  }

  deleteLink(interfaceIndex: number): Promise<Refusal> {
    if (!this.#privileged) return Promise.resolve('EPERM');
    if (!this.#links.has(interfaceIndex)) return Promise.resolve('ENODEV');
    this.unplug(interfaceIndex);
    return Promise.resolve(undefined);
  }

  ignoreRouters(interfaceName: string): Promise<Refusal> {
    const link = this.find(interfaceName);
    if (!this.#procIsWritable) return Promise.resolve('EROFS');
    if (link === undefined) return Promise.resolve('ENOENT');
    this.setLink(link, { ipv6: { followsRouters: false } });
    return Promise.resolve(undefined);
  }

  find(interfaceName: string): LinkDetails | undefined {
    return [...this.#links.values()].find(({ name }) => name === interfaceName);
  }

  /** What is on the interface now. */
  present(interfaceIndex: number): readonly PresentAddress[] {
    return [...(this.#addresses.get(interfaceIndex)?.values() ?? [])].map((entry) => entry.address);
  }

  /** Plugs an interface in; its index. */
  createLink(name: string): number {
    const index = this.#nextIndex++;
    this.setLink({ name, index, macAddress: Uint8Array.of(2, 0, 0, 0, 0, index), up: true });
    return index;
  }

  /** Makes or changes an interface. */
  setLink(link: Link, details: Partial<LinkDetails> = {}): void {
    const before = this.#links.get(link.index) ?? plainDetails;
    const after = { ...before, ...link, ...details };
    this.#links.set(link.index, after);
    this.#events?.onLink(after);
  }

  /** Its macvlans go with it. */
  unplug(interfaceIndex: number): void {
    for (const { index, parentIndex } of this.#links.values()) if (parentIndex === interfaceIndex) this.unplug(index);
    for (const { prefix } of this.present(interfaceIndex)) this.deleteAddress(interfaceIndex, prefix);
    this.#links.delete(interfaceIndex);
    this.#events?.onLinkRemoved(interfaceIndex);
  }

  /** As another program adds one. */
  putAddress(interfaceIndex: number, address: PresentAddress): void {
    this.#put(interfaceIndex, { address, expiry: undefined });
  }

  /** As another program deletes one; false if there was none. */
  deleteAddress(interfaceIndex: number, prefix: IpPrefix): boolean {
    const entry = this.#addresses.get(interfaceIndex)?.get(formatPrefix(prefix));
    if (entry === undefined) return false;
    entry.expiry?.cancel();
    this.#addresses.get(interfaceIndex)?.delete(formatPrefix(prefix));
    this.#events?.onAddressRemoved(interfaceIndex, prefix);
    return true;
  }

  /** Gives or takes the privilege to change addresses. */
  setPrivileged(privileged: boolean): void {
    this.#privileged = privileged;
  }

  /** Lets /proc/sys be written, or not. */
  setProcWritable(writable: boolean): void {
    this.#procIsWritable = writable;
  }

  /** Tells nothing of what happens during the change, and then that it lost events. */
  async overrun(change: () => void | Promise<void>): Promise<void> {
    const events = this.#events;
    this.#events = undefined;
    await change();
    this.#events = events;
    events?.onOverrun();
  }

  #put(interfaceIndex: number, entry: Entry): void {
    const addresses = this.#addresses.get(interfaceIndex) ?? new Map<string, Entry>();
    this.#addresses.set(interfaceIndex, addresses);
    addresses.get(formatPrefix(entry.address.prefix))?.expiry?.cancel();
    addresses.set(formatPrefix(entry.address.prefix), entry);
    this.#events?.onAddress(interfaceIndex, entry.address);
  }
}
