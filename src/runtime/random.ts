import { randomBytes as cryptoRandomBytes } from 'node:crypto';

/** Randomness, injected like the clock, so that a seed reproduces a run. */
export type Random = {
  /** A fraction in [0, 1). */
  next(): number;
};

export const systemRandom: Random = { next: () => Math.random() };

/** A small seeded generator (mulberry32): good enough to simulate with, useless for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
    },
  };
}

/** Unpredictable bytes as hexadecimal text: an identity of a process's life. */
export function randomId(byteCount = 8): string {
  return cryptoRandomBytes(byteCount).toString('hex');
}
