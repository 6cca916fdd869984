import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildMaglevTable, pick } from '../../../../src/proxy/index.ts';
import { pool, question, server, servers, sources, sum, tally } from './servers.ts';
import type { TestServer } from './servers.ts';

const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/), { minLength: 2, maxLength: 20 });

describe('the table', () => {
  it('has 65,537 places, all of them taken', () => {
    const table = buildMaglevTable(servers([1, 2, 3]));
    expect(table).toHaveLength(65_537);
    expect(table.every((place) => place < 3)).toBe(true);
  });

  it('gives equal servers equal shares, to one place', () => {
    fc.assert(
      fc.property(names, (given) => {
        const counts = shares(given.map((name) => server(name)));
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 20 },
    );
  });

  it('gives servers shares in proportion to their weights', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 256 }), { minLength: 1, maxLength: 10 }), (weights) => {
        const counts = shares(servers(weights));
        for (const [index, weight] of weights.entries()) {
          const fair = (65_537 * weight) / sum(weights);
          expect(Math.abs((counts[index] ?? 0) - fair)).toBeLessThanOrEqual(1 + fair * 0.01);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('does not depend on the order in which servers are listed', () => {
    // Who is listed first claims first, so the places that both want may differ; nearly all are the same.
    const all = servers(Array.from({ length: 10 }, () => 1));
    expect(moved(all, all.toReversed())).toBeLessThan(0.05);
  });
});

describe('disruption', () => {
  it.each([3, 5, 10, 20, 50])('by one of %i servers that goes: its keys, and few of the others', (count) => {
    for (let gone = 0; gone < Math.min(count, 5); gone++) {
      const all = servers(Array.from({ length: count }, () => 1));
      const lacking = all.filter((_, index) => index !== gone);
      // Of the keys that need not move: the paper's figure for a table this much larger than the pool is some percent.
      expect(movedOfOthers(all, lacking)).toBeLessThan(0.05);
      expect(moved(all, lacking)).toBeLessThan(1 / count + 0.05);
    }
  });

  it('by one server that comes: it gets its share, and few of the others move between each other', () => {
    const before = servers(Array.from({ length: 9 }, () => 1));
    const after = [...before, server('new')];
    expect(moved(before, after)).toBeGreaterThan(0.08);
    expect(moved(before, after)).toBeLessThan(0.1 + 0.05);
  });

  it('is a property of any names: the others keep nearly all', () => {
    fc.assert(
      fc.property(names, fc.nat(), (given, pickOne) => {
        const all = given.map((name) => server(name));
        const gone = pickOne % all.length;
        expect(
          movedOfOthers(
            all,
            all.filter((_, index) => index !== gone),
          ),
        ).toBeLessThan(0.12);
      }),
      { numRuns: 20 },
    );
  });
});

describe('maglev', () => {
  it('sends a source to the same server, also where that one is full', () => {
    const all = servers([1, 1, 1]);
    const first = pick('maglev', pool(all), question());
    if (first !== undefined) first.isFull = true;
    expect(pick('maglev', pool(all), question())).toBe(first);
  });

  it('spreads the sources by weight', () => {
    const all = servers([5, 3, 2]);
    const table = pool(all);
    const picks = sources(20_000).map((source) => pick('maglev', table, question({ source })));
    const parts = tally(all, picks).map((count) => count / picks.length);
    for (const [index, share] of [0.5, 0.3, 0.2].entries())
      expect(Math.abs((parts[index] ?? 0) - share)).toBeLessThan(0.02);
  });

  it('spreads the sources of a server that refuses over all others', () => {
    const all = servers(Array.from({ length: 5 }, () => 1));
    const table = pool(all);
    const excluded = new Set(['s2']);
    const moving = sources(10_000).filter((source) => pick('maglev', table, question({ source }))?.name === 's2');
    const counts = tally(
      all,
      moving.map((source) => pick('maglev', table, question({ source, excluded }))),
    );
    expect(counts[2]).toBe(0);
    for (const index of [0, 1, 3, 4]) expect((counts[index] ?? 0) / moving.length).toBeGreaterThan(0.15);
  });
});

function shares(all: readonly TestServer[]): number[] {
  const counts = all.map(() => 0);
  for (const place of buildMaglevTable(all)) counts[place] = (counts[place] ?? 0) + 1;
  return counts;
}

/** The part of all places that have another server. */
function moved(before: readonly TestServer[], after: readonly TestServer[]): number {
  const [a, b] = [owners(before), owners(after)];
  return a.filter((name, place) => name !== b[place]).length / a.length;
}

/** The part that has another server although the old one is still there, of the places of those. */
function movedOfOthers(before: readonly TestServer[], after: readonly TestServer[]): number {
  const [a, b] = [owners(before), owners(after)];
  const staying = new Set(after.map(({ name }) => name));
  const keeping = a.filter((name) => staying.has(name)).length;
  return a.filter((name, place) => staying.has(name) && name !== b[place]).length / keeping;
}

function owners(all: readonly TestServer[]): string[] {
  return Array.from(buildMaglevTable(all), (place) => all[place]?.name ?? '');
}
