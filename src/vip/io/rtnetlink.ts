/**
 * Linux's side of `AddressKernel` and `LinkKernel` over rtnetlink. Three sockets: one asks what there is, one listens,
 * since an event that arrives amid the parts of an answer would tear it apart, and one changes, without waiting.
 */
import { writeFile } from 'node:fs/promises';
import { createNetlink, FlagsGet, FlagsNew, Protocol, rt } from 'node-netlink';
import type { NetlinkMessage, NetlinkSocket } from 'node-netlink';
import { assert } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import type { PresentAddress } from '../index.ts';
import type { AddressKernel, AddressKernelEvents, Refusal } from './address-kernel.ts';
import { ChangeSocket } from './change-socket.ts';
import type { NetlinkCalls } from './change-socket.ts';
import type { LinkChange, LinkDetails, LinkKernel } from './link-kernel.ts';
import { allLinks, encodeLinkChange, encodeLinkRemoval, encodeMacvlan, parseLink } from './link-messages.ts';
import { addressWithoutAddress, allAddresses, encodeAddress, parseAddress } from './rtnetlink-messages.ts';

const { MessageType, MulticastGroups } = rt;

const socketOptions = { recvBufferSize: 1 << 20, sendBufferSize: 1 << 16 } as const;
/** The kernel answers at once; an answer that was lost must not block everything behind it. */
const answerTimeoutMs = 1000;

export class Rtnetlink implements AddressKernel, LinkKernel {
  readonly #changes: ChangeSocket;
  #requests: NetlinkSocket | undefined;
  #listener: NetlinkSocket | undefined;

  constructor(dependencies: { native: NetlinkCalls }) {
    this.#changes = new ChangeSocket(dependencies);
  }

  /** Without `events` it does not listen: for those who ask, change and close. */
  open(events?: AddressKernelEvents): void {
    this.#changes.open();
    this.#requests = createNetlink(Protocol.ROUTE, socketOptions);
    // What goes wrong with a request shows as its timeout.
    this.#requests.on('error', () => undefined);
    if (events !== undefined) this.#listener = listen(events);
  }

  close(): void {
    this.#changes.close();
    this.#requests?.close();
    this.#listener?.close();
    this.#requests = undefined;
    this.#listener = undefined;
  }

  async mayChange(): Promise<boolean> {
    const refusal = await this.#change(MessageType.NEWADDR, addressWithoutAddress, 0);
    return refusal !== 'EPERM';
  }

  async links(): Promise<readonly LinkDetails[]> {
    const messages = await this.#dump(MessageType.GETLINK, allLinks);
    return messages.map(({ data }) => parseLink(data)).filter((link) => link !== undefined);
  }

  async addresses(interfaceIndex: number): Promise<readonly PresentAddress[]> {
    const messages = await this.#dump(MessageType.GETADDR, allAddresses);
    return messages
      .map(({ data }) => parseAddress(data))
      .filter((address) => address !== undefined)
      .filter((address) => address.interfaceIndex === interfaceIndex);
  }

  add(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number): Promise<Refusal> {
    const message = encodeAddress(interfaceIndex, prefix, lifetimeMs);
    return this.#change(MessageType.NEWADDR, message, FlagsNew.CREATE | FlagsNew.EXCL);
  }

  renew(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number): Promise<Refusal> {
    const message = encodeAddress(interfaceIndex, prefix, lifetimeMs);
    return this.#change(MessageType.NEWADDR, message, FlagsNew.CREATE | FlagsNew.REPLACE);
  }

  remove(interfaceIndex: number, prefix: IpPrefix): Promise<Refusal> {
    return this.#change(MessageType.DELADDR, encodeAddress(interfaceIndex, prefix, undefined), 0);
  }

  createMacvlan(name: string, parentIndex: number, macAddress: Uint8Array): Promise<Refusal> {
    const message = encodeMacvlan(name, parentIndex, macAddress);
    return this.#change(MessageType.NEWLINK, message, FlagsNew.CREATE | FlagsNew.EXCL);
  }

  changeLink(interfaceIndex: number, change: LinkChange): Promise<Refusal> {
    return this.#change(MessageType.SETLINK, encodeLinkChange(interfaceIndex, change), 0);
  }

  deleteLink(interfaceIndex: number): Promise<Refusal> {
    return this.#change(MessageType.DELLINK, [encodeLinkRemoval(interfaceIndex)], 0);
  }

  /** The one setting that netlink cannot change. */
  async ignoreRouters(interfaceName: string): Promise<Refusal> {
    try {
      await writeFile(`/proc/sys/net/ipv6/conf/${interfaceName}/accept_ra`, '0');
      return undefined;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }

  #change(type: number, message: readonly Uint8Array[], flags: number): Promise<Refusal> {
    return new Promise((resolve) => resolve(this.#changes.change(type, flags, message)));
  }

  async #dump(type: number, header: Uint8Array): Promise<readonly NetlinkMessage[]> {
    const [messages] = await this.#socket().request(type, header, { flags: FlagsGet.DUMP, timeout: answerTimeoutMs });
    return messages;
  }

  #socket(): NetlinkSocket {
    assert(this.#requests !== undefined, 'the kernel is asked between open and close');
    return this.#requests;
  }
}

function listen(events: AddressKernelEvents): NetlinkSocket {
  const listener = createNetlink(Protocol.ROUTE, socketOptions);
  listener.on('message', (messages) => messages.forEach((message) => dispatch(message, events)));
  // ENOBUFS: the receive buffer overflowed.
  listener.on('error', () => events.onOverrun());
  listener.addMembership(MulticastGroups.LINK);
  listener.addMembership(MulticastGroups.IPV4_IFADDR);
  listener.addMembership(MulticastGroups.IPV6_IFADDR);
  return listener;
}

function dispatch({ type, data }: NetlinkMessage, events: AddressKernelEvents): void {
  if (isType(type, MessageType.NEWADDR) || isType(type, MessageType.DELADDR)) {
    const address = parseAddress(data);
    if (address === undefined) return;
    if (isType(type, MessageType.NEWADDR)) events.onAddress(address.interfaceIndex, address);
    else events.onAddressRemoved(address.interfaceIndex, address.prefix);
    return;
  }
  if (!isType(type, MessageType.NEWLINK) && !isType(type, MessageType.DELLINK)) return;
  const link = parseLink(data);
  if (link === undefined) return;
  if (isType(type, MessageType.NEWLINK)) events.onLink(link);
  else events.onLinkRemoved(link.index);
}

function isType(type: number, wanted: number): boolean {
  return type === wanted;
}
