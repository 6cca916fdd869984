import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareIp, formatIp, ipFamily, parseIp, parsePrefix, prefixContains } from '../../../src/base/index.ts';

describe('parseIp', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ])('reads %s as %s', (text, canonical) => {
    const bytes = parseIp(text);
    expect(bytes && formatIp(bytes)).toBe(canonical);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4.5',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    'g::',
    '1.2.3.4::',
    '1:2:3:4:5:6:7::8:9',
    'fe80::1%eth0',
    '12345::',
  ])('refuses %j', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it('agrees with Node on any IPv4 and IPv6 text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 20 })), (text) => {
        const expected = text.includes('%') ? 0 : isIP(text);
        expect(ipFamily(text) ?? 0).toBe(expected);
      }),
    );
  });

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(parseIp(formatIp(bytes))).toEqual(bytes);
      }),
    );
  });
});

describe('prefixes', () => {
  it('take the whole address where no length is given', () => {
    expect(parsePrefix('192.0.2.1')).toEqual({ address: '192.0.2.1', prefixLength: 32 });
    expect(parsePrefix('2001:db8::1')).toEqual({ address: '2001:db8::1', prefixLength: 128 });
  });

  it.each(['192.0.2.1/33', '192.0.2.1/', '192.0.2.1/a', '192.0.2.1/24/1', 'x/24', '::/129'])('refuse %s', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });

  it.each([
    ['192.0.2.0/24', '192.0.2.255', true],
    ['192.0.2.0/24', '192.0.3.0', false],
    ['192.0.2.128/25', '192.0.2.127', false],
    ['10.0.0.0/9', '10.127.0.1', true],
    ['10.0.0.0/9', '10.128.0.1', false],
    ['0.0.0.0/0', '203.0.113.7', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['192.0.2.0/24', '2001:db8::1', false],
  ])('%s holds %s: %s', (prefix, address, expected) => {
    const parsed = parsePrefix(prefix);
    expect(parsed && prefixContains(parsed, address)).toBe(expected);
  });
});

describe('compareIp', () => {
  it('compares numbers, not text', () => {
    const bytes = (text: string): Uint8Array => parseIp(text) ?? new Uint8Array();
    expect(compareIp(bytes('10.0.0.9'), bytes('10.0.0.10'))).toBeLessThan(0);
    expect(compareIp(bytes('200.0.0.1'), bytes('100.0.0.1'))).toBeGreaterThan(0);
    expect(compareIp(bytes('10.0.0.1'), bytes('10.0.0.1'))).toBe(0);
  });
});
