/**
 * What replication costs and how far it is behind.
 *
 *   10000/s   10,000 records of sessions per second go from one node to the other: how old they are when they are
 *             there, and what it costs each of the two processes
 *   resync    a node that has just started gets 1,000,000 entries of a stick table from the active one: how long that
 *             takes, and for how long at most clients of the active node's relay were not served
 */

import { OperatorError } from '../../src/runtime/index.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/lab-process.ts';
import { certainGapMs, eventsOf, probeService, startServers, statusOf, waitForState } from '../lab/stage.ts';
import { pairConfig, startNode } from '../lab/tandem.ts';
import type { TandemNode } from '../lab/tandem.ts';
import { sleep, waitUntil } from '../lab/time.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { summarise } from './report.ts';
import type { Row } from './report.ts';
import type { SyncNodeEvent } from './sync-node.ts';

const sessionsPerSecond = 10_000;
const sessionsMs = 20_000;
const quickSessionsMs = 5_000;
const stickEntries = 1_000_000;
/** What a process does once when it starts is not the cost of replication: its code is compiled by then. */
const warmUpMs = 2_000;
const answerTimeoutMs = 60_000;
const lagLimitMs = 50;
const cpuLimitPercent = 15;
const resyncLimitMs = 5_000;
const pauseLimitMs = 20;

const addresses = { lb1: '10.9.1.11', lb2: '10.9.1.12' } as const;

const cases: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Row[]>>> = {
  [`${sessionsPerSecond}/s`]: measureSessions,
  resync: measureResync,
};

export const sync: Bench = {
  summary: '10,000 session records per second, and a resync of 1,000,000 stick entries beside a relay at work',
  async run(options) {
    const names = Object.keys(cases).filter((name) => options.only === undefined || name === options.only);
    if (names.length === 0) {
      const mend = `choose one of: ${Object.keys(cases).join(', ')}`;
      throw new OperatorError('CASE_UNKNOWN', `the bench sync has no case ${options.only ?? ''}`, mend);
    }
    const rows: Row[] = [];
    for (const name of names) rows.push(...((await cases[name]?.(options)) ?? []));
    return rows;
  },
  complaint(rows) {
    const limits = { lag: lagLimitMs, cpu: cpuLimitPercent, time: resyncLimitMs, pause: pauseLimitMs };
    for (const [metric, limit] of Object.entries(limits)) {
      const row = rows.find((each) => each.metric === metric);
      const value = metric === 'lag' ? row?.p99 : row?.max;
      if (value !== undefined && value >= limit) return `${metric} is ${value}; it must be below ${limit}`;
    }
    return undefined;
  },
};

async function measureSessions({ isQuick, runs = 1, tell }: BenchOptions): Promise<readonly Row[]> {
  const forMs = isQuick ? quickSessionsMs : sessionsMs;
  const lags = [];
  const cpus: number[] = [];
  for (let run = 1; run <= runs; run++) {
    const { made, watched } = await inLab((lab) => replicateSessions(lab, forMs));
    const perSide = `${made.cpuPercent.toFixed(1)} % and ${watched.cpuPercent.toFixed(1)} % of a core`;
    tell(
      `${sessionsPerSecond}/s ${run}/${runs}: ${watched.records} records, lag p99 ${watched.lagMs.p99} ms, ${perSide}`,
    );
    lags.push(watched.lagMs);
    cpus.push(made.cpuPercent, watched.cpuPercent);
  }
  const worst = lags.toSorted((a, b) => b.p99 - a.p99)[0] ?? summarise([]);
  const common = { system: 'tandem', case: `${sessionsPerSecond}/s` };
  return [
    { ...common, metric: 'lag', unit: 'ms', ...worst },
    { ...common, metric: 'cpu', unit: 'percent', ...summarise(cpus) },
  ];
}

async function replicateSessions(lab: Lab, forMs: number) {
  pairConfig(lab);
  const sender = await startSyncNode(lab, 'lb1');
  const receiver = await startSyncNode(lab, 'lb2');
  for (const node of [receiver, sender]) await ask(node, 'connect', 'connecting');
  await receiver.waitForLine(/"event":"in-sync"/, answerTimeoutMs);
  await ask(sender, `sessions ${sessionsPerSecond} ${warmUpMs}`, 'made');
  const watching = ask(receiver, `watch ${forMs + 500}`, 'watched');
  const made = await ask(sender, `sessions ${sessionsPerSecond} ${forMs}`, 'made');
  return { made, watched: await watching };
}

