import { formatIp, parseIp } from '../base/index.ts';

/** An IP address, in canonical text, and a TCP port 1..65535. */
export type Endpoint = { readonly address: string; readonly port: number };

/** IPv4 with a port, or IPv6 in brackets with a port; rough, for editors: what it lets through is read below. */
export const endpointPattern = /^(?:[0-9.]{7,15}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9][0-9]{0,4}$/;

/** "192.0.2.1:80" or "[2001:db8::1]:80"; undefined for anything else, names included: nothing is looked up. */
export function parseEndpoint(text: string): Endpoint | undefined {
  if (!endpointPattern.test(text)) return undefined;
  const colon = text.lastIndexOf(':');
  const bytes = parseIp(text.slice(0, colon).replace(/^\[|\]$/g, ''));
  const port = Number(text.slice(colon + 1));
  if (bytes === undefined || port > 65_535) return undefined;
  return { address: formatIp(bytes), port };
}

/** 0.0.0.0 and ::, which stand for every address of a host. */
export function isWildcard(address: string): boolean {
  return parseIp(address)?.every((byte) => byte === 0) ?? false;
}

/** Whether one host can have the address: not the wildcard, not multicast (RFC 5771, RFC 4291), not broadcast. */
export function isHostAddress(address: string): boolean {
  const bytes = parseIp(address);
  if (bytes === undefined || isWildcard(address)) return false;
  const first = bytes[0] ?? 0;
  return bytes.length === 4 ? first < 224 : first !== 0xff;
}
