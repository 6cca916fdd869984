import type { ClientAddresses } from '../socket-address.ts';
import { refused } from './header.ts';
import type { ProxyHeaderReading, ProxyVersion } from './header.ts';
import { decodeV1, encodeV1 } from './v1.ts';
import { decodeV2, encodeV2, signatureV2 } from './v2.ts';

const signatureV1 = Uint8Array.of(0x50, 0x52, 0x4f, 0x58, 0x59);

/**
 * Reads a header of either version from the first bytes of a connection, all of them that are there; at least one.
 * Whether there is to be a header is the caller's to know: the protocol forbids to guess.
 */
export function decodeProxyHeader(bytes: Uint8Array): ProxyHeaderReading {
  if (startsAs(bytes, signatureV2)) return decodeV2(bytes);
  return startsAs(bytes, signatureV1) ? decodeV1(bytes) : refused('proxy-signature');
}

/** The header for a client's connection, or for one of the sender's own: without addresses. */
export function encodeProxyHeader(version: ProxyVersion, addresses: ClientAddresses | undefined): Uint8Array {
  return version === 'v1' ? encodeV1(addresses) : encodeV2(addresses);
}

function startsAs(bytes: Uint8Array, signature: Uint8Array): boolean {
  const length = Math.min(bytes.length, signature.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== signature[i]) return false;
  return true;
}
