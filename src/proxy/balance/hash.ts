/** A hash of a text of ASCII, 32 bits without sign: FNV-1a, then MurmurHash3's finalizer, which spreads every bit. */
export function hashText(text: string, seed: number): number {
  let hash = (0x811c_9dc5 ^ seed) >>> 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Seeds of the hashes: part of what both nodes must agree on, so that a client finds its server again after a swap. */
export const hashSeeds = { source: 0, maglevOffset: 0x6f66_6673, maglevSkip: 0x736b_6970 } as const;
