import { expect, test } from 'vitest';
import { concatBytes, fromHex, internetChecksum, toHex } from '../../../src/base/index.ts';
import { encodeUnsolicitedAdvertisement } from '../../../src/vip/index.ts';

const frame = encodeUnsolicitedAdvertisement('2001:db8::10', fromHex('02 00 5e 10 00 01'), true);

test('an unsolicited advertisement goes from the VIP to all nodes with hop limit 255', () => {
  expect(toHex(frame.subarray(0, 54))).toBe(
    '333300000001' +
      '02005e100001' +
      '86dd' +
      '60000000' +
      '0020' +
      '3a' +
      'ff' +
      '20010db8000000000000000000000010' +
      'ff020000000000000000000000000001',
  );
});

test('it says router and override, not solicited, and carries the MAC as the target link-layer address', () => {
  const message = frame.subarray(54);
  expect(toHex(message.subarray(0, 2))).toBe('8800');
  expect(toHex(message.subarray(4))).toBe('a0000000' + '20010db8000000000000000000000010' + '020102005e100001');
});

test('from a host that does not forward it does not say router, and its checksum is right all the same', () => {
  const fromHost = encodeUnsolicitedAdvertisement('2001:db8::10', fromHex('02 00 5e 10 00 01'), false);
  expect(fromHost[58]).toBe(0x20);
  const pseudoHeader = concatBytes(fromHost.subarray(22, 54), fromHex('00000020 0000003a'));
  expect(internetChecksum(pseudoHeader, fromHost.subarray(54))).toBe(0);
});

test('its checksum covers the pseudo-header (RFC 8200, 8.1)', () => {
  const pseudoHeader = concatBytes(frame.subarray(22, 54), fromHex('00000020 0000003a'));
  expect(internetChecksum(pseudoHeader, frame.subarray(54))).toBe(0);
});

test('an IPv4 address is a bug of the caller', () => {
  expect(() => encodeUnsolicitedAdvertisement('192.0.2.1', new Uint8Array(6), false)).toThrow('broken invariant');
});
