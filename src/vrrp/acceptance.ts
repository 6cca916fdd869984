/** The checks a router makes on every packet before it believes it (RFC 9568, section 7.1). */
import type { Result } from '../base/index.ts';
import { compareIp, fail, ok } from '../base/index.ts';
import type { AdvertVersion, ChecksumForm } from './advert.ts';
import { advertDropReasons, decodeAdvert } from './advert.ts';
import { decodeIpv4Packet, ipv4DropReasons, vrrpProtocol, vrrpTtl } from './ipv4-header.ts';

/** 224.0.0.18 (RFC 9568, 5.1.1.2). */
export const vrrpGroupIpv4: Uint8Array = Uint8Array.of(224, 0, 0, 18);

/** What a virtual router knows of itself, as far as packets are judged by it. */
export type RouterView = {
  readonly version: AdvertVersion;
  readonly vrid: number;
  /** Version 2 alone insists that both intervals are equal; version 3 adopts the active router's. */
  readonly advertIntervalMs: number;
  /** The primary address of the interface: where adverts leave from. */
  readonly ownAddress: Uint8Array;
  /** Who else sends adverts, to our own address; undefined: anyone, to the multicast group. */
  readonly unicastPeer: Uint8Array | undefined;
  /** The virtual addresses, in any order. */
  readonly addresses: readonly Uint8Array[];
};

export type AcceptedAdvert = {
  readonly priority: number;
  readonly advertIntervalMs: number;
  readonly source: Uint8Array;
  readonly checksumForm: ChecksumForm;
  /** False is a fault in one of the two configurations; the advert counts all the same. */
  readonly addressesMatch: boolean;
};

/** Every reason is also the name under which it is counted. */
export const dropReasons = [
  ...ipv4DropReasons,
  'protocol',
  'own-packet',
  'ttl',
  'destination',
  ...advertDropReasons,
  'version-mismatch',
  'vrid',
  'unicast-source',
  'interval-mismatch',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** Judges an IPv4 packet as a raw socket delivers it, header included. */
export function acceptPacket(view: RouterView, bytes: Uint8Array): Result<AcceptedAdvert, DropReason> {
  const packet = decodeIpv4Packet(bytes);
  if (!packet.ok) return packet;
  const { ttl, protocol, source, destination, payload } = packet.value;
  if (protocol !== vrrpProtocol) return fail('protocol');
  if (compareIp(source, view.ownAddress) === 0) return fail('own-packet');
  if (ttl !== vrrpTtl) return fail('ttl');
  const expected = view.unicastPeer === undefined ? vrrpGroupIpv4 : view.ownAddress;
  if (compareIp(destination, expected) !== 0) return fail('destination');
  const decoded = decodeAdvert(payload, { source, destination });
  if (!decoded.ok) return decoded;
  const { advert, checksumForm } = decoded.value;
  // Other virtual routers on the LAN are no fault, so they are told apart before anything is held against them.
  if (advert.vrid !== view.vrid) return fail('vrid');
  if (advert.version !== view.version) return fail('version-mismatch');
  if (view.unicastPeer !== undefined && compareIp(source, view.unicastPeer) !== 0) return fail('unicast-source');
  if (view.version === 2 && advert.advertIntervalMs !== view.advertIntervalMs) return fail('interval-mismatch');
  return ok({
    priority: advert.priority,
    advertIntervalMs: advert.advertIntervalMs,
    source,
    checksumForm,
    addressesMatch: areSameAddresses(advert.addresses, view.addresses),
  });
}

function areSameAddresses(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  if (a.length !== b.length) return false;
  const sortedB = b.toSorted(compareIp);
  return a.toSorted(compareIp).every((address, index) => {
    const other = sortedB[index];
    return other !== undefined && compareIp(address, other) === 0;
  });
}
