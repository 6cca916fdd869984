import { describe, expect, it } from 'vitest';
import { activeDownIntervalMs, skewMs } from '../../../src/vrrp/index.ts';

describe('timing', () => {
  it.each([
    { intervalMs: 1000, priority: 100, downMs: 3609.375, skew: 609.375 },
    { intervalMs: 1000, priority: 200, downMs: 3218.75, skew: 218.75 },
    { intervalMs: 1000, priority: 254, downMs: 3007.813, skew: 7.813 },
    { intervalMs: 100, priority: 100, downMs: 360.938, skew: 60.938 },
    { intervalMs: 10, priority: 100, downMs: 36.094, skew: 6.094 },
    { intervalMs: 10, priority: 254, downMs: 30.078, skew: 0.078 },
    { intervalMs: 40950, priority: 1, downMs: 163640.039, skew: 40790.039 },
  ])('at $intervalMs ms, priority $priority waits $downMs ms', ({ intervalMs, priority, downMs, skew }) => {
    expect(skewMs(priority, intervalMs, 3)).toBe(skew);
    expect(activeDownIntervalMs(priority, intervalMs, 3)).toBe(downMs);
  });

  it.each([
    { intervalMs: 1000, priority: 100, downMs: 3609.375, skew: 609.375 },
    { intervalMs: 5000, priority: 100, downMs: 15609.375, skew: 609.375 },
    { intervalMs: 255_000, priority: 254, downMs: 765_007.813, skew: 7.813 },
  ])(
    'version 2 at $intervalMs ms, priority $priority: a skew of $skew ms',
    ({ intervalMs, priority, downMs, skew }) => {
      expect(skewMs(priority, intervalMs, 2)).toBe(skew);
      expect(activeDownIntervalMs(priority, intervalMs, 2)).toBe(downMs);
    },
  );

  it('gives every priority its own skew, at the shortest interval too', () => {
    const skews = Array.from({ length: 255 }, (_, index) => skewMs(index + 1, 10, 3));
    expect(new Set(skews).size).toBe(255);
    expect(skews).toEqual(skews.toSorted((a, b) => b - a));
  });
});
