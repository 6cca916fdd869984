import { distance } from 'fastest-levenshtein';

/**
 * The candidate that somebody who wrote `text` most likely meant, or undefined if none is near. Case and the signs
 * between words do not count: sync_address is near syncAddress.
 */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const plain = simplify(text);
  const limit = Math.min(3, plain.length / 2);
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distance(plain, simplify(candidate)) }))
    .filter((entry) => entry.distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.candidate;
}

function simplify(text: string): string {
  return text.toLowerCase().replace(/[-_. ]/g, '');
}
