import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StickTable } from '../../../src/proxy/index.ts';

const ttlMs = 1000;

describe('stick table', () => {
  it('forgets an entry when its time is over, not before', () => {
    const table = tableWith(['c', 's1']);
    expect(table.lookup('c', 999)).toBe('s1');
    expect(table.lookup('c', 1000)).toBeUndefined();
  });

  it('counts touching as use, looking not', () => {
    const table = tableWith(['touched', 's1'], ['looked-at', 's1']);
    table.touch('touched', 900);
    table.lookup('looked-at', 900);
    expect(table.lookup('touched', 1800)).toBe('s1');
    expect(table.lookup('looked-at', 1800)).toBeUndefined();
  });

  it('asks for a report of use once per tenth of the time to live', () => {
    const table = tableWith(['c', 's1']);
    expect([50, 99, 100, 150, 199, 200].map((nowMs) => table.touch('c', nowMs))).toEqual([
      false,
      false,
      true,
      false,
      false,
      true,
    ]);
    expect(table.touch('unknown', 500)).toBe(false);
  });

  it('drops what was unused for longest when it is full', () => {
    const table = new StickTable({ ttlMs, entriesMax: 2 });
    table.learn({ source: 'a', server: 's', ageMs: 0 }, 0);
    table.learn({ source: 'b', server: 's', ageMs: 0 }, 1);
    table.touch('a', 2);
    table.learn({ source: 'c', server: 's', ageMs: 0 }, 3);
    expect([...table.entries(4)].map((entry) => entry.source)).toEqual(['a', 'c']);
  });

  it('never holds more than it may, whatever it is told', () => {
    const told = fc.record({ source: fc.integer({ min: 0, max: 30 }).map(String), ageMs: fc.nat(1200) });
    fc.assert(
      fc.property(fc.array(told), (entries) => {
        const table = new StickTable({ ttlMs, entriesMax: 5 });
        for (const [nowMs, entry] of entries.entries()) {
          table.learn({ ...entry, server: 's' }, nowMs);
          expect(table.size).toBeLessThanOrEqual(5);
        }
      }),
    );
  });

  it('keeps the age of an entry that it is told, and does not take one that is too old', () => {
    const table = new StickTable({ ttlMs, entriesMax: 10 });
    table.learn({ source: 'old', server: 's', ageMs: 600 }, 0);
    table.learn({ source: 'too-old', server: 's', ageMs: 1000 }, 0);
    expect([...table.entries(100)]).toEqual([{ source: 'old', server: 's', ageMs: 700 }]);
    expect(table.lookup('old', 400)).toBeUndefined();
  });

  it('follows what it is told about the server, but does not forget its own more recent use', () => {
    const table = tableWith(['same', 's1'], ['moved', 's1']);
    table.learn({ source: 'same', server: 's1', ageMs: 500 }, 100);
    table.learn({ source: 'moved', server: 's2', ageMs: 500 }, 100);
    expect([...table.entries(100)]).toEqual([
      { source: 'same', server: 's1', ageMs: 100 },
      { source: 'moved', server: 's2', ageMs: 500 },
    ]);
  });

  it('clears one source or all', () => {
    const table = tableWith(['a', 's'], ['b', 's'], ['c', 's']);
    table.clear('a');
    expect(table.size).toBe(2);
    table.clear();
    expect(table.size).toBe(0);
  });
});

function tableWith(...entries: readonly (readonly [source: string, server: string])[]): StickTable {
  const table = new StickTable({ ttlMs, entriesMax: 100 });
  for (const [source, server] of entries) table.learn({ source, server, ageMs: 0 }, 0);
  return table;
}
