/** IP addresses as text outside and as bytes inside; no name is ever resolved here. */

export type IpFamily = 4 | 6;

/** An address with the length of its network's prefix: "192.0.2.1/24". */
export type IpPrefix = { readonly address: string; readonly prefixLength: number };

/** 4 or 16 bytes, or undefined if the text is no address. Zones ("fe80::1%eth0") are not part of an address. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

export function ipFamily(text: string): IpFamily | undefined {
  const bytes = parseIp(text);
  if (bytes === undefined) return undefined;
  return bytes.length === 4 ? 4 : 6;
}

/** The canonical text (RFC 5952 for IPv6) of 4 or 16 bytes. */
export function formatIp(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join('.') : formatIpv6(bytes);
}

/** "192.0.2.1/24"; without a length the whole address counts (/32, /128). Undefined if it is none. */
export function parsePrefix(text: string): IpPrefix | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const bytes = parseIp(address);
  if (bytes === undefined || rest.length > 0) return undefined;
  const bits = bytes.length * 8;
  if (length === undefined) return { address: formatIp(bytes), prefixLength: bits };
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits) return undefined;
  return { address: formatIp(bytes), prefixLength: Number(length) };
}

export function formatPrefix(prefix: IpPrefix): string {
  return `${prefix.address}/${prefix.prefixLength}`;
}

/** Whether the address lies in the network of the prefix. */
export function prefixContains(prefix: IpPrefix, address: string): boolean {
  const network = parseIp(prefix.address);
  const candidate = parseIp(address);
  if (network === undefined || candidate?.length !== network.length) return false;
  for (let bit = 0; bit < prefix.prefixLength; bit += 8) {
    const mask = 0xff00 >> Math.min(8, prefix.prefixLength - bit);
    if (((network[bit / 8] ?? 0) & mask & 0xff) !== ((candidate[bit / 8] ?? 0) & mask & 0xff)) return false;
  }
  return true;
}

/** fe80::/10: of one link, and meaningful only together with an interface (RFC 4291, 2.5.6). */
export function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}

/** Orders two addresses of one family as unsigned numbers in network order (RFC 9568, 6.4.3: the tie-break). */
export function compareIp(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** "192.0.2.1:80", "[2001:db8::1]:80". */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  // A leading zero is refused: some readers take "010" for eight.
  if (!parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const headBytes = groupsToBytes(head ?? [], halves.length === 1);
  const tailBytes = groupsToBytes(tail ?? [], true);
  if (headBytes === undefined || tailBytes === undefined) return undefined;
  const known = headBytes.length + tailBytes.length;
  if (halves.length === 1 ? known !== 16 : known > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(headBytes, 0);
  bytes.set(tailBytes, 16 - tailBytes.length);
  return bytes;
}

/** The last group may be an IPv4 address in dots (RFC 4291, 2.2). */
function groupsToBytes(groups: readonly string[], mayEndInIpv4: boolean): number[] | undefined {
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const embedded = mayEndInIpv4 && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (embedded === undefined) return undefined;
    bytes.push(...embedded);
  }
  return bytes;
}

function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const run = longestZeroRun(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
