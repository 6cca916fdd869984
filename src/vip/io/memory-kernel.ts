import type { IpPrefix } from '../../base/index.ts';
import { formatPrefix } from '../../base/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import { addressProtocol } from '../index.ts';
import type { PresentAddress } from '../index.ts';
import type { AddressKernel, AddressKernelEvents, Link, Refusal } from './address-kernel.ts';

type Entry = { readonly address: PresentAddress; readonly expiry: Timer | undefined };

/** A fake kernel: its interfaces and their addresses live in memory, lifetimes run by the injected clock. */
export class MemoryKernel implements AddressKernel {
  readonly #clock: Clock;
  readonly #links = new Map<number, Link>();
  readonly #addresses = new Map<number, Map<string, Entry>>();
  #events: AddressKernelEvents | undefined;
  #nextIndex = 1;
  #privileged = true;

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

  links(): Promise<readonly Link[]> {
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
  setLink(link: Link): void {
    this.#links.set(link.index, link);
    this.#events?.onLink(link);
  }

  deleteLink(interfaceIndex: number): void {
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
