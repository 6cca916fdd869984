/**
 * rtnetlink's messages about addresses, as far as claiming them needs it. Only the library's general helpers are used:
 * its generated parsers reject a whole message for one attribute that a newer kernel has extended.
 */
import { AttrStream, readU32 } from 'node-netlink';
import { assert, formatIp, ipFamily, parseIp } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import { addressProtocol } from '../index.ts';
import type { PresentAddress } from '../index.ts';
import { attributesOf, hostOrder } from './netlink-attributes.ts';

// From the kernel's include/uapi/linux: if_addr.h, socket.h.
const attribute = { address: 1, local: 2, cacheInfo: 6, flags: 8, protocol: 11 } as const;
const addressFlag = { nodad: 0x02, permanent: 0x80, noPrefixRoute: 0x200 } as const;
const family = { inet: 2, inet6: 10 } as const;
const headerBytes = 8;

/** Asks for every address in a dump. */
export const allAddresses = new Uint8Array(headerBytes);

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
  const header = new Uint8Array(headerBytes);
  header[0] = inFamily;
  header[1] = prefixLength;
  header.set(hostOrder(interfaceIndex), 4);
  return header;
}

function addressFamily(prefix: IpPrefix): number {
  return ipFamily(prefix.address) === 6 ? family.inet6 : family.inet;
}

export function parseAddress(message: Buffer): InterfaceAddress | undefined {
  const attributes = attributesOf(message, headerBytes);
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
