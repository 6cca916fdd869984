import type { ArpSettings } from '../index.ts';
import type { Link, Refusal } from './address-kernel.ts';

/** A link, and what a virtual interface has to know about it. */
export type LinkDetails = Link & {
  /** "macvlan", "veth"; undefined for hardware. */
  readonly kind: string | undefined;
  /** Of the interface whose frames it shares. */
  readonly parentIndex: number | undefined;
  readonly alias: string;
  readonly arp: ArpSettings;
  /** Undefined where IPv6 is not there at all. */
  readonly ipv6: { readonly followsRouters: boolean } | undefined;
};

/** Only what is given is changed. */
export type LinkChange = {
  /** Switched on. */
  readonly up?: boolean;
  readonly alias?: string;
  readonly ipv4?: Partial<ArpSettings & { readonly rpFilter: number }>;
  /** 'none': the kernel gives it no link-local address. */
  readonly ipv6AddressGeneration?: 'none';
};

/** What making a virtual interface needs from a kernel, beside `AddressKernel`: the same classes provide it. */
export type LinkKernel = {
  links(): Promise<readonly LinkDetails[]>;
  /** Makes one, switched off. EEXIST if there is an interface of that name. */
  createMacvlan(name: string, parentIndex: number, macAddress: Uint8Array): Promise<Refusal>;
  /** ENODEV if it is not there. */
  changeLink(interfaceIndex: number, change: LinkChange): Promise<Refusal>;
  deleteLink(interfaceIndex: number): Promise<Refusal>;
  /** The interface configures nothing by what IPv6 routers advertise. EROFS where /proc/sys cannot be written. */
  ignoreRouters(interfaceName: string): Promise<Refusal>;
};
