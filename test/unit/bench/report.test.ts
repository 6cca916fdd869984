import { describe, expect, it } from 'vitest';
import { jsonLine, summarise, table } from '../../bench/report.ts';
import type { Row } from '../../bench/report.ts';

const row = (system: string, name: string, values: readonly number[]): Row => ({
  system,
  case: name,
  metric: 'gap',
  unit: 'ms',
  ...summarise(values),
});

describe('summarise', () => {
  it('orders by size, not as text', () => {
    expect(summarise([100, 9, 30])).toEqual({ runs: 3, min: 9, median: 30, p99: 100, max: 100 });
  });

  it('takes the mean of the middle two of an even number', () => {
    expect(summarise([1, 2, 4, 100]).median).toBe(3);
  });

  it('has a 99th percentile that leaves out the worst of a hundred and one', () => {
    const values = Array.from({ length: 101 }, (_, index) => index + 1);
    expect(summarise(values)).toMatchObject({ p99: 100, max: 101 });
    expect(summarise(values.slice(0, 20))).toMatchObject({ p99: 20, max: 20 });
  });

  it('rounds to hundredths', () => {
    expect(summarise([33.333333]).median).toBe(33.33);
  });
});

describe('what a bench prints', () => {
  const rows = [row('tandem', 'cut@10ms', [31]), row('tandem', 'kill@10ms', [8]), row('peer', 'cut@10ms', [1036])];

  it('is a table in which systems of one case stand together', () => {
    const lines = table(rows).split('\n');
    expect(lines.map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
      ['case', 'metric', 'system'],
      ['cut@10ms', 'gap (ms)', 'tandem'],
      ['cut@10ms', 'gap (ms)', 'peer'],
      ['kill@10ms', 'gap (ms)', 'tandem'],
    ]);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  });

  it('is a line of JSON with the bench and its rows', () => {
    const line = jsonLine('failover', rows);
    expect(line).not.toContain('\n');
    expect(JSON.parse(line)).toEqual({ bench: 'failover', rows });
    expect(Object.keys(rows[0] ?? {})).toEqual([
      'system',
      'case',
      'metric',
      'unit',
      'runs',
      'min',
      'median',
      'p99',
      'max',
    ]);
  });
});
