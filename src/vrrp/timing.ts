/** The intervals of RFC 9568 and RFC 3768, section 6.1 of both, in fractional milliseconds. */
import type { AdvertVersion } from './advert.ts';

/**
 * How long after the others a backup of this priority promotes itself, so that the highest priority comes first:
 * ((256 - priority) * activeAdvertInterval) / 256 in version 3, (256 - priority) / 256 seconds in version 2. Exact to
 * the microsecond: cut down to centiseconds, every skew would be 0 at an advert interval of 10 ms, and all backups
 * would promote themselves at once.
 */
export function skewMs(priority: number, activeAdvertIntervalMs: number, version: AdvertVersion): number {
  const scaleMs = version === 2 ? 1000 : activeAdvertIntervalMs;
  return toMicroseconds(((256 - priority) * scaleMs) / 256);
}

/** How long a backup waits for an advert before it takes the active router for dead: three intervals and the skew. */
export function activeDownIntervalMs(priority: number, activeAdvertIntervalMs: number, version: AdvertVersion): number {
  return toMicroseconds(3 * activeAdvertIntervalMs + skewMs(priority, activeAdvertIntervalMs, version));
}

/** Rounds milliseconds to whole microseconds, so that times compare equal however they were added up. */
export function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
