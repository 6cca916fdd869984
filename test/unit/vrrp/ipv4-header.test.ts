import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, internetChecksum, toHex } from '../../../src/base/index.ts';
import { decodeIpv4Packet, encodeVrrpIpv4Packet } from '../../../src/vrrp/index.ts';

const source = Uint8Array.of(192, 0, 2, 251);
const destination = Uint8Array.of(224, 0, 0, 18);
const payload = fromHex('310ac8020064defbc0000201c0000202');
const packet = encodeVrrpIpv4Packet(source, destination, payload);

function altered(changes: Readonly<Record<number, number>>): Uint8Array {
  const bytes = packet.slice();
  for (const [offset, value] of Object.entries(changes)) bytes[Number(offset)] = value;
  return bytes;
}

describe('encodeVrrpIpv4Packet', () => {
  it('writes TTL 255, TOS 0xc0, protocol 112 and a checksum that fits', () => {
    expect(toHex(packet.subarray(0, 20))).toBe('45c00024000040' + '00ff70' + 'd79b' + 'c00002fbe0000012');
    expect(internetChecksum(packet.subarray(0, 20))).toBe(0);
    expect(packet.subarray(20)).toEqual(payload);
  });
});

describe('decodeIpv4Packet', () => {
  it('finds what was encoded', () => {
    const value = { ttl: 255, protocol: 112, source, destination, payload };
    expect(decodeIpv4Packet(packet)).toEqual({ ok: true, value });
  });

  it("leaves out Ethernet's padding, by the total length", () => {
    const padded = concatBytes(packet, new Uint8Array(10));
    expect(decodeIpv4Packet(padded)).toMatchObject({ ok: true, value: { payload } });
  });

  it('skips options, by the header length', () => {
    const options = fromHex('94040000');
    const header = altered({ 0: 0x46, 3: 0x28 }).subarray(0, 20);
    expect(decodeIpv4Packet(concatBytes(header, options, payload))).toMatchObject({ ok: true, value: { payload } });
  });

  it('gives addresses that outlive the buffer, even a Buffer', () => {
    const buffer = Buffer.from(packet);
    const decoded = decodeIpv4Packet(buffer);
    buffer.fill(0);
    expect(decoded).toMatchObject({ ok: true, value: { source, destination } });
  });

  it.each([
    { what: 'nothing', bytes: new Uint8Array(), reason: 'ip-length' },
    { what: 'half a header', bytes: packet.subarray(0, 19), reason: 'ip-length' },
    { what: 'less than its total length', bytes: packet.subarray(0, 35), reason: 'ip-length' },
    { what: 'version 6', bytes: altered({ 0: 0x65 }), reason: 'ip-version' },
    { what: 'a header of four words', bytes: altered({ 0: 0x44 }), reason: 'ip-header-length' },
    { what: 'a header longer than the packet', bytes: altered({ 0: 0x4f }), reason: 'ip-header-length' },
    { what: 'a first fragment', bytes: altered({ 6: 0x20 }), reason: 'ip-fragment' },
    { what: 'a later fragment', bytes: altered({ 6: 0, 7: 1 }), reason: 'ip-fragment' },
  ])('refuses $what: $reason', ({ bytes, reason }) => {
    expect(decodeIpv4Packet(bytes)).toEqual({ ok: false, reason });
  });

  it('never throws, and never reads beyond the packet', () => {
    const nearlyRight = fc.uint8Array({ minLength: 20, maxLength: 100 }).map((bytes) => {
      bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x0f);
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 1500 }), nearlyRight), (bytes) => {
        const decoded = decodeIpv4Packet(bytes);
        if (decoded.ok) expect(decoded.value.payload.length).toBeLessThanOrEqual(bytes.length - 20);
      }),
    );
  });
});
