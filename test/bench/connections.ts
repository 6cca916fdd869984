/**
 * Ten thousand connections held open through one virtual IP while requests are served over them, few and then many: do
 * those that are idle slow down those that are not, and how much memory do they cost? Tandem and HAProxy take turns,
 * round by round, in one lab with the same clients and servers.
 */

import { readFileSync } from 'node:fs';
import { OperatorError } from '../../src/runtime/index.ts';
import { sleep } from '../lab/time.ts';
import type { Bench, BenchOptions } from './bench.ts';
import type { ClientEvent, ErrorKind, Errors } from './exchange-client.ts';
import { ExchangeStage, haproxyProcesses, tandemPair } from './exchange-stage.ts';
import type { Balancing } from './exchange-stage.ts';
import { summarise } from './report.ts';
import type { Row } from './report.ts';

/** What one round has measured of one system in one case. */
type Measured = {
  readonly errors: Errors;
  readonly latenciesMs: readonly number[];
  readonly bytesPerConnection: number;
};

const connectionCount = 10_000;
const rates = [100, 2_000];
const runsDefault = 3;
const phaseMs = 10_000;
const quickPhaseMs = 3_000;
/** What ends with the start (its code is compiled, its first checks are done) is not to be counted as connections'. */
const settleMs = 500;
const latencyLimitMs = 50;
/** What HAProxy asks for with the `maxconn` that it has here; a worker of Tandem needs two thirds of it. */
const descriptorsMin = 16_500;

const systems: readonly Balancing[] = [tandemPair, haproxyProcesses];

export const connections: Bench = {
  summary: 'latency and memory with 10,000 connections held open, at 100 and at 2,000 requests per second',
  async run(options) {
    const cases = casesOf(options);
    requireDescriptors();
    const stage = await ExchangeStage.create();
    try {
      return await measure(stage, cases, options);
    } finally {
      await stage.destroy();
    }
  },
  complaint(rows) {
    const own = rows.filter(({ system }) => system === 'tandem');
    const failed = own.find(({ metric, max }) => metric === 'errors' && max > 0);
    if (failed !== undefined) return `tandem had errors in ${failed.case}; it must have none`;
    const slow = own.find(({ metric, p99 }) => metric === 'latency' && p99 >= latencyLimitMs);
    return slow && `tandem's 99th percentile in ${slow.case} is ${slow.p99} ms; it must be below ${latencyLimitMs} ms`;
  },
};

type Case = { readonly name: string; readonly rate: number };

function casesOf({ only }: BenchOptions): readonly Case[] {
  const all = rates.map((rate) => ({ name: `${connectionCount}@${rate}rps`, rate }));
  const cases = all.filter(({ name }) => only === undefined || name === only);
  if (cases.length > 0) return cases;
  const names = all.map(({ name }) => name).join(', ');
  throw new OperatorError('CASE_UNKNOWN', `the bench connections has no case ${only ?? ''}`, `choose one of: ${names}`);
}

/** Programs may raise their limit themselves, but not above the hard one. */
function requireDescriptors(): void {
  const hard = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  if (hard === undefined || Number(hard) >= descriptorsMin) return;
  const mend = `allow ${descriptorsMin}: ulimit -n, as root`;
  throw new OperatorError('DESCRIPTORS_TOO_FEW', `a process may have ${hard} descriptors here at most`, mend);
}

async function measure(stage: ExchangeStage, cases: readonly Case[], options: BenchOptions): Promise<Row[]> {
  const { isQuick, tell } = options;
  const rounds = options.runs ?? (isQuick ? 1 : runsDefault);
  const measured = new Map<string, Measured[]>();
  for (let round = 1; round <= rounds; round++) {
    for (const balancing of systems) {
      const results = await measureRound(stage, balancing, cases, isQuick ? quickPhaseMs : phaseMs);
      for (const [index, result] of results.entries()) {
        const key = `${balancing.system} ${cases[index]?.name ?? ''}`;
        measured.set(key, [...(measured.get(key) ?? []), result]);
        tell(`${cases[index]?.name ?? ''} ${round}/${rounds} ${balancing.system}: ${inWords(result)}`);
      }
    }
  }
  return cases.flatMap(({ name }) =>
    systems.flatMap(({ system }) => rowsOf(system, name, measured.get(`${system} ${name}`) ?? [])),
  );
}

/** The cases one after the other, over the same connections. */
async function measureRound(
  stage: ExchangeStage,
  balancing: Balancing,
  cases: readonly Case[],
  forMs: number,
): Promise<readonly Measured[]> {
  await stage.start(balancing);
  try {
    await sleep(settleMs);
    const bytesBefore = stage.memory();
    const opened = await stage.open(connectionCount);
    const bytesPerConnection = (stage.memory() - bytesBefore) / connectionCount;
    const results: Measured[] = [];
    for (const { rate } of cases) {
      const served = await stage.serve(rate, forMs);
      const events = results.length === 0 ? [...opened, ...served] : served;
      results.push({ errors: addErrors(events), latenciesMs: served.flatMap(latenciesIn), bytesPerConnection });
    }
    await stage.close();
    return results;
  } finally {
    await stage.stop();
  }
}

function rowsOf(system: string, caseName: string, rounds: readonly Measured[]): readonly Row[] {
  const errors = summarise(rounds.map((round) => countErrors(round.errors)));
  const latency = summarise(rounds.flatMap(({ latenciesMs }) => latenciesMs));
  const memory = summarise(rounds.map(({ bytesPerConnection }) => bytesPerConnection));
  return [
    { system, case: caseName, metric: 'errors', unit: 'count', ...errors },
    { system, case: caseName, metric: 'latency', unit: 'ms', ...latency },
    { system, case: caseName, metric: 'memory', unit: 'bytes', ...memory },
  ];
}

function latenciesIn(event: ClientEvent): readonly number[] {
  return event.event === 'served' ? event.latenciesMs : [];
}

function addErrors(events: readonly ClientEvent[]): Errors {
  const entries = events.flatMap(({ errors }) => Object.entries(errors) as [ErrorKind, number][]);
  const sum: Partial<Record<ErrorKind, number>> = {};
  for (const [kind, count] of entries) sum[kind] = (sum[kind] ?? 0) + count;
  return sum;
}

function countErrors(errors: Errors): number {
  return Object.values(errors).reduce((sum, count) => sum + count, 0);
}

function inWords({ errors, latenciesMs, bytesPerConnection }: Measured): string {
  const { median, p99 } = summarise(latenciesMs);
  const memory = `${Math.round(bytesPerConnection)} bytes per connection`;
  const kinds = Object.entries(errors).map(([kind, count]) => ` ${count} ${kind}`);
  return `${countErrors(errors)} errors${kinds.join()}, median ${median} ms, p99 ${p99} ms, ${memory}`;
}
