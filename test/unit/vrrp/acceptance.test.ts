import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, parseIp } from '../../../src/base/index.ts';
import type { Advert, ChecksumForm, DropReason, RouterView } from '../../../src/vrrp/index.ts';
import {
  acceptPacket,
  dropReasons,
  encodeAdvert,
  encodeChallenge,
  encodeVrrpIpv4Packet,
  encodeVrrpIpv6Packet,
  sealAdvert,
  vrrpGroupIpv6,
} from '../../../src/vrrp/index.ts';
import { hmacOf, nonce, stampOf } from './hmac.ts';

const address = (text: string): Uint8Array => parseIp(text) ?? new Uint8Array();
const own = address('192.0.2.251');
const peer = address('192.0.2.252');
const stranger = address('192.0.2.99');
const group = address('224.0.0.18');
const addresses = [address('192.0.2.1'), address('192.0.2.2')];

const multicastView: RouterView = {
  version: 3,
  vrid: 10,
  advertIntervalMs: 1000,
  ownAddress: own,
  unicastPeer: undefined,
  addresses,
  authentication: undefined,
};
const unicastView: RouterView = { ...multicastView, unicastPeer: peer };
const v2View: RouterView = { ...multicastView, version: 2 };
const secret = new TextEncoder().encode('secret\0\0');
const passwordView: RouterView = { ...v2View, authentication: { type: 'simple-text', password: secret } };
const hmac = hmacOf({ 1: 'old key', 2: 'new key' });
const sealedView: RouterView = { ...multicastView, authentication: { type: 'hmac-sha256', hmac, isRequired: true } };
const advert: Advert = { version: 3, vrid: 10, priority: 200, advertIntervalMs: 100, addresses };

type Travel = { advert?: Partial<Advert>; source?: Uint8Array; destination?: Uint8Array; form?: ChecksumForm };

function packetOf(travel: Travel = {}): Uint8Array {
  const { source = peer, destination = group, form = 'pseudo-header' } = travel;
  const message = encodeAdvert({ ...advert, ...travel.advert }, { source, destination }, form);
  return encodeVrrpIpv4Packet(source, destination, message);
}

function sealed(keyId: number, key = hmac): Uint8Array {
  const path = { source: peer, destination: group };
  const message = encodeAdvert(advert, path, 'pseudo-header');
  return encodeVrrpIpv4Packet(peer, group, sealAdvert(message, path, stampOf({ keyId }), key));
}

function challenge(changes: { vrid?: number; keyId?: number; source?: Uint8Array; destination?: Uint8Array } = {}) {
  const { vrid = 10, keyId = 1, source = peer, destination = group } = changes;
  const question = { version: 3, vrid, keyId, question: nonce(7) } as const;
  return encodeVrrpIpv4Packet(source, destination, encodeChallenge(question, { source, destination }, hmac));
}

function altered(changes: Readonly<Record<number, number>>): Uint8Array {
  const bytes = packetOf();
  for (const [offset, value] of Object.entries(changes)) bytes[Number(offset)] = value;
  return bytes;
}