async function measureResync({ isQuick, runs = isQuick ? 1 : 3, tell }: BenchOptions): Promise<readonly Row[]> {
  const times: number[] = [];
  const pauses: number[] = [];
  await inLab(async (lab) => {
    await startServers(lab);
    await startActive(lab, tell);
    for (let run = 1; run <= runs; run++) {
      const { timeMs, pauseMs } = await resync(lab);
      tell(`resync ${run}/${runs}: ${timeMs.toFixed(0)} ms, clients waited ${pauseMs.toFixed(1)} ms at most`);
      times.push(timeMs);
      pauses.push(pauseMs);
    }
  });
  const common = { system: 'tandem', case: 'resync', unit: 'ms' } as const;
  return [
    { ...common, metric: 'time', ...summarise(times) },
    { ...common, metric: 'pause', ...summarise(pauses) },
  ];
}

const resyncConfig = (lab: Lab): string => {
  const config = JSON.parse(pairConfig(lab)) as { services: object[] };
  const services = config.services.map((service) => ({ ...service, stick: { by: 'source', ttl: '1h' } }));
  return JSON.stringify({ ...config, services });
};

/** The node that has all entries: it got them from one that had made them up. */
async function startActive(lab: Lab, tell: BenchOptions['tell']): Promise<void> {
  const config = resyncConfig(lab);
  const origin = await startSyncNode(lab, 'lb1');
  await ask(origin, `sticks ${stickEntries} web s1`, 'filled');
  const active = await startNode(lab, 'lb2', config);
  await waitForState(active, 'active');
  await ask(origin, 'connect', 'connecting');
  const line = await origin.waitForLine(/"event":"in-sync"/, answerTimeoutMs);
  tell(`resync: lb2 is filled, in ${(JSON.parse(line) as { afterMs: number }).afterMs.toFixed(0)} ms`);
  await origin.stop();
}

/** The other node is started, and stopped once it has everything. */
async function resync(lab: Lab): Promise<{ readonly timeMs: number; readonly pauseMs: number }> {
  const prober = await probeService(lab, { intervalMs: 1 });
  await sleep(500);
  const standby = await startNode(lab, 'lb1', resyncConfig(lab));
  await waitUntil(async () => (await statusOf(standby)).peer?.inSync === true, {
    // Seldom: a status counts a million entries.
    ...{ timeoutMs: answerTimeoutMs, everyMs: 1_000, what: 'lb1 is in sync' },
  });
  await sleep(500);
  const report = await prober.stop();
  const count = (await statusOf(standby)).services[0]?.stickEntries;
  if (count !== stickEntries) throw new Error(`lb1 has ${count ?? 0} entries, not ${stickEntries}`);
  const timeMs = await timeToSync(standby);
  await standby.process.stop();
  return { timeMs, pauseMs: certainGapMs(report) };
}

/** As the node itself tells: from its connection to its being in sync. */
async function timeToSync(node: TandemNode): Promise<number> {
  const events = await eventsOf(node);
  const at = (pattern: RegExp): number => events.find(({ message }) => pattern.test(message))?.wallMs ?? NaN;
  return at(/: in sync$/) - at(/: sync connected$/);
}

async function inLab<Result>(measure: (lab: Lab) => Promise<Result>): Promise<Result> {
  const lab = await createLab();
  try {
    return await measure(lab);
  } finally {
    await lab.destroy();
  }
}

async function startSyncNode(lab: Lab, name: 'lb1' | 'lb2'): Promise<LabProcess> {
  const other = name === 'lb1' ? 'lb2' : 'lb1';
  const program = new URL('sync-node.ts', import.meta.url).pathname;
  const words = [name, addresses[name], other, addresses[other], `${lab.directory}/sync.key`];
  pairConfig(lab);
  const node = lab.host(name).spawn([process.execPath, program, ...words]);
  await node.waitForLine(/"event":"ready"/, answerTimeoutMs);
  return node;
}

async function ask<Kind extends SyncNodeEvent['event']>(
  node: LabProcess,
  command: string,
  answer: Kind,
): Promise<Extract<SyncNodeEvent, { event: Kind }>> {
  const from = node.lines.length;
  node.tell(command);
  const line = await node.waitForLine(new RegExp(`"event":"${answer}"`), answerTimeoutMs, from);
  return JSON.parse(line) as Extract<SyncNodeEvent, { event: Kind }>;
}
