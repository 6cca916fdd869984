import { expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/index.ts';
import { decodeArp, encodeGratuitousReply, encodeGratuitousRequest, formatMac } from '../../../src/vip/index.ts';

const mac = fromHex('02 00 5e 10 00 01');

test('a gratuitous request is a broadcast whose sender and target are the VIP', () => {
  expect(toHex(encodeGratuitousRequest('192.0.2.10', mac))).toBe(
    'ffffffffffff' + '02005e100001' + '0806' + '0001080006040001' + '02005e100001c000020a' + 'ffffffffffffc000020a',
  );
});

test('a gratuitous reply repeats the sender as its target', () => {
  expect(toHex(encodeGratuitousReply('192.0.2.10', mac))).toBe(
    'ffffffffffff' + '02005e100001' + '0806' + '0001080006040002' + '02005e100001c000020a' + '02005e100001c000020a',
  );
});

test('what was encoded is decoded, padding or not', () => {
  const padded = new Uint8Array(60);
  padded.set(encodeGratuitousReply('192.0.2.10', mac));
  expect(decodeArp(padded)).toEqual({
    ok: true,
    value: {
      operation: 'reply',
      destinationMac: 'ff:ff:ff:ff:ff:ff',
      sourceMac: '02:00:5e:10:00:01',
      senderMac: '02:00:5e:10:00:01',
      senderIp: '192.0.2.10',
      targetMac: '02:00:5e:10:00:01',
      targetIp: '192.0.2.10',
    },
  });
});

test.each([
  ['etherType', 12, 0x86],
  ['hardwareType', 15, 6],
  ['hardwareType', 18, 8],
  ['protocolType', 16, 0x86],
  ['protocolType', 19, 16],
  ['operation', 21, 3],
])('a frame with another %s (byte %i) is refused for that', (reason, offset, value) => {
  const frame = encodeGratuitousRequest('192.0.2.10', mac);
  frame[offset] = value;
  expect(decodeArp(frame)).toEqual({ ok: false, reason });
});

test('a frame that is cut short anywhere is refused for its length', () => {
  const frame = encodeGratuitousRequest('192.0.2.10', mac);
  for (let length = 0; length < frame.length; length++) {
    expect(decodeArp(frame.subarray(0, length))).toEqual({ ok: false, reason: 'length' });
  }
});

test('an IPv6 address or a MAC of the wrong size is a bug of the caller', () => {
  expect(() => encodeGratuitousRequest('2001:db8::1', mac)).toThrow('broken invariant');
  expect(() => encodeGratuitousRequest('192.0.2.10', mac.subarray(1))).toThrow('broken invariant');
});

test('a MAC is written with colons', () => {
  expect(formatMac(mac)).toBe('02:00:5e:10:00:01');
});
