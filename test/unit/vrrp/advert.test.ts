import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, internetChecksum, parseIp, toHex, viewOf } from '../../../src/base/index.ts';
import type { Advert, AdvertPath, ChecksumForm } from '../../../src/vrrp/index.ts';
import { decodeAdvert, encodeAdvert } from '../../../src/vrrp/index.ts';

const address = (text: string): Uint8Array => parseIp(text) ?? new Uint8Array();
const pathOf = (source: string, destination: string): AdvertPath => ({
  source: address(source),
  destination: address(destination),
});

const multicast = pathOf('192.0.2.251', '224.0.0.18');
const twoAddresses = [address('192.0.2.1'), address('192.0.2.2')];
const v3: Advert = { version: 3, vrid: 10, priority: 200, advertIntervalMs: 1000, addresses: twoAddresses };

const password = new TextEncoder().encode('secret\0\0');

type Golden = { name: string; advert: Advert; path: AdvertPath; form: ChecksumForm; hex: string };

const goldenPackets: readonly Golden[] = [
  {
    name: 'v2 over IPv4',
    advert: { ...v3, version: 2 },
    path: multicast,
    form: 'message-only',
    hex: '210ac802000192edc0000201c00002020000000000000000',
  },
  {
    name: 'v3 over IPv4, message only',
    advert: v3,
    path: multicast,
    form: 'message-only',
    hex: '310ac8020064828ac0000201c0000202',
  },
  {
    name: 'v3 over IPv4, pseudo-header',
    advert: v3,
    path: multicast,
    form: 'pseudo-header',
    hex: '310ac8020064defbc0000201c0000202',
  },
  {
    name: 'v3 over IPv4, pseudo-header, unicast',
    advert: v3,
    path: pathOf('192.0.2.251', '192.0.2.252'),
    form: 'pseudo-header',
    hex: '310ac8020064fc11c0000201c0000202',
  },
  {
    name: 'v3 over IPv6',
    advert: { ...v3, priority: 100, addresses: [address('fe80::1'), address('2001:db8::1')] },
    path: pathOf('fe80::c8', 'ff02::12'),
    form: 'pseudo-header',
    hex: `310a640200643f5d ${toHex(address('fe80::1'))} ${toHex(address('2001:db8::1'))}`,
  },
  {
    // As keepalived 2.2.7 sends it with auth_type PASS.
    name: 'v2 over IPv4, simple text',
    advert: { ...v3, version: 2, priority: 90, addresses: [address('10.88.0.100')], password },
    path: pathOf('10.88.0.2', '224.0.0.18'),
    form: 'message-only',
    hex: '210a5a0101013ceb' + '0a580064' + '7365637265740000',
  },
];

/** The golden message with some bytes replaced and, unless it is what is to be wrong, a checksum that fits. */
function altered(changes: Readonly<Record<number, number>>, hex = goldenPackets[1]?.hex ?? ''): Uint8Array {
  const message = fromHex(hex);
  for (const [offset, value] of Object.entries(changes)) message[Number(offset)] = value;
  return withChecksum(message);
}

function withChecksum(message: Uint8Array): Uint8Array {
  const view = viewOf(message);
  view.setUint16(6, 0);
  view.setUint16(6, internetChecksum(message));
  return message;
}

describe('golden packets', () => {
  it.each(goldenPackets)('$name is written as it is', ({ advert, path, form, hex }) => {
    expect(toHex(encodeAdvert(advert, path, form))).toBe(hex.replaceAll(' ', ''));
  });

  it.each(goldenPackets)('$name is read back, with its form of checksum', ({ advert, path, form, hex }) => {
    expect(decodeAdvert(fromHex(hex), path)).toEqual({ ok: true, value: { advert, checksumForm: form } });
  });

  it('has no choice of form but for v3 over IPv4', () => {
    for (const { name, advert, path, hex } of goldenPackets) {
      if (name.startsWith('v3 over IPv4')) continue;
      expect(toHex(encodeAdvert(advert, path, 'pseudo-header'))).toBe(hex.replaceAll(' ', ''));
      expect(toHex(encodeAdvert(advert, path, 'message-only'))).toBe(hex.replaceAll(' ', ''));
    }
  });
});

