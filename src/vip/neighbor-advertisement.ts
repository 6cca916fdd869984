import { assert, concatBytes, fromHex, internetChecksum, parseIp, viewOf } from '../base/index.ts';

/*
 * An unsolicited neighbor advertisement (RFC 4861, 4.4 and 7.2.6), IPv6's word for gratuitous ARP:
 *
 *   0            6            12      14                54                78
 *  +------------+------------+-------+-----------------+-----------------+----------------+
 *  | 33:33:..:1 | source     | 86 dd | IPv6 header,    | ICMPv6 136,     | option 2:      |
 *  |            |            |       | hop limit 255   | flags, target   | source         |
 *  +------------+------------+-------+-----------------+-----------------+----------------+
 */
const allNodesMac = fromHex('33:33:00:00:00:01');
const allNodes = fromHex('ff02 0000 0000 0000 0000 0000 0000 0001');
const etherTypeIpv6 = fromHex('86dd');
const nextHeaderIcmpv6 = 58;
const messageBytes = 32;

const flag = { router: 0x80, override: 0x20 } as const;

/**
 * "VIP is at `mac`", from the VIP itself to all nodes of the link. It overrides what their caches hold and answers
 * nobody (O = 1, S = 0; RFC 9568, 6.4.1). `isRouter` is R: whether this host forwards IPv6. So the kernel answers
 * solicitations, and a host that hears R fall takes the sender from its default routers (RFC 4861, 7.2.5).
 */
export function encodeUnsolicitedAdvertisement(vip: string, mac: Uint8Array, isRouter: boolean): Uint8Array {
  const address = parseIp(vip);
  assert(address?.length === 16, 'a neighbor advertisement is about an IPv6 address');
  assert(mac.length === 6, 'an Ethernet address has 6 bytes');
  return concatBytes(allNodesMac, mac, etherTypeIpv6, encodeIpv6Header(address), encodeMessage(address, mac, isRouter));
}

function encodeIpv6Header(source: Uint8Array): Uint8Array {
  const start = new Uint8Array(8);
  start[0] = 0x60;
  viewOf(start).setUint16(4, messageBytes);
  start[6] = nextHeaderIcmpv6;
  // Receivers discard neighbor discovery that a router could have forwarded (RFC 4861, 7.1.2).
  start[7] = 255;
  return concatBytes(start, source, allNodes);
}

function encodeMessage(target: Uint8Array, mac: Uint8Array, isRouter: boolean): Uint8Array {
  const message = new Uint8Array(messageBytes);
  message.set([136, 0], 0);
  message[4] = flag.override | (isRouter ? flag.router : 0);
  message.set(target, 8);
  message.set([2, 1], 24);
  message.set(mac, 26);
  const pseudoHeader = concatBytes(target, allNodes, Uint8Array.of(0, 0, 0, messageBytes, 0, 0, 0, nextHeaderIcmpv6));
  viewOf(message).setUint16(2, internetChecksum(pseudoHeader, message));
  return message;
}
