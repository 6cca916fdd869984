/** rtnetlink's messages about links, as far as watching interfaces and making virtual ones needs them. */
import { AttrStream, getString, readS32, readU32 } from 'node-netlink';
import type { ArpSettings } from '../index.ts';
import type { LinkChange, LinkDetails } from './link-kernel.ts';
import { attributesOf, hostOrder } from './netlink-attributes.ts';

// From the kernel's include/uapi/linux: if_link.h, if.h, ip.h, ipv6.h, socket.h.
const attribute = { address: 1, name: 3, link: 5, linkInfo: 18, alias: 20, familySpec: 26 } as const;
const infoAttribute = { kind: 1, data: 2 } as const;
const macvlan = { modeAttribute: 1, modeVepa: 2 } as const;
const ipv4Attribute = { conf: 1 } as const;
const ipv4Conf = { rpFilter: 8, arpAnnounce: 18, arpIgnore: 19 } as const;
const ipv6Attribute = { conf: 2, addressGeneration: 8 } as const;
const ipv6Conf = { acceptRouters: 3, disabled: 26 } as const;
const addressGenerationNone = 1;
const linkFlag = { up: 0x01, running: 0x40 } as const;
const family = { unspecified: 0, inet: 2, inet6: 10 } as const;
const headerBytes = 16;

/** Asks for every link in a dump. */
export const allLinks = new Uint8Array(headerBytes);

/** struct ifinfomsg:  | family | 0 | type (16 bits) | interface index (32) | flags (32) | changed (32) | */
export function parseLink(message: Buffer): LinkDetails | undefined {
  // Bridges tell of their ports with the same types (AF_BRIDGE): a port that leaves its bridge is not a link removed.
  if (message[0] !== family.unspecified) return undefined;
  const attributes = attributesOf(message, headerBytes);
  const name = attributes.get(attribute.name);
  if (name === undefined) return undefined;
  const flags = readU32.call(message, 8);
  const parent = attributes.get(attribute.link);
  const families = nested(attributes.get(attribute.familySpec));
  return {
    name: getString(name),
    index: readS32.call(message, 4),
    macAddress: Uint8Array.from(attributes.get(attribute.address) ?? []),
    up: (flags & linkFlag.up) !== 0 && (flags & linkFlag.running) !== 0,
    kind: text(nested(attributes.get(attribute.linkInfo)).get(infoAttribute.kind)),
    parentIndex: parent && readS32.call(parent, 0),
    alias: text(attributes.get(attribute.alias)) ?? '',
    arp: parseArp(families.get(family.inet)),
    ipv6: parseIpv6(families.get(family.inet6)),
  };
}

/**
 * A macvlan in VEPA mode. In the private mode, which other VRRP programs use, the kernel takes a multicast frame that
 * comes from a macvlan's own MAC for that macvlan alone: two active routers with one virtual MAC would not hear each
 * other's adverts on their parents (Linux, drivers/net/macvlan.c: macvlan_handle_frame).
 */
export function encodeMacvlan(name: string, parentIndex: number, macAddress: Uint8Array): Uint8Array[] {
  const out = new AttrStream();
  out.emit(linkHeader(0, undefined));
  out.push(attribute.name, terminated(name));
  out.push(attribute.address, macAddress);
  out.push(attribute.link, hostOrder(parentIndex));
  out.push(attribute.linkInfo, (info) => {
    info.push(infoAttribute.kind, terminated('macvlan'));
    info.push(infoAttribute.data, (data) => data.push(macvlan.modeAttribute, hostOrder(macvlan.modeVepa)));
  });
  return out.bufs;
}

/**
 * The IPv4 settings are those of /proc/sys/net/ipv4/conf/INTERFACE, which containers cannot write; set in this way,
 * CAP_NET_ADMIN is enough.
 */
export function encodeLinkChange(interfaceIndex: number, change: LinkChange): Uint8Array[] {
  const { alias, ipv4, ipv6AddressGeneration } = change;
  const out = new AttrStream();
  out.emit(linkHeader(interfaceIndex, change.up));
  if (alias !== undefined) out.push(attribute.alias, terminated(alias));
  if (ipv4 === undefined && ipv6AddressGeneration === undefined) return out.bufs;
  out.push(attribute.familySpec, (families) => {
    if (ipv4 !== undefined) {
      families.push(family.inet, (inet) => inet.push(ipv4Attribute.conf, (conf) => pushSettings(conf, ipv4)));
    }
    if (ipv6AddressGeneration !== undefined) {
      const none = Uint8Array.of(addressGenerationNone);
      families.push(family.inet6, (inet6) => inet6.push(ipv6Attribute.addressGeneration, none));
    }
  });
  return out.bufs;
}

export function encodeLinkRemoval(interfaceIndex: number): Uint8Array {
  return linkHeader(interfaceIndex, undefined);
}

function pushSettings(conf: AttrStream, settings: NonNullable<LinkChange['ipv4']>): void {
  for (const setting of ['rpFilter', 'arpAnnounce', 'arpIgnore'] as const) {
    const value = settings[setting];
    if (value !== undefined) conf.push(ipv4Conf[setting], hostOrder(value));
  }
}

function linkHeader(interfaceIndex: number, up: boolean | undefined): Uint8Array {
  const header = new Uint8Array(headerBytes);
  header.set(hostOrder(interfaceIndex, up === true ? linkFlag.up : 0, up === undefined ? 0 : linkFlag.up), 4);
  return header;
}

/** What the kernel tells is an array of 32-bit numbers; the first setting has the number 1. */
function parseArp(inet: Buffer | undefined): ArpSettings {
  const conf = nested(inet).get(ipv4Attribute.conf);
  return {
    arpIgnore: numberAt(conf, ipv4Conf.arpIgnore - 1),
    arpAnnounce: numberAt(conf, ipv4Conf.arpAnnounce - 1),
  };
}

function parseIpv6(inet6: Buffer | undefined): LinkDetails['ipv6'] {
  const conf = nested(inet6).get(ipv6Attribute.conf);
  if (conf === undefined) return undefined;
  return { followsRouters: numberAt(conf, ipv6Conf.acceptRouters) !== 0 && numberAt(conf, ipv6Conf.disabled) === 0 };
}

function numberAt(numbers: Buffer | undefined, index: number): number {
  return numbers !== undefined && numbers.length >= 4 * (index + 1) ? readU32.call(numbers, 4 * index) : 0;
}

function nested(bytes: Buffer | undefined): Map<number, Buffer> {
  return bytes === undefined ? new Map<number, Buffer>() : attributesOf(bytes, 0);
}

function text(bytes: Buffer | undefined): string | undefined {
  return bytes && getString(bytes);
}

function terminated(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}
