import { assert, concatBytes } from '../base/index.ts';

/*
 * An IP packet to a multicast group in its Ethernet frame (RFC 1112, 6.4; RFC 2464, 3 and 7):
 *
 *   0                                                        6            12      14
 *  +--------------------------------------------------------+------------+-------+-----------+
 *  | 01:00:5e and the group's last 23 bits, or              | source     | 08 00 | IP packet |
 *  | 33:33 and the group's last 32 bits                     |            | 86 dd |           |
 *  +--------------------------------------------------------+------------+-------+-----------+
 */
const etherTypes = { 4: [0x08, 0x00], 6: [0x86, 0xdd] } as const;
const destinationOffset = { 4: 16, 6: 24 } as const;

/** `packet`: a whole IPv4 or IPv6 packet to a multicast group. Its frame says that it comes from `sourceMac`. */
export function encodeMulticastFrame(packet: Uint8Array, sourceMac: Uint8Array): Uint8Array {
  const family = (packet[0] ?? 0) >> 4;
  assert(family === 4 || family === 6, 'an IP packet begins with its version');
  assert(sourceMac.length === 6, 'an Ethernet address has 6 bytes');
  const group = packet.subarray(destinationOffset[family], destinationOffset[family] + (family === 4 ? 4 : 16));
  return concatBytes(multicastMac(group), sourceMac, Uint8Array.from(etherTypes[family]), packet);
}

function multicastMac(group: Uint8Array): Uint8Array {
  if (group.length === 16) {
    assert(group[0] === 0xff, 'the packet goes to a group');
    return concatBytes(Uint8Array.of(0x33, 0x33), group.subarray(12));
  }
  const [first = 0, second = 0, third = 0, fourth = 0] = group;
  assert(first >> 4 === 0xe, 'the packet goes to a group');
  return Uint8Array.of(0x01, 0x00, 0x5e, second & 0x7f, third, fourth);
}
