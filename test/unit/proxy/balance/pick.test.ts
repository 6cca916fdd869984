import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pick } from '../../../../src/proxy/index.ts';
import type { BalanceState, Candidate } from '../../../../src/proxy/index.ts';

const none: ReadonlySet<string> = new Set();
const weights = fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 8 });

describe('roundrobin', () => {
  it('gives each server exactly its weight over one cycle', () => {
    fc.assert(
      fc.property(weights, (all) => {
        const cycle = sum(all);
        expect(countsAfter(all, cycle)).toEqual(all);
        expect(countsAfter(all, 2 * cycle)).toEqual(all.map((weight) => 2 * weight));
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

  it('answers that there is no server when there is none or all are excluded', () => {
    expect(pick('roundrobin', [], new Map(), none).server).toBeUndefined();
    expect(pick('roundrobin', candidates([1]), new Map(), new Set(['s0'])).server).toBeUndefined();
  });

  it('passes over excluded servers without taking their share from them', () => {
    const all = candidates([1, 1]);
    const first = pick('roundrobin', all, new Map(), new Set(['s0']));
    expect(first.server?.name).toBe('s1');
    expect(pick('roundrobin', all, first.state, none).server?.name).toBe('s0');
  });
});

describe('leastconn', () => {
  it('always picks a server whose load for its weight is smallest after the pick', () => {
    const server = fc.record({ weight: fc.integer({ min: 1, max: 256 }), connections: fc.nat(1000) });
    fc.assert(
      fc.property(fc.array(server, { minLength: 1, maxLength: 8 }), (servers) => {
        const all = servers.map((one, index) => ({ name: `s${index}`, ...one }));
        const load = (one: Candidate): number => (one.connections + 1) / one.weight;
        const picked = pick('leastconn', all, new Map(), none).server;
        expect(picked && load(picked)).toBe(Math.min(...all.map(load)));
      }),
    );
  });

  it('fills servers in proportion to their weights', () => {
    const all = [4, 2, 1].map((weight, index) => ({ name: `s${index}`, weight, connections: 0 }));
    let state: BalanceState = new Map();
    for (let i = 0; i < 70; i++) {
      const picked = pick('leastconn', all, state, none);
      if (picked.server !== undefined) picked.server.connections++;
      state = picked.state;
    }
    expect(all.map((one) => one.connections)).toEqual([40, 20, 10]);
  });

  it('takes equally loaded servers in turn', () => {
    let state: BalanceState = new Map();
    const names = [1, 2, 3].map(() => {
      const picked = pick('leastconn', candidates([1, 1, 1]), state, none);
      state = picked.state;
      return picked.server?.name;
    });
    expect(names).toEqual(['s0', 's1', 's2']);
  });
});

function candidates(all: readonly number[]): readonly Candidate[] {
  return all.map((weight, index) => ({ name: `s${index}`, weight, connections: 0 }));
}

function* sequence(all: readonly number[], length: number): Generator<number> {
  const servers = candidates(all);
  let state: BalanceState = new Map();
  for (let i = 0; i < length; i++) {
    const picked = pick('roundrobin', servers, state, none);
    state = picked.state;
    yield Number(picked.server?.name.slice(1));
  }
}

function countsAfter(all: readonly number[], picks: number): number[] {
  const counts = all.map(() => 0);
  for (const index of sequence(all, picks)) counts[index] = (counts[index] ?? 0) + 1;
  return counts;
}

function sum(all: readonly number[]): number {
  return all.reduce((total, one) => total + one, 0);
}
