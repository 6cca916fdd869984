import { expect, test } from 'vitest';
import { concatBytes, fromHex, toHex } from '../../../src/base/index.ts';
import { encodeMulticastFrame, virtualMac } from '../../../src/vip/index.ts';

function ipv4To(group: string): Uint8Array {
  return concatBytes(fromHex('45c0 0014 0000 4000 ff70 0000 c0000201'), fromHex(group));
}

function ipv6To(group: string): Uint8Array {
  return concatBytes(fromHex('6000 0000 0000 70ff fe80 0000 0000 0000 0000 0000 0000 0001'), fromHex(group));
}

test('an IPv4 packet goes to its group from the virtual MAC, unchanged', () => {
  const packet = ipv4To('e0000012');
  const frame = encodeMulticastFrame(packet, virtualMac(4, 51));
  expect(toHex(frame)).toBe('01005e000012' + '00005e000133' + '0800' + toHex(packet));
});

test('of an IPv4 group the last 23 bits count', () => {
  expect(toHex(encodeMulticastFrame(ipv4To('effffefd'), virtualMac(4, 1)).subarray(0, 6))).toBe('01005e7ffefd');
});

test('an IPv6 packet goes to its group, of which the last 32 bits count', () => {
  const packet = ipv6To('ff020000000000000000000012345678');
  const frame = encodeMulticastFrame(packet, virtualMac(6, 51));
  expect(toHex(frame)).toBe('333312345678' + '00005e000233' + '86dd' + toHex(packet));
});

test.each([ipv4To('c0000202'), ipv6To('fe800000000000000000000000000002'), new Uint8Array(0), fromHex('55')])(
  'what goes to one host, or is no IP packet, is a bug of the caller',
  (packet) => {
    expect(() => encodeMulticastFrame(packet, virtualMac(4, 51))).toThrow('broken invariant');
  },
);
