/** What a client is known by, for stickiness. */
import { formatIp, parseIp } from '../base/index.ts';

/** Bits of an address that count: 1..32 and 1..128. */
export type StickPrefix = { readonly ipv4: number; readonly ipv6: number };

/** "192.0.2.7", or, where not all bits count, the network "192.0.2.0/24", of 4 or 16 bytes. */
export function stickSource(address: Uint8Array, prefix: StickPrefix): string {
  const bits = address.length === 4 ? prefix.ipv4 : prefix.ipv6;
  if (bits >= address.length * 8) return formatIp(address);
  const network = address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 0xff);
  return `${formatIp(network)}/${bits}`;
}

/** The same for an address as an operator writes it, or for a source as it is listed; undefined for anything else. */
export function stickSourceOf(text: string, prefix: StickPrefix): string | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const bytes = parseIp(address);
  if (bytes === undefined || rest.length > 0) return undefined;
  const source = stickSource(bytes, prefix);
  return bits === undefined || source === text ? source : undefined;
}
