/** What a capture of adverts says about who was active, and how punctual that one was. */

import type { SeenAdvert } from '../interop/frames.ts';

type Heard = Pick<SeenAdvert, 'atMs' | 'source' | 'priority'>;

export type AdvertLog = {
  /** How often another router spoke than before, or one said goodbye: each is an end or a beginning of being active. */
  readonly transitions: number;
  /**
   * For each advert, how much longer than an interval the backup waited for it; 0 for one that came early, as it does
   * after one that was late. The backup's patience ends at two intervals and the skew.
   */
  readonly latenessesMs: readonly number[];
};

export function readAdvertLog(adverts: readonly Heard[], advertIntervalMs: number): AdvertLog {
  const pairs = adverts.slice(1).map((advert, index) => [adverts[index] ?? advert, advert] as const);
  const isTransition = ([before, { source, priority }]: readonly [Heard, Heard]): boolean =>
    source !== before.source || priority === 0;
  return {
    transitions: pairs.filter(isTransition).length,
    latenessesMs: pairs.map(([before, { atMs }]) => Math.max(0, atMs - before.atMs - advertIntervalMs)),
  };
}
