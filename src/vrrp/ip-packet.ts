/** What VRRP needs of an IP packet, the same for both families. */

/** A packet taken apart. Addresses have 4 or 16 bytes. */
export type IpPacket = {
  /** IPv6 calls it the hop limit. */
  readonly ttl: number;
  /** IPv6: the next header. */
  readonly protocol: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly payload: Uint8Array;
};

/** The IP protocol number of VRRP (RFC 9568, 5.1.1.4). */
export const vrrpProtocol = 112;

/** Adverts are sent with this and must arrive with it: no router may have forwarded them (RFC 9568, 5.1.1.3). */
export const vrrpTtl = 255;

/** DSCP CS6, "network control", as TOS or traffic class: a switch that drops under load drops these last. */
export const vrrpTos = 0xc0;

/** 224.0.0.18 (RFC 9568, 5.1.1.2). */
export const vrrpGroupIpv4: Uint8Array = Uint8Array.of(224, 0, 0, 18);

/** ff02::12 (RFC 9568, 5.1.2.2). */
export const vrrpGroupIpv6: Uint8Array = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12);

/** The group to which adverts from this address go. */
export function vrrpGroupOf(ownAddress: Uint8Array): Uint8Array {
  return ownAddress.length === 4 ? vrrpGroupIpv4 : vrrpGroupIpv6;
}