describe('acceptPacket', () => {
  it.each<ChecksumForm>(['pseudo-header', 'message-only'])('accepts and tells a checksum over %s', (form) => {
    expect(acceptPacket(multicastView, packetOf({ form }))).toEqual({
      ok: true,
      value: {
        type: 'advert',
        priority: 200,
        advertIntervalMs: 100,
        source: peer,
        checksumForm: form,
        addressesMatch: true,
        firstAddressMatches: true,
        stamp: undefined,
      },
    });
  });

  it('accepts from the unicast peer what is sent to our address', () => {
    expect(acceptPacket(unicastView, packetOf({ destination: own }))).toMatchObject({ ok: true });
  });

  it('accepts version 2 with our interval', () => {
    const packet = packetOf({ advert: { version: 2, advertIntervalMs: 1000 } });
    expect(acceptPacket(v2View, packet)).toMatchObject({ ok: true, value: { advertIntervalMs: 1000 } });
  });

  it('does not mind the order of the addresses', () => {
    const packet = packetOf({ advert: { addresses: addresses.toReversed() } });
    expect(acceptPacket(multicastView, packet)).toMatchObject({ ok: true, value: { addressesMatch: true } });
  });

  it.each([
    { what: 'a missing address', list: addresses.slice(1) },
    { what: 'another address', list: [addresses[0] ?? own, stranger] },
    { what: 'one address twice', list: [addresses[0] ?? own, addresses[0] ?? own] },
  ])('reports $what but accepts the advert', ({ list }) => {
    const packet = packetOf({ advert: { addresses: list } });
    expect(acceptPacket(multicastView, packet)).toMatchObject({ ok: true, value: { addressesMatch: false } });
  });

  const drops = [
    { what: 'half a header', bytes: packetOf().subarray(0, 12), reason: 'ip-length' },
    { what: 'IPv6', bytes: altered({ 0: 0x60 }), reason: 'ip-version' },
    { what: 'an impossible header length', bytes: altered({ 0: 0x41 }), reason: 'ip-header-length' },
    { what: 'a fragment', bytes: altered({ 6: 0x20 }), reason: 'ip-fragment' },
    { what: 'another protocol', bytes: altered({ 9: 6 }), reason: 'protocol' },
    { what: 'what we sent ourselves', bytes: packetOf({ source: own }), reason: 'own-packet' },
    { what: 'what came through a router', bytes: altered({ 8: 254 }), reason: 'ttl' },
    { what: 'unicast where multicast is due', bytes: packetOf({ destination: own }), reason: 'destination' },
    { what: 'multicast where unicast is due', bytes: packetOf(), reason: 'destination', view: unicastView },
    {
      what: 'a stranger in unicast',
      bytes: packetOf({ source: stranger, destination: own }),
      reason: 'unicast-source',
      view: unicastView,
    },
    { what: 'a message cut short', bytes: altered({ 3: 20 + 12 }), reason: 'length' },
    { what: 'VRRP version 1', bytes: altered({ 20: 0x11 }), reason: 'version' },
    { what: 'another type', bytes: altered({ 20: 0x32 }), reason: 'type' },
    { what: 'a changed byte', bytes: altered({ 22: 254 }), reason: 'checksum' },
    { what: 'no address', bytes: altered({ 23: 0 }), reason: 'address-count' },
    { what: 'another virtual router', bytes: packetOf({ advert: { vrid: 11 } }), reason: 'vrid' },
    {
      what: 'version 2 of another virtual router',
      bytes: packetOf({ advert: { version: 2, vrid: 11, advertIntervalMs: 1000 } }),
      reason: 'vrid',
    },
    {
      what: 'our VRID in version 2',
      bytes: packetOf({ advert: { version: 2, advertIntervalMs: 1000 } }),
      reason: 'version-mismatch',
    },
    { what: 'our VRID in version 3 when we speak 2', bytes: packetOf(), reason: 'version-mismatch', view: v2View },
    {
      what: 'another interval in version 2',
      bytes: packetOf({ advert: { version: 2, advertIntervalMs: 2000 } }),
      reason: 'interval-mismatch',
      view: v2View,
    },
    { what: 'a zero interval', bytes: withZeroInterval(), reason: 'interval-zero' },
    { what: 'a password when we have none', bytes: withPassword('secret'), reason: 'auth-type', view: v2View },
    {
      what: 'no password when we have one',
      bytes: packetOf({ advert: { version: 2, advertIntervalMs: 1000 } }),
      reason: 'auth-type',
      view: passwordView,
    },
    { what: 'a wrong password', bytes: withPassword('Secret'), reason: 'password', view: passwordView },
    { what: 'no seal where one is required', bytes: packetOf(), reason: 'auth-missing', view: sealedView },
    { what: 'a seal by an unknown key', bytes: sealed(3, hmacOf({ 3: 'x' })), reason: 'auth-key', view: sealedView },
    { what: 'a seal by another key', bytes: sealed(1, hmacOf({ 1: 'x' })), reason: 'auth-mac', view: sealedView },
    { what: "another router's challenge", bytes: challenge({ vrid: 11 }), reason: 'vrid', view: sealedView },
    { what: 'a challenge where there are no seals', bytes: challenge(), reason: 'type' },
    {
      what: "a stranger's challenge in unicast",
      bytes: challenge({ source: stranger, destination: own }),
      reason: 'unicast-source',
      view: { ...sealedView, unicastPeer: peer },
    },
    {
      what: 'a challenge by another key',
      bytes: challenge(),
      reason: 'auth-mac',
      view: { ...sealedView, authentication: { type: 'hmac-sha256', hmac: hmacOf({ 1: 'x' }), isRequired: true } },
    },
  ] as const satisfies readonly { what: string; bytes: Uint8Array; reason: DropReason; view?: RouterView }[];

  it.each<{ what: string; bytes: Uint8Array; reason: DropReason; view?: RouterView }>(drops)(
    'drops $what: $reason',
    ({ bytes, reason, view = multicastView }) => {
      expect(acceptPacket(view, bytes)).toEqual({ ok: false, reason });
    },
  );

  it('has an example here for each reason but those of the replay guard', () => {
    const reasons = [...drops.map(({ reason }) => reason), 'auth-replay', 'auth-unknown-life'];
    expect(new Set(reasons)).toEqual(new Set(dropReasons));
  });

  it('accepts the right password, and no other authentication in version 3', () => {
    expect(acceptPacket(passwordView, withPassword('secret'))).toMatchObject({ ok: true });
    expect(acceptPacket({ ...passwordView, version: 3 }, packetOf())).toMatchObject({ ok: true });
  });

  it.each([1, 2])('accepts a seal by key %i, and tells its stamp', (keyId) => {
    const accepted = acceptPacket(sealedView, sealed(keyId));
    expect(accepted).toMatchObject({ ok: true, value: { priority: 200, stamp: stampOf({ keyId }) } });
  });

  it('accepts adverts without a seal when none is required, but none with a wrong one', () => {
    const view: RouterView = { ...sealedView, authentication: { type: 'hmac-sha256', hmac, isRequired: false } };
    expect(acceptPacket(view, packetOf())).toMatchObject({ ok: true, value: { stamp: undefined } });
    expect(acceptPacket(view, sealed(1, hmacOf({ 1: 'x' })))).toEqual({ ok: false, reason: 'auth-mac' });
  });

  it('does not mind a seal when it has no key', () => {
    expect(acceptPacket(multicastView, sealed(1))).toMatchObject({ ok: true, value: { stamp: undefined } });
  });

  it('accepts a challenge', () => {
    const value = { type: 'challenge', question: nonce(7) };
    expect(acceptPacket(sealedView, challenge())).toEqual({ ok: true, value });
  });

  it('never throws on bytes', () => {
    const mangled = fc
      .tuple(fc.nat(35), fc.integer({ min: 0, max: 255 }))
      .map(([offset, value]) => altered({ [offset]: value }));
    fc.assert(
      fc.property(fc.oneof(mangled, fc.uint8Array({ maxLength: 1500 })), (bytes) => {
        const accepted = acceptPacket(multicastView, bytes);
        if (!accepted.ok) expect(dropReasons).toContain(accepted.reason);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('acceptPacket over IPv6', () => {
  const linkLocal = address('fe80::1');
  const global = address('2001:db8::1');
  const [own6, peer6] = [address('fe80::a'), address('fe80::b')];
  const view: RouterView = { ...multicastView, ownAddress: own6, addresses: [linkLocal, global] };

  function packet6(changes: Travel & { hopLimit?: number } = {}): Uint8Array {
    const { source = peer6, destination = vrrpGroupIpv6, hopLimit = 255 } = changes;
    const addresses = [linkLocal, global];
    const message = encodeAdvert({ ...advert, addresses, ...changes.advert }, { source, destination }, 'pseudo-header');
    const bytes = encodeVrrpIpv6Packet(source, destination, message);
    bytes[7] = hopLimit;
    return bytes;
  }

  it('accepts multicast, and unicast from the peer', () => {
    const value = { priority: 200, source: peer6, addressesMatch: true, firstAddressMatches: true };
    expect(acceptPacket(view, packet6())).toMatchObject({ ok: true, value });
    expect(acceptPacket({ ...view, unicastPeer: peer6 }, packet6({ destination: own6 }))).toMatchObject({ ok: true });
  });

  it.each([
    { what: 'the link-local address is not the first', list: [global, linkLocal], match: true },
    { what: 'there is no link-local address', list: [global], match: false },
  ])('reports that $what, but accepts the advert', ({ list, match }) => {
    const accepted = acceptPacket(view, packet6({ advert: { addresses: list } }));
    expect(accepted).toMatchObject({ ok: true, value: { firstAddressMatches: false, addressesMatch: match } });
  });

  it.each([
    { what: 'what came through a router', bytes: packet6({ hopLimit: 254 }), reason: 'ttl' },
    { what: 'what we sent ourselves', bytes: packet6({ source: own6 }), reason: 'own-packet' },
    { what: 'another destination', bytes: packet6({ destination: address('ff02::1') }), reason: 'destination' },
    { what: 'IPv4', bytes: concatBytes(packetOf(), new Uint8Array(20)), reason: 'ip-version' },
    {
      what: 'a stranger in unicast',
      bytes: packet6({ source: address('fe80::c'), destination: own6 }),
      reason: 'unicast-source',
      view: { ...view, unicastPeer: peer6 },
    },
    { what: 'another virtual router', bytes: packet6({ advert: { vrid: 11 } }), reason: 'vrid' },
  ])('drops $what: $reason', ({ bytes, reason, view: other = view }) => {
    expect(acceptPacket(other, bytes)).toEqual({ ok: false, reason });
  });

  it('drops a checksum over other addresses', () => {
    const bytes = packet6();
    bytes[23] = 0x0c;
    expect(acceptPacket(view, bytes)).toEqual({ ok: false, reason: 'checksum' });
  });

  it('has nothing to do with IPv4 of the same VRID', () => {
    expect(acceptPacket(multicastView, packet6())).toEqual({ ok: false, reason: 'ip-version' });
  });
});

/** One's complement: what is taken off the interval's word goes onto the checksum. */
function withZeroInterval(): Uint8Array {
  const view = new DataView(packetOf().buffer);
  const sum = view.getUint16(26) + view.getUint16(24);
  view.setUint16(24, 0);
  view.setUint16(26, sum > 0xffff ? sum - 0xffff : sum);
  return new Uint8Array(view.buffer);
}

function withPassword(text: string): Uint8Array {
  const password = new TextEncoder().encode(text.padEnd(8, '\0'));
  return packetOf({ advert: { version: 2, advertIntervalMs: 1000, password } });
}
