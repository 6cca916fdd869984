import type { Config } from './config.ts';

/**
 * A fingerprint of what a configuration means, 16 hexadecimal digits: FNV-1a, 64 bits, over canonical JSON. Comments,
 * layout, the order of keys and defaults written out make no difference; the order of lists does. It tells two nodes
 * whether their files differ, by mistake, not by malice.
 */
export function configHash(config: Config): string {
  const prime = 0x100_0000_01b3n;
  let hash = 0xcbf2_9ce4_8422_2325n;
  const mix = (byte: number): void => {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * prime);
  };
  const text = canonicalJson(config);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    mix(unit & 0xff);
    mix(unit >> 8);
  }
  return hash.toString(16).padStart(16, '0');
}

/** JSON with sorted keys; keys without a value are left out, as JSON does. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
