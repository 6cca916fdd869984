import { describe, expect, it } from 'vitest';
import { byteCount, duration, table } from '../../../src/cli/render.ts';

describe('table', () => {
  it('aligns its columns and leaves no white space at the end', () => {
    expect(
      table([
        ['A', 'LONG'],
        ['wide', 'x'],
        ['b', ''],
      ]),
    ).toBe('A     LONG\nwide  x\nb');
  });
});

describe('duration', () => {
  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [1_000, '1.0 s'],
    [59_900, '59.9 s'],
    [60_000, '1 m 0 s'],
    [3_599_000, '59 m 59 s'],
    [3_600_000, '1 h 0 m'],
    [172_800_000, '2 d'],
  ])('%d ms reads %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});

describe('byteCount', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [1_250_000, '1.3 MB'],
    [7e12, '7.0 TB'],
    [7e15, '7000.0 TB'],
  ])('%d reads %s', (bytes, text) => {
    expect(byteCount(bytes)).toBe(text);
  });
});
