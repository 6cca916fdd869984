/**
 * Whether a pair stays as it is on a machine that is busy with other things: 10 ms adverts while every core runs busy
 * loops and a file is synced to the disk again and again. Both systems live through the same minutes under the same
 * load, each pair in a lab of its own, and are judged by their adverts on the wire.
 */

import { startCapture } from '../lab/capture.ts';
import { startLoad } from '../lab/load.ts';
import { sleep } from '../lab/time.ts';
import { advertsIn } from '../interop/frames.ts';
import { readAdvertLog } from './advert-log.ts';
import type { AdvertLog } from './advert-log.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { FailoverPair } from './failover-pair.ts';
import { keepalivedSoftware } from './keepalived-balancer.ts';
import { summarise } from './report.ts';
import type { Row } from './report.ts';
import { tandemSoftware } from './tandem-balancer.ts';

const advertIntervalMs = 10;
const durationMs = 600_000;
const quickDurationMs = 20_000;
const tellEveryMs = 60_000;
const caseName = `busy@${advertIntervalMs}ms`;

export const load: Bench = {
  summary: 'whether a busy machine makes a pair with 10 ms adverts change sides, and how late its adverts are',
  async run(options) {
    const tandem = await FailoverPair.create(tandemSoftware);
    try {
      const keepalived = await FailoverPair.create(keepalivedSoftware);
      try {
        return await measure([tandem, keepalived], options);
      } finally {
        await keepalived.destroy();
      }
    } finally {
      await tandem.destroy();
    }
  },
  complaint(rows) {
    const changed = rows.find(({ system, metric, max }) => system === 'tandem' && metric === 'transitions' && max > 0);
    return changed && `tandem changed sides ${changed.max} times; it must not`;
  },
};

async function measure(pairs: readonly FailoverPair[], { isQuick, runs = 1, tell }: BenchOptions): Promise<Row[]> {
  for (const pair of pairs) {
    await pair.start(advertIntervalMs);
    await pair.makeWhole('lb1');
  }
  const logs = pairs.map((): AdvertLog[] => []);
  for (let run = 1; run <= runs; run++) {
    const heard = await watchUnderLoad(pairs, isQuick ? quickDurationMs : durationMs, tell);
    for (const [index, { system }] of pairs.entries()) {
      const log = heard[index];
      if (log === undefined) continue;
      logs[index]?.push(log);
      tell(`${caseName} ${run}/${runs} ${system}: ${log.transitions} transitions, ${log.latenessesMs.length} adverts`);
    }
  }
  return pairs.flatMap(({ system }, index) => rowsOf(system, logs[index] ?? []));
}

async function watchUnderLoad(
  pairs: readonly FailoverPair[],
  forMs: number,
  tell: BenchOptions['tell'],
): Promise<readonly AdvertLog[]> {
  const captures = await Promise.all(pairs.map(({ lab }) => startCapture(lab, 'lan', 'ip proto 112')));
  const [lab] = pairs.map((pair) => pair.lab);
  if (lab === undefined) return [];
  const burden = await startLoad(lab.host('client'), lab.directory);
  for (let restMs = forMs; restMs > 0; restMs -= tellEveryMs) {
    tell(`${caseName}: ${restMs / 1000} s to go`);
    await sleep(Math.min(restMs, tellEveryMs));
  }
  await burden.stop();
  for (const capture of captures) await capture.stop();
  return captures.map((capture) => readAdvertLog(advertsIn(capture.frames()), advertIntervalMs));
}

function rowsOf(system: string, logs: readonly AdvertLog[]): readonly Row[] {
  const transitions = summarise(logs.map((log) => log.transitions));
  const lateness = summarise(logs.flatMap(({ latenessesMs }) => latenessesMs));
  return [
    { system, case: caseName, metric: 'transitions', unit: 'count', ...transitions },
    { system, case: caseName, metric: 'lateness', unit: 'ms', ...lateness },
  ];
}
