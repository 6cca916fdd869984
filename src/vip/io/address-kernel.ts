import type { IpPrefix } from '../../base/index.ts';
import type { PresentAddress } from '../index.ts';

/** A network interface. */
export type Link = {
  readonly name: string;
  /** Changes when the interface is made anew under the same name. */
  readonly index: number;
  readonly macAddress: Uint8Array;
  /** Switched on by the administrator, and with a carrier. */
  readonly up: boolean;
};

/** Why the kernel refused, as errno's name ("EPERM"); undefined when it did what was asked. */
export type Refusal = string | undefined;

export type AddressKernelEvents = {
  /** A link is new or has changed. */
  onLink(link: Link): void;
  onLinkRemoved(interfaceIndex: number): void;
  /** An address is new or has changed. */
  onAddress(interfaceIndex: number, address: PresentAddress): void;
  onAddressRemoved(interfaceIndex: number, prefix: IpPrefix): void;
  /** Events were lost: anything may have changed. */
  onOverrun(): void;
};

/**
 * What claiming addresses needs from a kernel: `Rtnetlink` is Linux, `MemoryKernel` its fake. Calls are made one after
 * the other but for changes of addresses, which may be sent together. A promise is rejected only when the kernel cannot
 * be asked at all.
 */
export type AddressKernel = {
  /** Opens the sockets; events are told from now on until `close`. */
  open(events: AddressKernelEvents): void;
  close(): void;
  /** Whether this process may change addresses (CAP_NET_ADMIN); nothing is changed. */
  mayChange(): Promise<boolean>;
  links(): Promise<readonly Link[]>;
  addresses(interfaceIndex: number): Promise<readonly PresentAddress[]>;
  /** Adds one for `lifetimeMs` (whole seconds), with our mark; EEXIST if it is there. */
  add(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number): Promise<Refusal>;
  /** Lets it live `lifetimeMs` from now on; adds it if it is not there. */
  renew(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number): Promise<Refusal>;
  /** EADDRNOTAVAIL if it is not there. */
  remove(interfaceIndex: number, prefix: IpPrefix): Promise<Refusal>;
};
