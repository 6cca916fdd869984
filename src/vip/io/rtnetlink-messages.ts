/**
 * rtnetlink's messages about addresses and links, as far as claiming addresses needs them. Only the library's general
 * helpers are used: its generated parsers reject a whole message for one attribute that a newer kernel has extended.
 */
import { AttrStream, getMap, getString, readS32, readU32 } from 'node-netlink';
import { assert, formatIp, ipFamily, parseIp } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import { addressProtocol } from '../index.ts';
import type { PresentAddress } from '../index.ts';
import type { Link } from './address-kernel.ts';

// From the kernel's include/uapi/linux: if_addr.h, if_link.h, if.h, socket.h.
const attribute = { address: 1, local: 2, cacheInfo: 6, flags: 8, protocol: 11, linkAddress: 1, linkName: 3 } as const;
const addressFlag = { nodad: 0x02, permanent: 0x80, noPrefixRoute: 0x200 } as const;
const linkFlag = { up: 0x01, running: 0x40 } as const;
const family = { unspecified: 0, inet: 2, inet6: 10 } as const;
const addressHeaderBytes = 8;
const linkHeaderBytes = 16;

/** Asks for everything in a dump. */
export const allAddresses = new Uint8Array(addressHeaderBytes);
export const allLinks = new Uint8Array(linkHeaderBytes);

/** An address message without an address: invalid, but refused as that only after the privilege has been checked. */
export const addressWithoutAddress = [Uint8Array.of(family.inet, 0, 0, 0, 0, 0, 0, 0)];

export type InterfaceAddress = PresentAddress & { readonly interfaceIndex: number };

/**
 *  struct ifaddrmsg:   | family | prefix length | flags (old) | scope | interface index (32 bits) |
 *  with the attributes local = address (no peer), flags, lifetimes (preferred, valid, two stamps), protocol.
 */
export function encodeAddress(interfaceIndex: number, prefix: IpPrefix, lifetimeMs: number | undefined): Uint8Array[] {
  const bytes = parseIp(prefix.address);
  assert(bytes !== undefined, 'an address of the configuration is well-formed');
  const out = new AttrStream();
  out.emit(addressHeader(interfaceIndex, addressFamily(prefix), prefix.prefixLength));
  out.push(attribute.local, bytes);
  out.push(attribute.address, bytes);
  if (lifetimeMs !== undefined) {
    // Duplicate address detection would keep an IPv6 address silent for a second, and fail while a dying node has it.
    out.push(attribute.flags, hostOrder(addressFlag.nodad | addressFlag.noPrefixRoute));
    // Preferred for 0 s, which means deprecated: IPv6 then takes it as a source only when asked to.
    out.push(attribute.cacheInfo, hostOrder(0, lifetimeMs / 1000, 0, 0));
    out.push(attribute.protocol, Uint8Array.of(addressProtocol));
  }
  return out.bufs;
}

function addressHeader(interfaceIndex: number, inFamily: number, prefixLength: number): Uint8Array {
  const header = new Uint8Array(addressHeaderBytes);
  header[0] = inFamily;
  header[1] = prefixLength;
  header.set(hostOrder(interfaceIndex), 4);
  return header;
}

function addressFamily(prefix: IpPrefix): number {
  return ipFamily(prefix.address) === 6 ? family.inet6 : family.inet;
}

/** 32-bit numbers as the kernel of this machine keeps them. */
function hostOrder(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

export function parseAddress(message: Buffer): InterfaceAddress | undefined {
  const attributes = attributesOf(message, addressHeaderBytes);
  // On point-to-point links `address` is the peer's; IPv6 has `local` only there.
  const bytes = attributes.get(attribute.local) ?? attributes.get(attribute.address);
  if (bytes === undefined) return undefined;
  // The low byte of the 32 bits is what the header holds too.
  const flags = message[2] ?? 0;
  return {
    interfaceIndex: readU32.call(message, 4),
    prefix: { address: formatIp(bytes), prefixLength: message[1] ?? 0 },
    protocol: attributes.get(attribute.protocol)?.[0] ?? 0,
    permanent: (flags & addressFlag.permanent) !== 0,
  };
}

/** struct ifinfomsg:  | family | 0 | type (16 bits) | interface index (32) | flags (32) | changed (32) | */
export function parseLink(message: Buffer): Link | undefined {
  // Bridges tell of their ports with the same types (AF_BRIDGE): a port that leaves its bridge is not a link removed.
  if (message[0] !== family.unspecified) return undefined;
  const attributes = attributesOf(message, linkHeaderBytes);
  const name = attributes.get(attribute.linkName);
  if (name === undefined) return undefined;
  const flags = readU32.call(message, 8);
  return {
    name: getString(name),
    index: readS32.call(message, 4),
    macAddress: Uint8Array.from(attributes.get(attribute.linkAddress) ?? []),
    up: (flags & linkFlag.up) !== 0 && (flags & linkFlag.running) !== 0,
  };
}

function attributesOf(message: Buffer, headerBytes: number): Map<number, Buffer> {
  return getMap(message.subarray(headerBytes), (bytes) => bytes);
}
