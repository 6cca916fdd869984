import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contribution, count, routerHealth, untold } from '../../../../src/vrrp/index.ts';
import type { Tally, Tracker, TrackerWeight, Verdict } from '../../../../src/vrrp/index.ts';

const rules = { rise: 2, fall: 3 };

function after(looks: string): Tally {
  return Array.from(looks).reduce((tally, look) => count(tally, look === '+', rules), untold);
}

describe('rise and fall', () => {
  it.each([
    ['', 'unknown'],
    ['+', 'up'],
    ['-', 'down'],
    ['+--', 'up'],
    ['+---', 'down'],
    ['+--+--', 'up'],
    ['-+', 'down'],
    ['-++', 'up'],
    ['-+-+', 'down'],
    ['+---++', 'up'],
  ])('after "%s" it is %s', (looks, verdict) => {
    expect(after(looks).verdict).toBe(verdict);
  });
});

function tracker(weight: TrackerWeight, verdict: Verdict, value?: number): Tracker {
  return { name: 'file /f', weight, verdict, value, detail: `is ${verdict}` };
}

describe('a weight', () => {
  it.each<[string, TrackerWeight, Verdict, number | undefined, number]>([
    ['negative counts while down', -30, 'down', undefined, -30],
    ['negative counts while unknown', -30, 'unknown', undefined, -30],
    ['negative does not count while up', -30, 'up', undefined, 0],
    ['positive counts while up', 30, 'up', undefined, 30],
    ['positive does not count while down', 30, 'down', undefined, 0],
    ['positive does not count while unknown', 30, 'unknown', undefined, 0],
    ['is multiplied by the value', 10, 'up', 3, 30],
    ['is multiplied by a negative value', 10, 'up', -3, -30],
    ['times 0 is 0', -10, 'up', 0, 0],
    ['times much stays in range', 253, 'up', 1_000, 253],
    ['times much below stays in range', -253, 'up', 1_000, -253],
    ['fatal adds nothing', 'fatal', 'down', undefined, 0],
  ])('%s', (_claim, weight, verdict, value, expected) => {
    expect(contribution(tracker(weight, verdict, value))).toBe(expected);
  });
});

describe('the health of a router', () => {
  it('without trackers is its base priority', () => {
    expect(routerHealth(200, [])).toEqual({ priority: 200, faults: [], isImpaired: false });
  });

  it('sums the weights', () => {
    const health = routerHealth(100, [tracker(-30, 'down'), tracker(20, 'up'), tracker(-40, 'up')]);
    expect(health).toEqual({ priority: 90, faults: [], isImpaired: true });
  });

  it('clamps the sum, not its parts', () => {
    expect(routerHealth(200, [tracker(253, 'up'), tracker(-253, 'down')]).priority).toBe(200);
    expect(routerHealth(200, [tracker(253, 'up')]).priority).toBe(254);
    expect(routerHealth(100, [tracker(-253, 'down')]).priority).toBe(1);
  });

  it('has a fault for each fatal tracker that is down, whatever the weights say', () => {
    const health = routerHealth(100, [tracker('fatal', 'down'), tracker(253, 'up'), tracker('fatal', 'unknown')]);
    expect(health.faults).toEqual(['file /f is down', 'file /f is unknown']);
  });

  it.each([
    [0, 0],
    [1, 1],
    [-1, 1],
  ])('with a fatal file that holds %d has %d faults', (value, faults) => {
    expect(routerHealth(100, [tracker('fatal', 'up', value)]).faults).toHaveLength(faults);
  });

  it('is impaired by a lost bonus as by a penalty, not by a bonus that is there', () => {
    expect(routerHealth(100, [tracker(30, 'down')]).isImpaired).toBe(true);
    expect(routerHealth(100, [tracker(10, 'up', -1)]).isImpaired).toBe(true);
    expect(routerHealth(100, [tracker(30, 'up')]).isImpaired).toBe(false);
    expect(routerHealth(100, [tracker('fatal', 'down')]).isImpaired).toBe(false);
  });

  it("leaves the owner's 255 alone, but not its faults", () => {
    const health = routerHealth(255, [tracker(-30, 'down'), tracker('fatal', 'down')]);
    expect(health).toEqual({ priority: 255, faults: ['file /f is down'], isImpaired: false });
  });

  it('is always a priority that an advert can carry', () => {
    const anyTracker = fc.record({
      name: fc.constant('x'),
      weight: fc.oneof(fc.integer({ min: -253, max: 253 }), fc.constant('fatal' as const)),
      verdict: fc.constantFrom('unknown' as const, 'up' as const, 'down' as const),
      value: fc.option(fc.integer(), { nil: undefined }),
      detail: fc.constant('y'),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 254 }), fc.array(anyTracker), (base, trackers) => {
        const { priority } = routerHealth(base, trackers);
        return Number.isInteger(priority) && priority >= 1 && priority <= 254;
      }),
    );
  });
});
