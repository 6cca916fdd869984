/** What every bench answers: figures in rows, as a table for people and as one line of JSON for programs. */

/** One system in one case. Peers are rows of the same case and metric. */
export type Row = Summary & {
  readonly system: string;
  readonly case: string;
  readonly metric: string;
  readonly unit: 'ms' | 'count' | 'bytes' | 'percent';
};

export type Summary = {
  readonly runs: number;
  readonly min: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
};

/** Percentiles are nearest-rank (of 20 runs the 99th is the maximum), the median is the mean of the middle two. */
export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => round(sorted[index] ?? NaN);
  const middle = (sorted.length - 1) / 2;
  return {
    runs: sorted.length,
    min: at(0),
    median: round(((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2),
    p99: at(Math.ceil(sorted.length * 0.99) - 1),
    max: at(sorted.length - 1),
  };
}

/** Rows of one case stand together, in the order in which their cases came first. */
export function table(rows: readonly Row[]): string {
  const header = ['case', 'metric', 'system', 'runs', 'min', 'median', 'p99', 'max'];
  const cases = [...new Set(rows.map((row) => row.case))];
  const cells = cases
    .flatMap((name) => rows.filter((row) => row.case === name))
    .map(({ case: name, metric, unit, system, runs, min, median, p99, max }) => [
      ...[name, `${metric} (${unit})`, system, String(runs)],
      ...[min, median, p99, max].map((value) => value.toFixed(1)),
    ]);
  const lines = [header, ...cells];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => line.map((cell, column) => pad(cell, column, widths)).join('  ')).join('\n');
}

/** The last line of a bench's output with --json. */
export function jsonLine(bench: string, rows: readonly Row[]): string {
  return JSON.stringify({ bench, rows });
}

/** Numbers stand to the right: their digits are compared. */
function pad(cell: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0;
  return column < 3 ? cell.padEnd(width) : cell.padStart(width);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
