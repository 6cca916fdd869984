import type { Row } from './report.ts';

export type BenchOptions = {
  /** Few runs and cases: all is over within 45 seconds. */
  readonly isQuick: boolean;
  /** Of each system in each case; undefined: the bench's own choice. */
  readonly runs: number | undefined;
  /** The one case to measure, by name; undefined: all. A bench throws OperatorError for one that it does not have. */
  readonly only: string | undefined;
  /** Progress, for people; not part of the results. */
  readonly tell: (line: string) => void;
};

export type Bench = {
  /** One line: what is measured. */
  readonly summary: string;
  readonly run: (options: BenchOptions) => Promise<readonly Row[]>;
  /** What must not be, if it is: said as an error, and the exit code is 1. */
  readonly complaint?: (rows: readonly Row[]) => string | undefined;
};
