/** The IPv4 header (RFC 791), as far as a raw socket shows it to a VRRP router. */
import type { Result } from '../base/index.ts';
import { concatBytes, fail, internetChecksum, ok, viewOf } from '../base/index.ts';
import type { IpPacket } from './ip-packet.ts';
import { vrrpProtocol, vrrpTos, vrrpTtl } from './ip-packet.ts';

const headerLength = 20;
const dontFragmentFlag = 0x4000;
const moreFragmentsFlag = 0x2000;
const fragmentOffsetMask = 0x1fff;

export const ipv4DropReasons = ['ip-length', 'ip-version', 'ip-header-length', 'ip-fragment'] as const;
export type Ipv4DropReason = (typeof ipv4DropReasons)[number];

/**
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------+-------+---------------+-------------------------------+
 * |   4   |  IHL  |      TOS      |         total length          |
 * +-------+-------+---------------+-----+-------------------------+
 * |        identification         |flags|     fragment offset     |
 * +---------------+---------------+-----+-------------------------+
 * |      TTL      |   protocol    |        header checksum        |
 * +---------------+---------------+-------------------------------+
 * |                            source                             |
 * +---------------------------------------------------------------+
 * |                          destination                          |
 * +---------------------------------------------------------------+
 * |              options, IHL - 5 words, then the payload         |
 *
 * A whole packet with the header that every advert has: TTL 255, TOS 0xc0, never fragmented.
 */
export function encodeVrrpIpv4Packet(source: Uint8Array, destination: Uint8Array, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(headerLength);
  const view = viewOf(header);
  view.setUint8(0, 0x45);
  view.setUint8(1, vrrpTos);
  view.setUint16(2, headerLength + payload.length);
  view.setUint16(6, dontFragmentFlag);
  view.setUint8(8, vrrpTtl);
  view.setUint8(9, vrrpProtocol);
  header.set(source, 12);
  header.set(destination, 16);
  view.setUint16(10, internetChecksum(header));
  return concatBytes(header, payload);
}

/**
 * Takes a received packet apart. The payload ends where the header says: what follows is padding that Ethernet adds
 * to short frames. The header's checksum is not looked at, the kernel has done so before a raw socket sees a packet.
 */
export function decodeIpv4Packet(bytes: Uint8Array): Result<IpPacket, Ipv4DropReason> {
  if (bytes.length < headerLength) return fail('ip-length');
  const view = viewOf(bytes);
  if (view.getUint8(0) >> 4 !== 4) return fail('ip-version');
  const optionsEnd = (view.getUint8(0) & 0x0f) * 4;
  const totalLength = view.getUint16(2);
  if (optionsEnd < headerLength || optionsEnd > totalLength) return fail('ip-header-length');
  if (totalLength > bytes.length) return fail('ip-length');
  if ((view.getUint16(6) & (moreFragmentsFlag | fragmentOffsetMask)) !== 0) return fail('ip-fragment');
  return ok({
    ttl: view.getUint8(8),
    protocol: view.getUint8(9),
    // Copies, made so that they are copies of a Buffer too, whose own slice() would be a view of a reused memory.
    source: new Uint8Array(bytes.subarray(12, 16)),
    destination: new Uint8Array(bytes.subarray(16, 20)),
    payload: bytes.subarray(optionsEnd, totalLength),
  });
}
