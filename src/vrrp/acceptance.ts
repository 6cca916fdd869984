/** The checks a router makes on every packet before it believes it (RFC 9568, section 7.1). */
import type { Result } from '../base/index.ts';
import { compareIp, fail, ok } from '../base/index.ts';
import type { Advert, AdvertPath, AdvertVersion, ChecksumForm } from './advert.ts';
import { advertDropReasons, decodeAdvert } from './advert.ts';
import type { AdvertStamp, Hmac } from './advert-trailer.ts';
import {
  authenticationDropReasons,
  challengeOf,
  checkChallenge,
  isChallenge,
  isEqual,
  openSeal,
  splitTrailer,
} from './advert-trailer.ts';
import { vrrpGroupOf, vrrpProtocol, vrrpTtl } from './ip-packet.ts';
import { decodeIpv4Packet, ipv4DropReasons } from './ipv4-header.ts';
import { decodeIpv6Packet, ipv6DropReasons } from './ipv6-header.ts';
import { replayDropReasons } from './replay-guard.ts';

/** What a virtual router knows of itself, as far as packets are judged by it. */
export type RouterView = {
  readonly version: AdvertVersion;
  readonly vrid: number;
  /** Version 2 alone insists that both intervals are equal; version 3 adopts the active router's. */
  readonly advertIntervalMs: number;
  /** Where adverts leave from: the primary IPv4 address of the interface, or its IPv6 link-local address. */
  readonly ownAddress: Uint8Array;
  /** Who else sends adverts, to our own address; undefined: anyone, to the multicast group. */
  readonly unicastPeer: Uint8Array | undefined;
  /** The virtual addresses, of the family of `ownAddress`; IPv6: the link-local one first. */
  readonly addresses: readonly Uint8Array[];
  /** Undefined: none is asked for. */
  readonly authentication: AuthenticationView | undefined;
};

export type AuthenticationView =
  /** Version 2's authentication type 1: eight bytes. It keeps out mistakes, not attackers. */
  | { readonly type: 'simple-text'; readonly password: Uint8Array }
  /** `isRequired` false: adverts without a seal are believed too, as long as a pair is being changed over. */
  | { readonly type: 'hmac-sha256'; readonly hmac: Hmac; readonly isRequired: boolean };

export type Accepted = AcceptedAdvert | AcceptedChallenge;

export type AcceptedAdvert = {
  readonly type: 'advert';
  readonly priority: number;
  readonly advertIntervalMs: number;
  readonly source: Uint8Array;
  readonly checksumForm: ChecksumForm;
  /** False is a fault in one of the two configurations; the advert counts all the same. */
  readonly addressesMatch: boolean;
  /** Likewise; the first IPv6 address must be the virtual router's link-local one (RFC 9568, 5.2.9). */
  readonly firstAddressMatches: boolean;
  /** With authentication by HMAC: to be shown to the replay guard before the advert is believed. */
  readonly stamp: AdvertStamp | undefined;
};

/** Another node asks an active router to prove that it lives now. */
export type AcceptedChallenge = { readonly type: 'challenge'; readonly question: Uint8Array };

/** Every reason is also the name under which it is counted. */
export const dropReasons = [
  ...new Set([...ipv4DropReasons, ...ipv6DropReasons]),
  'protocol',
  'own-packet',
  'ttl',
  'destination',
  ...advertDropReasons,
  'vrid',
  'version-mismatch',
  'unicast-source',
  'password',
  ...authenticationDropReasons,
  ...replayDropReasons,
  'interval-mismatch',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** Judges a whole IP packet of the family of our own address, header included. */
export function acceptPacket(view: RouterView, bytes: Uint8Array): Result<Accepted, DropReason> {
  const packet = view.ownAddress.length === 4 ? decodeIpv4Packet(bytes) : decodeIpv6Packet(bytes);
  if (!packet.ok) return packet;
  const { ttl, protocol, source, destination, payload } = packet.value;
  if (protocol !== vrrpProtocol) return fail('protocol');
  if (compareIp(source, view.ownAddress) === 0) return fail('own-packet');
  // In unicast too: a peer on another network would need this to be off, and so would anyone who forges its address.
  if (ttl !== vrrpTtl) return fail('ttl');
  const expected = view.unicastPeer === undefined ? vrrpGroupOf(view.ownAddress) : view.ownAddress;
  if (compareIp(destination, expected) !== 0) return fail('destination');
  const path = { source, destination };
  if (view.authentication?.type === 'hmac-sha256' && isChallenge(payload)) {
    return acceptChallenge(view, view.authentication.hmac, payload, path);
  }
  return acceptAdvert(view, payload, path);
}

function acceptAdvert(view: RouterView, payload: Uint8Array, path: AdvertPath): Result<AcceptedAdvert, DropReason> {
  // A seal that we have no key for is no fault of the advert: the other node's configuration is ahead of ours.
  const { message, isSealed } = splitTrailer(payload, path.source.length);
  const decoded = decodeAdvert(message, path);
  if (!decoded.ok) return decoded;
  const { advert, checksumForm } = decoded.value;
  // Other virtual routers on the LAN are no fault, so they are told apart before anything is held against them.
  if (advert.vrid !== view.vrid) return fail('vrid');
  if (advert.version !== view.version) return fail('version-mismatch');
  if (!isExpectedSource(view, path.source)) return fail('unicast-source');
  const authenticated = authenticate(view, advert, payload, path, isSealed);
  if (!authenticated.ok) return authenticated;
  const { priority, advertIntervalMs, addresses } = advert;
  if (view.version === 2 && advertIntervalMs !== view.advertIntervalMs) return fail('interval-mismatch');
  return ok({
    type: 'advert',
    priority,
    advertIntervalMs,
    source: path.source,
    checksumForm,
    addressesMatch: areSameAddresses(addresses, view.addresses),
    firstAddressMatches:
      path.source.length === 4 || areSameAddresses(addresses.slice(0, 1), view.addresses.slice(0, 1)),
    stamp: authenticated.value,
  });
}

function acceptChallenge(
  view: RouterView,
  hmac: Hmac,
  payload: Uint8Array,
  path: AdvertPath,
): Result<AcceptedChallenge, DropReason> {
  const { vrid, question } = challengeOf(payload);
  if (vrid !== view.vrid) return fail('vrid');
  if (!isExpectedSource(view, path.source)) return fail('unicast-source');
  const checked = checkChallenge(payload, path, hmac);
  return checked.ok ? ok({ type: 'challenge', question }) : checked;
}

function isExpectedSource({ unicastPeer }: RouterView, source: Uint8Array): boolean {
  return unicastPeer === undefined || compareIp(source, unicastPeer) === 0;
}

function authenticate(
  { version, authentication }: RouterView,
  { password }: Advert,
  payload: Uint8Array,
  path: AdvertPath,
  isSealed: boolean,
): Result<AdvertStamp | undefined, DropReason> {
  const expected = authentication?.type === 'simple-text' && version === 2 ? authentication.password : undefined;
  if ((password === undefined) !== (expected === undefined)) return fail('auth-type');
  if (password !== undefined && expected !== undefined && !isEqual(password, expected)) return fail('password');
  if (authentication?.type !== 'hmac-sha256') return ok(undefined);
  if (isSealed) return openSeal(payload, path, authentication.hmac);
  return authentication.isRequired ? fail('auth-missing') : ok(undefined);
}

function areSameAddresses(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  if (a.length !== b.length) return false;
  const sortedB = b.toSorted(compareIp);
  return a.toSorted(compareIp).every((address, index) => {
    const other = sortedB[index];
    return other !== undefined && compareIp(address, other) === 0;
  });
}
