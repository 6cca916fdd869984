import { assert, compareIp, parseIp, parsePrefix } from '../../base/index.ts';

type Range = { readonly first: Uint8Array; readonly last: Uint8Array };

/** A set of addresses given by prefixes; thousands of them cost a lookup no more than a dozen comparisons. */
export class PrefixSet {
  // Of two prefixes one lies within the other, or they have nothing in common: the outer ones are disjoint ranges.
  readonly #ranges: readonly Range[];

  /** "192.0.2.0/24", "2001:db8::/32"; bits behind the length are ignored. */
  constructor(prefixes: readonly string[]) {
    const all = prefixes.map(rangeOf).sort((a, b) => compareIp(a.first, b.first) || compareIp(b.last, a.last));
    const outer: Range[] = [];
    for (const range of all) {
      const before = outer.at(-1);
      if (before === undefined || !isWithin(before, range.first)) outer.push(range);
    }
    this.#ranges = outer;
  }

  /** `ip` has 4 or 16 bytes. */
  has(ip: Uint8Array): boolean {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const range = this.#ranges[middle];
      if (range === undefined) break;
      if (isWithin(range, ip)) return true;
      if (compareIp(range.first, ip) < 0) low = middle + 1;
      else high = middle;
    }
    return false;
  }
}

function isWithin({ first, last }: Range, ip: Uint8Array): boolean {
  return ip.length === first.length && compareIp(first, ip) <= 0 && compareIp(ip, last) <= 0;
}

function rangeOf(text: string): Range {
  const prefix = parsePrefix(text);
  const address = prefix && parseIp(prefix.address);
  assert(prefix !== undefined && address !== undefined, `${text} is a prefix`);
  const maskAt = (index: number): number =>
    (0xff00 >> Math.min(8, Math.max(0, prefix.prefixLength - 8 * index))) & 0xff;
  return {
    first: address.map((byte, index) => byte & maskAt(index)),
    last: address.map((byte, index) => byte | (~maskAt(index) & 0xff)),
  };
}
