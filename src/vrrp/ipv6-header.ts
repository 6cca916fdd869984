/**
 * The IPv6 header (RFC 8200). Linux takes it off before a raw socket sees a packet; the transport puts it back, from
 * what the kernel tells beside the payload.
 */
import type { Result } from '../base/index.ts';
import { concatBytes, fail, ok, viewOf } from '../base/index.ts';
import type { IpPacket } from './ip-packet.ts';
import { vrrpProtocol, vrrpTos, vrrpTtl } from './ip-packet.ts';

const headerLength = 40;

export const ipv6DropReasons = ['ip-length', 'ip-version'] as const;
export type Ipv6DropReason = (typeof ipv6DropReasons)[number];

/**
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------+---------------+---------------------------------------+
 * |   6   | traffic class |              flow label               |
 * +-------+---------------+-------+---------------+---------------+
 * |        payload length         |  next header  |   hop limit   |
 * +-------------------------------+---------------+---------------+
 * |                       source, 16 bytes                        |
 * +---------------------------------------------------------------+
 * |                     destination, 16 bytes                     |
 * +---------------------------------------------------------------+
 *
 * A whole packet with the header that every advert has: hop limit 255, traffic class 0xc0.
 */
export function encodeVrrpIpv6Packet(source: Uint8Array, destination: Uint8Array, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(headerLength);
  const view = viewOf(header);
  view.setUint32(0, (6 << 28) | (vrrpTos << 20));
  view.setUint16(4, payload.length);
  view.setUint8(6, vrrpProtocol);
  view.setUint8(7, vrrpTtl);
  header.set(source, 8);
  header.set(destination, 24);
  return concatBytes(header, payload);
}

/** Takes a received packet apart. Extension headers are not looked into: the kernel has done so. */
export function decodeIpv6Packet(bytes: Uint8Array): Result<IpPacket, Ipv6DropReason> {
  if (bytes.length < headerLength) return fail('ip-length');
  const view = viewOf(bytes);
  if (view.getUint8(0) >> 4 !== 6) return fail('ip-version');
  const payloadEnd = headerLength + view.getUint16(4);
  if (payloadEnd > bytes.length) return fail('ip-length');
  return ok({
    ttl: view.getUint8(7),
    protocol: view.getUint8(6),
    // Copies also of a Buffer, whose own slice() would be a view.
    source: new Uint8Array(bytes.subarray(8, 24)),
    destination: new Uint8Array(bytes.subarray(24, 40)),
    payload: bytes.subarray(headerLength, payloadEnd),
  });
}
