import { describe, expect, test } from 'vitest';
import { GapMeter, longestGap, serviceGaps } from '../../lab/gaps.ts';
import type { Attempt } from '../../lab/gaps.ts';

const options = { promptMs: 150, untilMs: 10_000, atLeastMs: 2 };

/** One attempt each millisecond, served 0.5 ms after its start unless `outcome` says otherwise. */
function attempts(
  fromMs: number,
  toMs: number,
  outcome: (startMs: number) => Partial<Attempt> = () => ({}),
): Attempt[] {
  return Array.from({ length: toMs - fromMs }, (_, i) => {
    const startMs = fromMs + i;
    return { startMs, endMs: startMs + 0.5, served: true, ...outcome(startMs) };
  });
}

describe('serviceGaps', () => {
  test('there is none while each attempt is served at once', () => {
    expect(serviceGaps(attempts(0, 1000), options)).toEqual([]);
  });

  test('without outage the figure is what one attempt takes', () => {
    const gaps = serviceGaps(attempts(0, 1000), { ...options, atLeastMs: 0 });
    expect(longestGap(gaps)).toEqual({ startMs: 0, endMs: 0.5 });
  });

  test('refused attempts: from the first one to the answer of the next that is served', () => {
    const seen = attempts(0, 1000, (startMs) => (startMs >= 100 && startMs < 300 ? { served: false } : {}));
    expect(serviceGaps(seen, options)).toEqual([{ startMs: 100, endMs: 300.5 }]);
  });

  test('an attempt whose SYN was dropped and sent again is no proof, neither for its start nor for its end', () => {
    const seen = attempts(0, 2000, (startMs) => {
      if (startMs < 100 || startMs >= 1500) return {};
      // The retransmission of the one at 450 gets through at 1450, for once; all others are in vain.
      return startMs === 450 ? { endMs: 1450 } : { endMs: startMs + 500, served: false };
    });
    expect(serviceGaps(seen, options)).toEqual([{ startMs: 100, endMs: 1500.5 }]);
  });

  test('a pause in which attempts only queue is one, though all of them are served in time', () => {
    const seen = attempts(0, 500, (startMs) => (startMs >= 200 && startMs < 230 ? { endMs: 230 + startMs / 1e4 } : {}));
    expect(serviceGaps(seen, options)).toEqual([{ startMs: 200, endMs: 230.02 }]);
  });

  test('while the prober itself stood still nothing is known, and nothing is blamed on the service', () => {
    expect(serviceGaps([...attempts(0, 100), ...attempts(400, 500)], options)).toEqual([]);
  });

  test('an attempt in flight when the service went is waiting from the last proof on', () => {
    const seen: Attempt[] = [
      { startMs: 0, endMs: 5, served: true },
      { startMs: 4, endMs: 504, served: false },
      { startMs: 90, endMs: 91, served: true },
    ];
    expect(serviceGaps(seen, options)).toEqual([
      { startMs: 0, endMs: 5 },
      { startMs: 5, endMs: 91 },
    ]);
  });

  test('one attempt that was lost, with service around it, is no gap; not even when it was among the last', () => {
    const seen = attempts(0, 1000, (startMs) =>
      startMs === 500 || startMs === 997 ? { served: false, endMs: startMs + 500 } : {},
    );
    expect(serviceGaps(seen, { ...options, untilMs: 999 })).toEqual([]);
  });

  test('an outage that does not end lasts until the end of the measurement', () => {
    const seen = attempts(0, 1000, (startMs) => (startMs >= 600 ? { served: false, endMs: startMs + 500 } : {}));
    expect(serviceGaps(seen, options)).toEqual([{ startMs: 600, endMs: 10_000 }]);
  });

  test('nothing served at all is one gap from the first attempt on', () => {
    const seen = attempts(50, 100, () => ({ served: false }));
    expect(serviceGaps(seen, options)).toEqual([{ startMs: 50, endMs: 10_000 }]);
  });

  test('the order in which attempts are noted does not matter', () => {
    const seen = attempts(0, 1000, (startMs) => (startMs >= 100 && startMs < 300 ? { served: false } : {}));
    expect(serviceGaps(seen.toReversed(), options)).toEqual(serviceGaps(seen, options));
  });

  test('no attempts, no gaps', () => {
    expect(serviceGaps([], options)).toEqual([]);
  });
});

describe('GapMeter', () => {
  test('measures from the moment something is awaited, not from the last arrival', () => {
    const meter = new GapMeter();
    meter.expects(0);
    meter.arrived(5, false);
    meter.expects(1000);
    meter.arrived(1020, false);
    expect(meter.longest).toEqual({ startMs: 1000, endMs: 1020 });
  });

  test('while more is awaited, the time between two arrivals counts', () => {
    const meter = new GapMeter();
    meter.expects(0);
    meter.arrived(5, true);
    meter.expects(50);
    meter.arrived(105, false);
    expect(meter.longest).toEqual({ startMs: 5, endMs: 105 });
  });

  test('what is given up ends a gap', () => {
    const meter = new GapMeter();
    meter.expects(10);
    meter.gaveUp(400);
    meter.arrived(9000, false);
    expect(meter.longest).toEqual({ startMs: 10, endMs: 400 });
  });

  test('nothing awaited, no gap', () => {
    const meter = new GapMeter();
    meter.arrived(100, false);
    expect(meter.longest).toBeUndefined();
  });
});
