import { describe, expect, it } from 'vitest';
import { readAdvertLog } from '../../bench/advert-log.ts';

const advert = (atMs: number, source = 'lb1', priority = 200) => ({ atMs, source, priority });

describe('a log of adverts', () => {
  it('of one punctual router has no transitions and no lateness', () => {
    const log = readAdvertLog([advert(0), advert(10), advert(20)], 10);
    expect(log).toEqual({ transitions: 0, latenessesMs: [0, 0] });
  });

  it('counts the time beyond an interval, and nothing for the advert after it that comes early', () => {
    const log = readAdvertLog([advert(0), advert(14), advert(20)], 10);
    expect(log.latenessesMs).toEqual([4, 0]);
  });

  it('counts each change of the router that speaks, and each goodbye', () => {
    const seen = [advert(0), advert(10, 'lb2', 100), advert(11), advert(12, 'lb1', 0), advert(20, 'lb2', 100)];
    expect(readAdvertLog(seen, 10).transitions).toBe(4);
  });

  it('of nobody says nothing', () => {
    expect(readAdvertLog([], 10)).toEqual({ transitions: 0, latenessesMs: [] });
  });
});
