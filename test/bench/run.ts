/**
 * Benches, against what people use today, in one run on one machine.
 *
 *   npm run -s bench                  lists them
 *   npm run -s bench -- NAME [--quick] [--json] [--runs N] [--only CASE]
 *   npm run -s bench -- all           one after the other
 *
 * Results go to standard output: a table, and with --json one line of JSON after it. Progress goes to standard error.
 */

import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { OperatorError } from '../../src/runtime/index.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { connections } from './connections.ts';
import { failover } from './failover.ts';
import { load } from './load.ts';
import { jsonLine, table } from './report.ts';
import { sync } from './sync.ts';

const benches: Readonly<Record<string, Bench>> = { failover, load, connections, sync };
const usage = 'usage: npm run -s bench -- NAME|all [--quick] [--json] [--runs N] [--only CASE]';
const runsMax = 1000;

async function main(): Promise<number> {
  const parsed = readArguments();
  if (parsed === undefined) return refuse();
  const { positionals, values } = parsed;
  const [name, ...more] = positionals;
  if (name === undefined) return list();
  const names = name === 'all' ? Object.keys(benches) : [name];
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (more.length > 0 || names.some((each) => benches[each] === undefined) || !isRunCount(runs)) return refuse();
  warnIfBusy();
  const options = { isQuick: values.quick, runs, only: values.only, tell };
  let isGood = true;
  for (const each of names) isGood = (await perform(each, options, values.json)) && isGood;
  return isGood ? 0 : 1;
}

type Arguments = {
  readonly positionals: readonly string[];
  readonly values: {
    readonly quick: boolean;
    readonly json: boolean;
    readonly runs?: string | undefined;
    readonly only?: string | undefined;
  };
};

/** Undefined if there are others than those that the usage names. */
function readArguments(): Arguments | undefined {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        runs: { type: 'string' },
        only: { type: 'string' },
      },
    });
  } catch {
    return undefined;
  }
}

function list(): number {
  console.log(`${usage}\n`);
  for (const [name, { summary }] of Object.entries(benches)) console.log(`  ${name.padEnd(12)} ${summary}`);
  return 0;
}

function refuse(): number {
  console.error(`${usage}\n  NAME is one of: ${Object.keys(benches).join(', ')}; N is from 1 to ${runsMax}`);
  return 2;
}

function isRunCount(runs: number | undefined): boolean {
  return runs === undefined || (Number.isInteger(runs) && runs >= 1 && runs <= runsMax);
}

/** False if the results are not as they must be. */
async function perform(name: string, options: BenchOptions, isJson: boolean): Promise<boolean> {
  const rows = (await benches[name]?.run(options)) ?? [];
  const complaint = benches[name]?.complaint?.(rows);
  console.log(table(rows));
  if (isJson) console.log(jsonLine(name, rows));
  if (complaint !== undefined) tell(`bench: ${complaint}`);
  return complaint === undefined;
}

/** Figures of milliseconds mean little on a machine that has other things to do. */
function warnIfBusy(): void {
  const [load = 0] = loadavg();
  if (load > availableParallelism() / 2) {
    tell(`warning: this machine is busy (load ${load.toFixed(1)} on ${availableParallelism()} cores)`);
  }
}

function tell(line: string): void {
  console.error(line);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof OperatorError ? `bench: ${error.line}` : error);
  process.exitCode = 1;
}
