import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pick } from '../../../../src/proxy/index.ts';
import type { Balance } from '../../../../src/proxy/index.ts';
import { fractions, pool, question, server, servers, sources, sum, tally } from './servers.ts';
import type { TestServer } from './servers.ts';

const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 8 });
const balances = ['roundrobin', 'leastconn', 'random', 'source', 'maglev', 'leasttime', 'first'] as const;

describe.each(balances)('%s', (balance) => {
  it('answers that there is no server when there is none or all are excluded', () => {
    expect(pick(balance, pool([]), question())).toBeUndefined();
    expect(pick(balance, pool(servers([1, 1])), question({ excluded: new Set(['s0', 's1']) }))).toBeUndefined();
  });

  it('picks the only one that is not excluded', () => {
    const all = servers([9, 1, 9]);
    for (const source of sources(20)) {
      expect(pick(balance, pool(all), question({ source, excluded: new Set(['s0', 's2']) }))?.name).toBe('s1');
    }
  });
});

describe.each(['roundrobin', 'leastconn', 'random', 'leasttime', 'first'] as const)('%s', (balance) => {
  it('passes over servers that are full, and answers that there is none when all are', () => {
    const all = servers([9, 1, 9]);
    for (const name of [0, 2]) Object.assign(all[name] ?? {}, { isFull: true });
    expect(pick(balance, pool(all), question())?.name).toBe('s1');
    Object.assign(all[1] ?? {}, { isFull: true });
    expect(pick(balance, pool(all), question())).toBeUndefined();
  });
});

