/**
 * How long clients are not served when the active node dies: the longest time in which a client that opens a
 * connection through the virtual IP each millisecond had no answer. Tandem and keepalived + HAProxy take turns, run by
 * run, each in a lab of its own of one and the same topology.
 *
 *   cut    both cables of the active node are cut, then all its processes killed: a power cut
 *   kill   all processes of the active node are killed; its kernel and its cables live on
 *
 * The node that died comes back as the standby. So the nodes die in turns, in the same turns for both systems, and at
 * the same moments between two of their adverts.
 */

import { OperatorError } from '../../src/runtime/index.ts';
import type { BalancerName } from '../lab/stage.ts';
import { servicePort } from '../lab/tandem.ts';
import { monotonicMs, sleep } from '../lab/time.ts';
import { startProber } from '../lab/tools.ts';
import { virtualAddress } from '../lab/topology.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { judgeFailover } from './failover-judge.ts';
import type { FailoverVerdict } from './failover-judge.ts';
import { FailoverPair } from './failover-pair.ts';
import type { Trigger } from './failover-pair.ts';
import { keepalivedSoftware } from './keepalived-balancer.ts';
import { summarise } from './report.ts';
import type { Row } from './report.ts';
import { tandemSoftware } from './tandem-balancer.ts';

/** The same for both systems. */
type RunStart = { readonly active: BalancerName; readonly phase: number };
type Cell = { readonly trigger: Trigger; readonly advertIntervalMs: number; readonly runs: number };

const runsDefault = 20;
const allCells: readonly Cell[] = [10, 100, 1000].flatMap((advertIntervalMs) => [
  { trigger: 'cut', advertIntervalMs, runs: runsDefault },
  { trigger: 'kill', advertIntervalMs, runs: runsDefault },
]);
/** The most telling first: what would not end within the budget is left out. */
const quickCells: readonly Cell[] = [
  { trigger: 'cut', advertIntervalMs: 10, runs: 2 },
  { trigger: 'kill', advertIntervalMs: 10, runs: 2 },
  { trigger: 'kill', advertIntervalMs: 1000, runs: 1 },
  { trigger: 'cut', advertIntervalMs: 100, runs: 1 },
  { trigger: 'kill', advertIntervalMs: 100, runs: 1 },
];
const quickBudgetMs = 40_000;
/** Before the death, so that it is seen that there was service, and after it came back. */
const leadMs = 300;
const tailMs = 250;
/** Runs in a row that say nothing, until the machine counts as too busy to measure. */
const invalidMax = 20;

export const failover: Bench = {
  summary: 'time without service when the active node dies, at adverts of 10 ms, 100 ms and 1 s',
  async run(options) {
    const startedAtMs = monotonicMs();
    const cells = cellsOf(options);
    const pairs = await createPairs();
    try {
      const rows: Row[] = [];
      for (const cell of cells) {
        if (options.isQuick && monotonicMs() - startedAtMs + expectedMs(cell) > quickBudgetMs) break;
        rows.push(...(await measureCell(pairs, cell, options)));
      }
      return rows;
    } finally {
      await Promise.all(pairs.map((pair) => pair.destroy()));
    }
  },
};

async function createPairs(): Promise<readonly FailoverPair[]> {
  const tandem = await FailoverPair.create(tandemSoftware);
  try {
    return [tandem, await FailoverPair.create(keepalivedSoftware)];
  } catch (error) {
    await tandem.destroy();
    throw error;
  }
}

function cellsOf({ isQuick, runs, only }: BenchOptions): readonly Cell[] {
  const all = isQuick ? quickCells : allCells;
  const cells = all.filter((cell) => only === undefined || nameOf(cell) === only);
  if (cells.length > 0) return cells.map((cell) => ({ ...cell, runs: runs ?? cell.runs }));
  const names = all.map(nameOf).join(', ');
  throw new OperatorError('CASE_UNKNOWN', `the bench failover has no case ${only ?? ''}`, `choose one of: ${names}`);
}

function nameOf({ trigger, advertIntervalMs }: Cell): string {
  return `${trigger}@${advertIntervalMs}ms`;
}

/** Of both systems: to start them, and for each run to mend the pair, to wait for an advert, and the gap itself. */
function expectedMs({ advertIntervalMs, runs }: Cell): number {
  return 2000 + 4 * advertIntervalMs + runs * 2 * (2000 + 5 * advertIntervalMs);
}

async function measureCell(pairs: readonly FailoverPair[], cell: Cell, { tell }: BenchOptions): Promise<Row[]> {
  const name = nameOf(cell);
  await Promise.all(pairs.map((pair) => pair.start(cell.advertIntervalMs)));
  const gaps = pairs.map((): number[] => []);
  for (let run = 1; run <= cell.runs; run++) {
    const start = { active: run % 2 === 1 ? 'lb1' : 'lb2', phase: phaseOf(run, cell.runs) } as const;
    for (const [index, pair] of pairs.entries()) {
      const tellOfRun = (line: string): void => tell(`${name} ${run}/${cell.runs} ${pair.system}: ${line}`);
      gaps[index]?.push(await measure(pair, cell, start, tellOfRun));
    }
  }
  return pairs.map(({ system }, index) => ({
    system,
    case: name,
    metric: 'gap',
    unit: 'ms',
    ...summarise(gaps[index] ?? []),
  }));
}

/**
 * When in the time between two adverts the node dies, as a share of it: spread evenly over the runs of each side. That
 * moment decides more than anything else how long the standby waits, and left to chance it would hide what differs.
 */
function phaseOf(run: number, runs: number): number {
  return (Math.floor((run - 1) / 2) + 0.5) / Math.ceil(runs / 2);
}

/** Repeats until a run says something. */
async function measure(pair: FailoverPair, cell: Cell, start: RunStart, tell: (line: string) => void): Promise<number> {
  for (let attempt = 0; attempt < invalidMax; attempt++) {
    const verdict = await failOver(pair, cell, start);
    if (verdict.isValid) {
      tell(`${verdict.gapMs.toFixed(1)} ms`);
      return verdict.gapMs;
    }
    tell(`invalid, repeated: ${verdict.reason}`);
  }
  throw new Error(`${invalidMax} runs in a row were invalid; this machine is too busy to measure`);
}

/** The death of the active node under a prober's eyes. */
async function failOver(
  pair: FailoverPair,
  { trigger, advertIntervalMs }: Cell,
  { active, phase }: RunStart,
): Promise<FailoverVerdict> {
  await pair.makeWhole(active);
  const takeOver = pair.watchTakeOver(active);
  const strike = pair.prepareStrike(active, trigger);
  const prober = await startProber(pair.lab.host('client'), { address: virtualAddress, port: servicePort });
  await sleep(leadMs);
  await pair.nextAdvert();
  await sleep(phase * advertIntervalMs);
  const struckAtMs = monotonicMs();
  await strike();
  await takeOver.done;
  await sleep(tailMs);
  return judgeFailover(await prober.stop(), struckAtMs);
}
