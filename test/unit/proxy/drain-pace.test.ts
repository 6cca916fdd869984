import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slowStartWeight, startDrainPace, stepDrainPace } from '../../../src/proxy/index.ts';

const durationMs = 30_000;
const tickMs = 100;

describe('the pace of a drain', () => {
  it('ends a hundred connections evenly over the time', () => {
    const endings = drain({ open: 100, fraction: 0 });
    expect(endings.reduce((sum, one) => sum + one, 0)).toBe(100);
    for (let third = 0; third < 3; third++) {
      const ended = endings.slice(third * 100, (third + 1) * 100).reduce((sum, one) => sum + one, 0);
      expect(Math.abs(ended - 100 / 3)).toBeLessThan(2);
    }
  });

  it('never ends more at once than its share of the time, but for one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (open, fraction) => {
          const endings = drain({ open, fraction });
          const share = (open * tickMs) / durationMs;
          expect(Math.max(...endings)).toBeLessThanOrEqual(Math.ceil(share) + 1);
          expect(endings.reduce((sum, one) => sum + one, 0)).toBe(open);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('ends all that are left when the time is over, also those that have come meanwhile', () => {
    const pace = startDrainPace(durationMs, 0, 0);
    expect(stepDrainPace(pace, 7, durationMs).ending).toBe(7);
    expect(stepDrainPace(pace, 7, 10 * durationMs).ending).toBe(7);
  });

  it('has nothing to end where nothing is open, and owes nothing for that time', () => {
    let pace = startDrainPace(durationMs, 0, 0);
    for (let nowMs = tickMs; nowMs < durationMs / 2; nowMs += tickMs) {
      const step = stepDrainPace(pace, 0, nowMs);
      expect(step.ending).toBe(0);
      pace = step.pace;
    }
    expect(stepDrainPace(pace, 100, durationMs / 2 + tickMs).ending).toBeLessThan(3);
  });

  it('ends single connections of several workers at different moments', () => {
    const moments = [0, 0.3, 0.6, 0.9].map((fraction) => drain({ open: 1, fraction }).indexOf(1));
    expect(new Set(moments).size).toBe(4);
  });
});

describe('slow start', () => {
  it('begins with a tenth and rises in a line to all of the weight', () => {
    expect([0, 5_000, 10_000, 60_000].map((sinceMs) => slowStartWeight(20, sinceMs, 10_000))).toEqual([2, 11, 20, 20]);
  });
});

/** How many are ended at each tick. */
function drain({ open, fraction }: { open: number; fraction: number }): number[] {
  let pace = startDrainPace(durationMs, 0, fraction);
  let left = open;
  const endings: number[] = [];
  for (let nowMs = tickMs; nowMs <= durationMs; nowMs += tickMs) {
    const step = stepDrainPace(pace, left, nowMs);
    pace = step.pace;
    left -= step.ending;
    endings.push(step.ending);
  }
  return endings;
}