describe('roundrobin', () => {
  it('gives each server exactly its weight over one cycle', () => {
    fc.assert(
      fc.property(weights, (all) => {
        expect(countsAfter(all, sum(all))).toEqual(all);
        expect(countsAfter(all, 2 * sum(all))).toEqual(all.map((weight) => 2 * weight));
      }),
      { numRuns: 50 },
    );
  });

  it('never puts a server a whole connection ahead of its share: no bursts', () => {
    fc.assert(
      fc.property(weights, (all) => {
        const counts = all.map(() => 0);
        let picks = 0;
        for (const index of sequence(all, sum(all))) {
          counts[index] = (counts[index] ?? 0) + 1;
          picks++;
          const share = (picks * (all[index] ?? 0)) / sum(all);
          expect((counts[index] ?? 0) - share).toBeLessThan(1);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('spreads 5:1:1 as nginx documents it', () => {
    expect([...sequence([5, 1, 1], 7)].map((index) => 'abc'[index]).join('')).toBe('aabacaa');
  });

  it('passes over excluded servers without taking their share from them', () => {
    const all = pool(servers([1, 1]));
    expect(pick('roundrobin', all, question({ excluded: new Set(['s0']) }))?.name).toBe('s1');
    expect(pick('roundrobin', all, question())?.name).toBe('s0');
  });
});

describe('leastconn', () => {
  it('always picks a server whose load for its weight is smallest after the pick', () => {
    const loaded = fc.record({ weight: fc.integer({ min: 1, max: 256 }), connections: fc.nat(1000) });
    fc.assert(
      fc.property(fc.array(loaded, { minLength: 1, maxLength: 8 }), (given) => {
        const all = given.map((one, index) => server(`s${index}`, one));
        const load = (one: TestServer): number => (one.connections + 1) / one.weight;
        const picked = pick('leastconn', pool(all), question());
        expect(picked && load(picked)).toBe(Math.min(...all.map(load)));
      }),
    );
  });

  it('fills servers in proportion to their weights', () => {
    expect(fill('leastconn', servers([4, 2, 1]), 70)).toEqual([40, 20, 10]);
  });

  it('takes equally loaded servers in turn', () => {
    const all = pool(servers([1, 1, 1]));
    const names = [1, 2, 3].map(() => pick('leastconn', all, question())?.name);
    expect(names).toEqual(['s0', 's1', 's2']);
  });
});

describe('random', () => {
  it('gives idle servers their shares by weight', () => {
    const all = servers([6, 3, 1]);
    const fraction = fractions(1);
    const picks = Array.from({ length: 20_000 }, () => pick('random', pool(all), question({ fraction })));
    const shares = tally(all, picks).map((count) => count / picks.length);
    for (const [index, share] of [0.6, 0.3, 0.1].entries())
      expect(Math.abs((shares[index] ?? 0) - share)).toBeLessThan(0.015);
  });

  it('never picks a server that has more connections for its weight than all others', () => {
    const loaded = fc.record({ weight: fc.integer({ min: 1, max: 256 }), connections: fc.nat(1000) });
    fc.assert(
      fc.property(fc.array(loaded, { minLength: 2, maxLength: 8 }), fc.nat(), (given, seed) => {
        const all = given.map((one, index) => server(`s${index}`, one));
        const load = ({ connections, weight }: TestServer): number => connections / weight;
        const picked = pick('random', pool(all), question({ fraction: fractions(seed) }));
        const others = all.filter((one) => one !== picked).map(load);
        expect(picked && load(picked)).toBeLessThanOrEqual(Math.max(...others));
      }),
    );
  });

  it('keeps the fullest of many equal servers close to the average, as one random choice would not', () => {
    const counts = fill('random', servers(Array.from({ length: 100 }, () => 1)), 10_000, fractions(3));
    expect(Math.max(...counts)).toBeLessThanOrEqual(104);
  });
});

describe('source', () => {
  it('sends a source to the same server for as long as the pool is the same, however loaded it is', () => {
    fc.assert(
      fc.property(weights, fc.ipV4(), (given, source) => {
        const all = servers(given);
        const first = pick('source', pool(all), question({ source }));
        for (const one of all) Object.assign(one, { connections: 1000, isFull: true });
        expect(pick('source', pool(all), question({ source }))).toBe(first);
      }),
    );
  });

  it('gives each server its share of the sources by weight', () => {
    const all = servers([5, 3, 2]);
    const picks = sources(20_000).map((source) => pick('source', pool(all), question({ source })));
    const shares = tally(all, picks).map((count) => count / picks.length);
    for (const [index, share] of [0.5, 0.3, 0.2].entries())
      expect(Math.abs((shares[index] ?? 0) - share)).toBeLessThan(0.02);
  });

  it('sends the sources of a server that refuses to others, each to the same one every time', () => {
    const all = servers([1, 1, 1]);
    const asked = question({ source: '192.0.2.7' });
    const first = pick('source', pool(all), asked);
    const again = { ...asked, excluded: new Set([first?.name ?? '']) };
    const second = pick('source', pool(all), again);
    expect(second).not.toBe(first);
    expect(pick('source', pool(all), again)).toBe(second);
  });
});

describe('first', () => {
  it('fills the first server, then the next, and comes back to the first when that has room again', () => {
    const all = servers([1, 1, 1]);
    const limited = (): string | undefined => {
      for (const one of all) one.isFull = one.connections >= 2;
      const picked = pick('first', pool(all), question());
      if (picked !== undefined) picked.connections++;
      return picked?.name;
    };
    expect([1, 2, 3, 4, 5, 6, 7].map(limited)).toEqual(['s0', 's0', 's1', 's1', 's2', 's2', undefined]);
    Object.assign(all[0] ?? {}, { connections: 1 });
    expect(limited()).toBe('s0');
  });
});

function* sequence(given: readonly number[], length: number): Generator<number> {
  const all = servers(given);
  for (let i = 0; i < length; i++) {
    const picked = pick('roundrobin', pool(all), question());
    yield picked === undefined ? -1 : all.indexOf(picked);
  }
}

function countsAfter(given: readonly number[], picks: number): number[] {
  const counts = given.map(() => 0);
  for (const index of sequence(given, picks)) counts[index] = (counts[index] ?? 0) + 1;
  return counts;
}

/** The connections of each server after so many that stay. */
function fill(balance: Balance, all: TestServer[], connections: number, fraction = () => 0): readonly number[] {
  for (let i = 0; i < connections; i++) {
    const picked = pick(balance, pool(all), question({ fraction }));
    if (picked !== undefined) picked.connections++;
  }
  return all.map((one) => one.connections);
}
