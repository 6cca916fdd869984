import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { latencyAt, observeLatency, pick } from '../../../../src/proxy/index.ts';
import type { Latency } from '../../../../src/proxy/index.ts';
import { pool, question, server } from './servers.ts';

const connects = (sampleMs: number, atMs = 0, known?: Latency): Latency =>
  observeLatency(known, 'connect', sampleMs, atMs);

describe('the latency of a server', () => {
  it('is the time to connect and the time to the first byte', () => {
    const latency = observeLatency(connects(3), 'firstByte', 40, 0);
    expect(latencyAt(latency, 0)).toBe(43);
  });

  it('rises to a peak at once', () => {
    expect(latencyAt(connects(500, 100, connects(2)), 100)).toBe(500);
  });

  it('sinks bit by bit: a good answer soon after a peak changes little, one long after it nearly all', () => {
    const peak = connects(500);
    expect(latencyAt(connects(2, 100, peak), 100)).toBeGreaterThan(490);
    expect(latencyAt(connects(2, 60_000, peak), 60_000)).toBeLessThan(4);
  });

  it('never leaves the range of what was measured', () => {
    const samples = fc.array(fc.record({ ms: fc.nat(5_000), afterMs: fc.nat(20_000) }), { minLength: 1 });
    fc.assert(
      fc.property(samples, (all) => {
        let [latency, nowMs]: [Latency | undefined, number] = [undefined, 0];
        for (const { ms, afterMs } of all) latency = connects(ms, (nowMs += afterMs), latency);
        const range = all.map(({ ms }) => ms);
        const value = latency === undefined ? -1 : latencyAt(latency, nowMs);
        expect(value).toBeGreaterThanOrEqual(Math.min(...range) - 1e-9);
        expect(value).toBeLessThanOrEqual(Math.max(...range));
      }),
    );
  });

  it('fades while it is not measured', () => {
    expect(latencyAt(connects(100), 30_000)).toBeLessThan(6);
  });

  it('of connecting says nothing about the first byte, and the other way round', () => {
    const slow = observeLatency(connects(1), 'firstByte', 300, 0);
    expect(latencyAt(connects(1, 50, slow), 50)).toBeGreaterThan(290);
  });
});

describe('leasttime', () => {
  it('picks the lowest latency times load for its weight', () => {
    const one = fc.record({
      weight: fc.integer({ min: 1, max: 256 }),
      connections: fc.nat(100),
      latency: fc.integer({ min: 1, max: 5_000 }).map((ms) => connects(ms)),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), (given) => {
        const all = given.map((spec, index) => server(`s${index}`, spec));
        const cost = (of: (typeof all)[number]): number =>
          (latencyAt(of.latency ?? {}, 0) * (of.connections + 1)) / of.weight;
        const picked = pick('leasttime', pool(all), question());
        expect(picked && cost(picked)).toBe(Math.min(...all.map(cost)));
      }),
    );
  });

  it('prefers a quick server until its load outweighs its lead', () => {
    const [quick, slow] = [server('quick', { latency: connects(10) }), server('slow', { latency: connects(40) })];
    const names: (string | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      const picked = pick('leasttime', pool([quick, slow]), question());
      if (picked !== undefined) picked.connections++;
      names.push(picked?.name);
    }
    expect(names).toEqual(['quick', 'quick', 'quick', 'quick', 'slow']);
  });

  it('tries a server that has not been measured yet', () => {
    const all = [server('known', { latency: connects(5), connections: 1 }), server('new')];
    expect(pick('leasttime', pool(all), question())?.name).toBe('new');
  });

  it('tries a server again whose peak was long ago', () => {
    const all = [
      server('quick', { latency: connects(10, 60_000), connections: 1 }),
      server('slow', { latency: connects(900) }),
    ];
    expect(pick('leasttime', pool(all), question({ nowMs: 60_000 }))?.name).toBe('slow');
    expect(pick('leasttime', pool(all), question({ nowMs: 1_000 }))?.name).toBe('quick');
  });

  it('takes equal servers in turn', () => {
    const all = pool([server('a'), server('b'), server('c')]);
    expect([1, 2, 3].map(() => pick('leasttime', all, question())?.name)).toEqual(['a', 'b', 'c']);
  });
});
