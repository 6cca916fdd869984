import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/config/duration.ts';

describe('duration', () => {
  test.each([
    ['100ms', 100],
    ['2s', 2_000],
    ['1.5s', 1_500],
    ['30m', 1_800_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['250us', 0.25],
    ['0s', 0],
    ['1.001s', 1_001],
    ['40.95s', 40_950],
  ])('%s is %d ms', (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  test.each(['', '100', 'ms', '1 s', '1S', '-1s', '1h30m', '.5s', '1.s', '1e3s', '1s\n', '1w'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  test.each([
    [100, '100ms'],
    [40_950, '40.95s'],
    [60_000, '1m'],
    [90_000, '90s'],
    [0.25, '250us'],
    [0, '0s'],
    [604_800_000, '7d'],
  ])('%d ms is written %s', (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });

  test('what is written reads back as the same duration', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999_999_999 }), (microseconds) => {
        expect(parseDuration(formatDuration(microseconds / 1000))).toBe(microseconds / 1000);
      }),
    );
  });
});
