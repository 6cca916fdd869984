import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIp, parseIp, prefixContains } from '../../../src/base/index.ts';
import { stickSource, stickSourceOf } from '../../../src/proxy/index.ts';

const whole = { ipv4: 32, ipv6: 128 };
const networks = { ipv4: 20, ipv6: 60 };
const bytes = (text: string): Uint8Array => parseIp(text) ?? new Uint8Array();

describe('what a client is known by', () => {
  it.each([
    ['192.0.2.7', whole, '192.0.2.7'],
    ['192.0.2.7', networks, '192.0.0.0/20'],
    ['192.0.31.7', networks, '192.0.16.0/20'],
    ['2001:db8::7', whole, '2001:db8::7'],
    ['2001:db8:0:1f::7', networks, '2001:db8:0:10::/60'],
    ['255.255.255.255', { ipv4: 1, ipv6: 1 }, '128.0.0.0/1'],
  ])('is of %s with %o %s', (address, prefix, source) => {
    expect(stickSource(bytes(address), prefix)).toBe(source);
  });

  it('is its network, of which it is a part, and the same for all in it', () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(address, fc.integer({ min: 1, max: 31 }), (client, bits) => {
        const source = stickSource(client, { ipv4: bits, ipv6: bits });
        const [network = '', length] = source.split('/');
        expect(length).toBe(String(bits));
        expect(prefixContains({ address: network, prefixLength: bits }, formatIp(client))).toBe(true);
        expect(stickSource(bytes(network), { ipv4: bits, ipv6: bits })).toBe(source);
      }),
    );
  });

  it('is found by an address and by itself, and by nothing else', () => {
    expect(stickSourceOf('192.0.2.7', networks)).toBe('192.0.0.0/20');
    expect(stickSourceOf('192.0.0.0/20', networks)).toBe('192.0.0.0/20');
    expect(stickSourceOf('192.0.0.0/24', networks)).toBeUndefined();
    expect(stickSourceOf('192.0.2.7/20', networks)).toBeUndefined();
    expect(stickSourceOf('192.0.0.0/20/1', networks)).toBeUndefined();
    expect(stickSourceOf('client', networks)).toBeUndefined();
    expect(stickSourceOf('2001:DB8::7', whole)).toBe('2001:db8::7');
  });
});
