/**
 * What VRRP routers put on the wire, read from captured Ethernet frames. On purpose not with the codec of src/vrrp: a
 * mistake in that would judge itself.
 */

import { formatIp } from '../../src/base/index.ts';
import type { CapturedFrame } from '../lab/capture.ts';

/** RFC 5798's reading covers the addresses of the IP header too, RFC 9568's (and version 2) the message alone. */
export type ChecksumForm = 'pseudo-header' | 'message' | 'wrong';

export type SeenAdvert = {
  readonly atMs: number;
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly source: string;
  readonly destination: string;
  /** TTL or hop limit. */
  readonly ttl: number;
  readonly isHeaderRight: boolean;
  readonly version: number;
  readonly type: number;
  readonly vrid: number;
  readonly priority: number;
  readonly advertIntervalMs: number;
  readonly addresses: readonly string[];
  /** What follows the addresses: version 2's authentication data. */
  readonly trailer: string;
  readonly checksum: ChecksumForm;
  /** The whole VRRP message in hexadecimal. */
  readonly message: string;
};

/** A gratuitous ARP request or reply, or an unsolicited neighbour advertisement. */
export type SeenAnnouncement = {
  readonly atMs: number;
  readonly kind: 'request' | 'reply' | 'neighbour-advertisement';
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly address: string;
  /** Where frames for the address shall go from now on. */
  readonly targetMac: string;
  /** Of a neighbour advertisement: router, solicited, override. */
  readonly flags: string;
};

const vrrpProtocol = 112;
const etherTypes = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd };
const ethernetBytes = 14;

export function advertsIn(frames: readonly CapturedFrame[]): SeenAdvert[] {
  return frames.flatMap((frame) => readAdvert(frame) ?? []);
}

export function announcementsIn(frames: readonly CapturedFrame[]): SeenAnnouncement[] {
  return frames.flatMap((frame) => readGratuitousArp(frame) ?? readNeighbourAdvertisement(frame) ?? []);
}

/** The form in which the message's checksum is right; `source` and `destination` are those of the IP header. */
export function checksumForm(message: Buffer, source: Buffer, destination: Buffer): ChecksumForm {
  if (onesComplementSum(message) === 0xffff) return 'message';
  return onesComplementSum(Buffer.concat([pseudoHeader(message, source, destination), message])) === 0xffff
    ? 'pseudo-header'
    : 'wrong';
}

/** The sum that a correct checksum makes 0xffff (RFC 1071). */
export function onesComplementSum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += i + 1 < bytes.length ? bytes.readUInt16BE(i) : (bytes[i] ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

type IpPacket = {
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly ttl: number;
  readonly protocol: number;
  readonly isHeaderRight: boolean;
  readonly payload: Buffer;
};

function readAdvert({ atMs, bytes }: CapturedFrame): SeenAdvert | undefined {
  const frame = Buffer.from(bytes);
  const packet = readIp(frame);
  if (packet?.protocol !== vrrpProtocol || packet.payload.length < 8) return undefined;
  const { source, destination, ttl, isHeaderRight, payload: message } = packet;
  const version = message.readUInt8(0) >> 4;
  const isV2 = version === 2;
  const count = message.readUInt8(3);
  const addressesEnd = 8 + count * source.length;
  return {
    atMs,
    ...macsOf(frame),
    source: formatIp(source),
    destination: formatIp(destination),
    ttl,
    isHeaderRight,
    version,
    type: message.readUInt8(0) & 0xf,
    vrid: message.readUInt8(1),
    priority: message.readUInt8(2),
    advertIntervalMs: isV2 ? message.readUInt8(5) * 1000 : (message.readUInt16BE(4) & 0xfff) * 10,
    addresses: Array.from({ length: count }, (_, index) =>
      formatIp(message.subarray(8 + index * source.length, 8 + (index + 1) * source.length)),
    ),
    trailer: message.toString('hex', addressesEnd),
    checksum: checksumForm(message, source, destination),
    message: message.toString('hex'),
  };
}

function readIp(frame: Buffer): IpPacket | undefined {
  const etherType = frame.readUInt16BE(12);
  const ip = frame.subarray(ethernetBytes);
  if (etherType === etherTypes.ipv4) {
    const headerBytes = (ip.readUInt8(0) & 0xf) * 4;
    return {
      source: ip.subarray(12, 16),
      destination: ip.subarray(16, 20),
      ttl: ip.readUInt8(8),
      protocol: ip.readUInt8(9),
      isHeaderRight: onesComplementSum(ip.subarray(0, headerBytes)) === 0xffff,
      // Ethernet pads short frames: what counts is the packet's own length.
      payload: ip.subarray(headerBytes, ip.readUInt16BE(2)),
    };
  }
  if (etherType !== etherTypes.ipv6) return undefined;
  return {
    source: ip.subarray(8, 24),
    destination: ip.subarray(24, 40),
    ttl: ip.readUInt8(7),
    protocol: ip.readUInt8(6),
    isHeaderRight: ip.readUInt8(0) >> 4 === 6,
    payload: ip.subarray(40, 40 + ip.readUInt16BE(4)),
  };
}

function pseudoHeader(message: Buffer, source: Buffer, destination: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return source.length === 4
    ? Buffer.concat([source, destination, Buffer.of(0, vrrpProtocol), length.subarray(2)])
    : Buffer.concat([source, destination, length, Buffer.of(0, 0, 0, vrrpProtocol)]);
}

/** Gratuitous: of an address about itself (RFC 5227, 3). */
function readGratuitousArp({ atMs, bytes }: CapturedFrame): SeenAnnouncement | undefined {
  const frame = Buffer.from(bytes);
  if (frame.readUInt16BE(12) !== etherTypes.arp) return undefined;
  const arp = frame.subarray(ethernetBytes);
  const sender = arp.subarray(14, 18);
  if (!sender.equals(arp.subarray(24, 28))) return undefined;
  const kind = arp.readUInt16BE(6) === 1 ? 'request' : 'reply';
  return { atMs, kind, ...macsOf(frame), address: formatIp(sender), targetMac: mac(arp.subarray(8, 14)), flags: '' };
}

/** RFC 4861, 4.4: type 136, flags, the target, then options; the one of type 2 is the target's link-layer address. */
function readNeighbourAdvertisement({ atMs, bytes }: CapturedFrame): SeenAnnouncement | undefined {
  const frame = Buffer.from(bytes);
  const packet = readIp(frame);
  const message = packet?.payload;
  if (packet?.protocol !== 58 || message?.readUInt8(0) !== 136) return undefined;
  const flags = ['router', 'solicited', 'override'].filter((_, bit) => message.readUInt8(4) & (0x80 >> bit)).join('+');
  return {
    atMs,
    kind: 'neighbour-advertisement',
    ...macsOf(frame),
    address: formatIp(message.subarray(8, 24)),
    targetMac: message[24] === 2 ? mac(message.subarray(26, 32)) : '',
    flags,
  };
}

function macsOf(frame: Buffer): { destinationMac: string; sourceMac: string } {
  return { destinationMac: mac(frame.subarray(0, 6)), sourceMac: mac(frame.subarray(6, 12)) };
}

function mac(bytes: Buffer): string {
  return bytes.toString('hex').replaceAll(/..(?=.)/g, '$&:');
}