describe('decodeAdvert', () => {
  const v2Hex = goldenPackets[0]?.hex ?? '';
  it.each([
    { what: 'nothing', message: new Uint8Array(), reason: 'length' },
    { what: 'a header cut short', message: altered({}).subarray(0, 7), reason: 'length' },
    { what: 'fewer addresses than it says', message: altered({ 3: 3 }), reason: 'length' },
    { what: 'more addresses than it says', message: altered({ 3: 1 }), reason: 'length' },
    { what: 'a count of 255 and two addresses', message: altered({ 3: 255 }), reason: 'length' },
    { what: "version 2's trailer on version 3", message: altered({ 0: 0x31 }, v2Hex), reason: 'length' },
    { what: 'version 2 without its trailer', message: altered({ 0: 0x21 }), reason: 'length' },
    { what: 'version 1', message: altered({ 0: 0x11 }), reason: 'version' },
    { what: 'version 4', message: altered({ 0: 0x41 }), reason: 'version' },
    { what: 'type 2', message: altered({ 0: 0x32 }), reason: 'type' },
    { what: 'no address', message: withChecksum(altered({ 3: 0 }).slice(0, 8)), reason: 'address-count' },
    { what: 'an interval of 0', message: altered({ 4: 0, 5: 0 }), reason: 'interval-zero' },
    { what: 'an interval of 0 below reserved bits', message: altered({ 4: 0xf0, 5: 0 }), reason: 'interval-zero' },
    { what: 'version 2, an interval of 0', message: altered({ 5: 0 }, v2Hex), reason: 'interval-zero' },
    { what: 'version 2 with an IP authentication header', message: altered({ 4: 2 }, v2Hex), reason: 'auth-type' },
  ])('refuses $what for its $reason', ({ message, reason }) => {
    expect(decodeAdvert(message, multicast)).toEqual({ ok: false, reason });
  });

  it('refuses a wrong checksum, and one over another pseudo-header', () => {
    const message = fromHex(goldenPackets[2]?.hex ?? '');
    expect(decodeAdvert(message, pathOf('192.0.2.252', '224.0.0.18'))).toEqual({ ok: false, reason: 'checksum' });
    message[2] = 201;
    expect(decodeAdvert(message, multicast)).toEqual({ ok: false, reason: 'checksum' });
  });

  it('refuses version 2 and a message-only checksum over IPv6', () => {
    const path = pathOf('fe80::c8', 'ff02::12');
    const message = fromHex(goldenPackets[4]?.hex ?? '');
    expect(decodeAdvert(withChecksum(message.slice()), path)).toEqual({ ok: false, reason: 'checksum' });
    message[0] = 0x21;
    expect(decodeAdvert(message, path)).toEqual({ ok: false, reason: 'version' });
  });

  it('does not take reserved bits for a part of the interval', () => {
    const decoded = decodeAdvert(altered({ 4: 0xf0, 5: 0x64 }), multicast);
    expect(decoded).toMatchObject({ ok: true, value: { advert: { advertIntervalMs: 1000 } } });
  });

  it('never throws on bytes, be they random or nearly right', () => {
    const versionBytes = fc.constantFrom(0x21, 0x31, 0x11, 0x32);
    const nearlyRight = fc
      .tuple(versionBytes, fc.uint8Array({ minLength: 7, maxLength: 120 }))
      .map(([first, rest]) => withChecksum(Uint8Array.of(first, ...rest)));
    const paths = fc.constantFrom(multicast, pathOf('fe80::1', 'ff02::12'));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 1500 }), nearlyRight), paths, (message, path) => {
        const decoded = decodeAdvert(message, path);
        if (decoded.ok) expect(decoded.value.advert.addresses.length).toBe(message[3]);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('every kind of advert', () => {
  const kinds = [
    { version: 2, path: multicast, intervalsMs: [1000, 255_000] },
    { version: 3, path: multicast, intervalsMs: [10, 40_950] },
    { version: 3, path: pathOf('fe80::c8', 'ff02::12'), intervalsMs: [10, 40_950] },
  ] as const;
  const counts = [1, 3, 16, 255];
  const priorities = [0, 1, 100, 254, 255];

  it('comes back as it was sent: no address lost, no interval rounded', () => {
    for (const { version, path, intervalsMs } of kinds) {
      for (const count of counts) {
        const addresses = Array.from({ length: count }, (_, index) =>
          path.source.map((byte, at) => (at === path.source.length - 1 ? index : byte)),
        );
        for (const priority of priorities) {
          for (const advertIntervalMs of intervalsMs) {
            const sent: Advert = { version, vrid: 255, priority, advertIntervalMs, addresses };
            const decoded = decodeAdvert(encodeAdvert(sent, path, 'pseudo-header'), path);
            expect(decoded).toMatchObject({ ok: true, value: { advert: sent } });
          }
        }
      }
    }
  });
});

describe('encodeAdvert', () => {
  const adverts = fc.oneof(advertOf(3, 4), advertOf(3, 16), advertOf(2, 4));

  it('is undone by decodeAdvert', () => {
    const forms = fc.constantFrom<ChecksumForm>('pseudo-header', 'message-only');
    fc.assert(
      fc.property(adverts, forms, ({ advert, path }, form) => {
        const decoded = decodeAdvert(encodeAdvert(advert, path, form), path);
        expect(decoded).toMatchObject({ ok: true, value: { advert } });
      }),
      { numRuns: 500 },
    );
  });

  it('takes the bounds of the interval, and nothing beyond or between', () => {
    const encode = (version: 2 | 3, advertIntervalMs: number) => () =>
      encodeAdvert({ ...v3, version, advertIntervalMs }, multicast, 'pseudo-header');
    for (const intervalMs of [10, 40950]) expect(encode(3, intervalMs)).not.toThrow();
    for (const intervalMs of [0, 5, 15, 40960]) expect(encode(3, intervalMs)).toThrow('broken invariant');
    for (const intervalMs of [1000, 255000]) expect(encode(2, intervalMs)).not.toThrow();
    for (const intervalMs of [0, 100, 256000]) expect(encode(2, intervalMs)).toThrow('broken invariant');
  });

  it('takes a password of eight bytes, in version 2 alone', () => {
    const encode = (version: 2 | 3, bytes: Uint8Array) => () =>
      encodeAdvert({ ...v3, version, password: bytes }, multicast, 'pseudo-header');
    expect(encode(2, password)).not.toThrow();
    expect(encode(2, password.subarray(1))).toThrow('padded to its field');
    expect(encode(3, password)).toThrow('version 2 alone');
  });

  it('insists on addresses, of the family that carries it', () => {
    const encode = (addresses: readonly Uint8Array[]) => () =>
      encodeAdvert({ ...v3, addresses }, multicast, 'pseudo-header');
    expect(encode([])).toThrow('1..255 addresses');
    expect(encode(Array.from({ length: 256 }, () => new Uint8Array(4)))).toThrow('1..255 addresses');
    expect(encode([address('2001:db8::1')])).toThrow('family');
  });

  function advertOf(version: 2 | 3, family: 4 | 16): fc.Arbitrary<{ advert: Advert; path: AdvertPath }> {
    const bytes = fc.uint8Array({ minLength: family, maxLength: family });
    const units = version === 3 ? fc.integer({ min: 1, max: 4095 }) : fc.integer({ min: 1, max: 255 });
    return fc.record({
      advert: fc.record({
        version: fc.constant(version),
        vrid: fc.integer({ min: 1, max: 255 }),
        priority: fc.integer({ min: 0, max: 255 }),
        advertIntervalMs: units.map((count) => count * (version === 3 ? 10 : 1000)),
        addresses: fc.array(bytes, { minLength: 1, maxLength: 16 }),
      }),
      path: fc.record({ source: bytes, destination: bytes }),
    });
  }
});
