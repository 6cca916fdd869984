import { describe, expect, it } from 'vitest';
import { judgeFailover } from '../../bench/failover-judge.ts';
import type { SeenByProber } from '../../bench/failover-judge.ts';

const struckAtMs = 1000;
const seen = (startMs: number, endMs: number, pauseMs = 1): SeenByProber => ({
  longestGap: { startMs, endMs, ms: endMs - startMs, pauseMs },
});

describe('a failover', () => {
  it('lasts as long as the gap that the death of the node made', () => {
    expect(judgeFailover(seen(1010, 1046), struckAtMs)).toEqual({ isValid: true, gapMs: 36 });
  });

  it('may be seen from a moment before the order was carried out', () => {
    expect(judgeFailover(seen(999, 1035), struckAtMs)).toEqual({ isValid: true, gapMs: 36 });
  });

  it.each([
    ['nothing was seen', { longestGap: undefined }, /no time without service/],
    ['a longer gap came before', seen(900, 950), /began -100.0 ms after the node was struck/],
    ['a longer gap came long after', seen(1400, 1440), /began 400.0 ms after/],
    ['the prober paused for too much of it', seen(1010, 1046, 12.5), /the prober paused for 12.5 ms, the gap was 36.0/],
  ])('says nothing where %s', (_, report, reason) => {
    const verdict = judgeFailover(report, struckAtMs);
    expect(verdict.isValid ? '' : verdict.reason).toMatch(reason);
  });

  it('bears a pause of a third', () => {
    expect(judgeFailover(seen(1010, 1046, 12), struckAtMs).isValid).toBe(true);
  });
});
