import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIp } from '../../../src/base/index.ts';
import type { Advert, ChecksumForm, RouterView } from '../../../src/vrrp/index.ts';
import { acceptPacket, dropReasons, encodeAdvert, encodeVrrpIpv4Packet } from '../../../src/vrrp/index.ts';

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
};
const unicastView: RouterView = { ...multicastView, unicastPeer: peer };
const v2View: RouterView = { ...multicastView, version: 2 };
const advert: Advert = { version: 3, vrid: 10, priority: 200, advertIntervalMs: 100, addresses };

type Travel = { advert?: Partial<Advert>; source?: Uint8Array; destination?: Uint8Array; form?: ChecksumForm };

function packetOf(travel: Travel = {}): Uint8Array {
  const { source = peer, destination = group, form = 'pseudo-header' } = travel;
  const message = encodeAdvert({ ...advert, ...travel.advert }, { source, destination }, form);
  return encodeVrrpIpv4Packet(source, destination, message);
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
      value: { priority: 200, advertIntervalMs: 100, source: peer, checksumForm: form, addressesMatch: true },
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
    { what: 'a password', bytes: withPassword(), reason: 'auth-type', view: v2View },
  ];

  it.each(drops)('drops $what: $reason', ({ bytes, reason, view = multicastView }) => {
    expect(acceptPacket(view, bytes)).toEqual({ ok: false, reason });
  });

  it('has an example here for each reason', () => {
    expect(new Set(drops.map(({ reason }) => reason))).toEqual(new Set(dropReasons));
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

/** One's complement: what is taken off the interval's word goes onto the checksum. */
function withZeroInterval(): Uint8Array {
  const view = new DataView(packetOf().buffer);
  const sum = view.getUint16(26) + view.getUint16(24);
  view.setUint16(24, 0);
  view.setUint16(26, sum > 0xffff ? sum - 0xffff : sum);
  return new Uint8Array(view.buffer);
}

function withPassword(): Uint8Array {
  const view = new DataView(packetOf({ advert: { version: 2, advertIntervalMs: 1000 } }).buffer);
  const sum = view.getUint16(26) - 0x0100;
  view.setUint8(24, 1);
  view.setUint16(26, sum < 0 ? sum + 0xffff : sum);
  return new Uint8Array(view.buffer);
}
