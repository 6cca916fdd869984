import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, parseIp, toHex } from '../../../src/base/index.ts';
import { decodeIpv6Packet, encodeVrrpIpv6Packet, vrrpGroupIpv6 } from '../../../src/vrrp/index.ts';

const source = parseIp('fe80::c8') ?? new Uint8Array();
const payload = fromHex('310a640100640000');
const packet = encodeVrrpIpv6Packet(source, vrrpGroupIpv6, payload);

describe('encodeVrrpIpv6Packet', () => {
  it('writes hop limit 255, traffic class 0xc0, next header 112 and both addresses', () => {
    const addresses = `fe80${'00'.repeat(13)}c8ff02${'00'.repeat(13)}12`;
    expect(toHex(packet.subarray(0, 40))).toBe(`6c000000000870ff${addresses}`);
    expect(packet.subarray(40)).toEqual(payload);
  });
});

describe('decodeIpv6Packet', () => {
  it('finds what was encoded, and leaves out what follows the payload', () => {
    const value = { ttl: 255, protocol: 112, source, destination: vrrpGroupIpv6, payload };
    expect(decodeIpv6Packet(packet)).toEqual({ ok: true, value });
    expect(decodeIpv6Packet(concatBytes(packet, new Uint8Array(6)))).toEqual({ ok: true, value });
  });

  it('gives addresses that outlive the buffer, even a Buffer', () => {
    const buffer = Buffer.from(packet);
    const decoded = decodeIpv6Packet(buffer);
    buffer.fill(0);
    expect(decoded).toMatchObject({ ok: true, value: { source, destination: vrrpGroupIpv6 } });
  });

  it.each([
    { what: 'nothing', bytes: new Uint8Array(), reason: 'ip-length' },
    { what: 'half a header', bytes: packet.subarray(0, 39), reason: 'ip-length' },
    { what: 'less than its payload', bytes: packet.subarray(0, 47), reason: 'ip-length' },
    { what: 'version 4', bytes: Uint8Array.of(0x45, ...packet.subarray(1)), reason: 'ip-version' },
  ])('refuses $what: $reason', ({ bytes, reason }) => {
    expect(decodeIpv6Packet(bytes)).toEqual({ ok: false, reason });
  });
});
