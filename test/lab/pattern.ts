/**
 * The bytes that verifier and servers exchange: a pseudo-random stream that can be entered at any offset. Within
 * 16 GiB no four aligned bytes occur twice, so a few bytes tell their place in the stream.
 */

const wordsPerChunk = 16 * 1024;
const words = new Uint32Array(wordsPerChunk);
const wordBytes = new Uint8Array(words.buffer);

/** Fills `target` with the bytes that the stream of this seed has from `offset` on. */
export function fillPattern(target: Uint8Array, seed: number, offset: number): void {
  let done = 0;
  while (done < target.length) {
    const firstWord = Math.floor((offset + done) / 4);
    const skip = (offset + done) % 4;
    const length = Math.min(target.length - done, wordBytes.length - skip);
    fillWords(Math.ceil((skip + length) / 4), seed, firstWord);
    target.set(wordBytes.subarray(skip, skip + length), done);
    done += length;
  }
}

export function pattern(seed: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  fillPattern(bytes, seed, offset);
  return bytes;
}

function fillWords(count: number, seed: number, firstWord: number): void {
  const low = firstWord >>> 0;
  // Beyond 16 GiB the index would repeat; its upper half then changes the seed. A chunk never spans that border by
  // more than its own length, where the repeated words are 16 GiB away.
  const key = mix(mix(seed) ^ Math.floor(firstWord / 0x1_0000_0000));
  for (let i = 0; i < count; i++) words[i] = mix((low + i) ^ key);
}

/** A bijection of 32-bit numbers that leaves no visible pattern (the "lowbias32" constants of Chris Wellons). */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x7feb352d);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x846ca68b);
  return mixed ^ (mixed >>> 16);
}
