/**
 * The story that `npm run -s demo -- --auto` plays and checks: a client is served through the virtual IP, its node
 * dies, the other one serves, an operator swaps them back. Every figure is measured from the client's host.
 */

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FailoverReport } from '../../src/node/index.ts';
import type { Lab } from './lab.ts';
import {
  certainGapMs,
  powerOff,
  powerOn,
  startFileServers,
  startPair,
  probeService,
  startServers,
  statusOf,
  waitForState,
  whoServes,
} from './stage.ts';
import type { Pair } from './stage.ts';
import { serverPort, tandemJson } from './tandem.ts';
import type { ConfigOverrides } from './tandem.ts';
import { sleep } from './time.ts';
import { virtualAddress } from './topology.ts';

/** A figure of the story, and whether it is as promised. */
export type Figure = {
  readonly what: string;
  readonly value: string;
  readonly isGood: boolean;
  readonly promise: string;
};

export const stickyPort = 81;
export const filesPort = 82;
const nginxPort = 8081;
const fileBytes = 50_000_000;

/** Three services of one pair: round robin, sticky by source, and files from real nginx servers. */
export function demoConfig(): ConfigOverrides {
  const servers = (port: number): object[] =>
    [21, 22, 23].map((last, index) => ({ name: `s${index + 1}`, address: `10.9.0.${last}:${port}` }));
  const check = { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 };
  const listen = (port: number): string => `${virtualAddress}:${port}`;
  return {
    services: [
      { name: 'web', listen: listen(80), balance: 'roundrobin', check, servers: servers(serverPort) },
      { name: 'sticky', listen: listen(stickyPort), stick: { by: 'source' }, check, servers: servers(serverPort) },
      { name: 'files', listen: listen(filesPort), balance: 'leastconn', check, servers: servers(nginxPort) },
    ],
  };
}

/** Servers with a real file, and both nodes. Answers the file's SHA-256. */
export async function setTheStage(lab: Lab): Promise<{ pair: Pair; sha256: string }> {
  const directory = join(lab.directory, 'files');
  mkdirSync(directory);
  const content = randomBytes(fileBytes);
  writeFileSync(join(directory, 'index.html'), 'tandem\n');
  writeFileSync(join(directory, 'file.bin'), content);
  await Promise.all([startServers(lab), startFileServers(lab, directory, nginxPort)]);
  const pair = await startPair(lab, demoConfig());
  return { pair, sha256: createHash('sha256').update(content).digest('hex') };
}

/** Plays it on a stage that is set, telling what happens, and answers the figures. */
export async function play(lab: Lab, pair: Pair, sha256: string, tell: (line: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  tell('fetching a file of 50 MB through the virtual IP');
  figures.push(await fetchFile(lab, sha256));

  tell('draining s3 of "web", and looking where the sticky service sends this client');
  await tandemJson(pair.lb2, 'server', 'drain', 'web', 's3');
  const stickyServer = await whoServes(lab, stickyPort);

  tell('power cut: SIGKILL of every process of lb1, and its cables cut, under new connections every 2 ms');
  figures.push(await measurePowerCut(lab, pair));
  figures.push(await checkState(lab, 'after the power cut', stickyServer));

  tell('lb1 is back; `tandem failover` swaps the nodes under new connections every 2 ms');
  const lb1 = await powerOn(lab, pair.lb1, demoConfig());
  figures.push(...(await measureFailover(lab, { ...pair, lb1 })));
  figures.push(await checkState(lab, 'after the failover', stickyServer));
  return figures;
}

async function fetchFile(lab: Lab, sha256: string): Promise<Figure> {
  const url = `http://${virtualAddress}:${filesPort}/file.bin`;
  const command = `curl -sS -m 60 -w '%{stderr}%{speed_download}' ${url} | sha256sum`;
  const { stdout, stderr } = await lab.host('client').exec(['sh', '-c', command], { timeoutMs: 70_000 });
  const isGood = stdout.startsWith(sha256);
  const speed = `${(Number(stderr) / 1e6).toFixed(0)} MB/s`;
  return {
    what: '50 MB through the VIP',
    value: isGood ? `right SHA-256, ${speed}` : `wrong: ${stdout.trim()} ${stderr.trim()}`,
    isGood,
    promise: 'the right SHA-256',
  };
}

async function measurePowerCut(lab: Lab, pair: Pair): Promise<Figure> {
  const prober = await probeService(lab);
  await sleep(500);
  await powerOff(lab, pair.lb1);
  await waitForState(pair.lb2, 'active');
  await sleep(500);
  const report = await prober.stop();
  const { served } = report;
  const ms = certainGapMs(report);
  return {
    what: 'power cut: without service',
    value: `${ms.toFixed(0)} ms (${served} connections served)`,
    isGood: ms > 0 && ms <= 500 && served > 0,
    promise: 'at most 500 ms',
  };
}

async function measureFailover(lab: Lab, pair: Pair): Promise<Figure[]> {
  const prober = await probeService(lab);
  await sleep(500);
  const { code, json } = await tandemJson(pair.lb1, 'failover', '--to', 'lb1');
  await sleep(500);
  const report = await prober.stop();
  const { refused, reset, served } = report;
  const ms = certainGapMs(report);
  const own = (json as FailoverReport).gapMs;
  return [
    {
      what: 'failover: without service',
      value: `${ms.toFixed(0)} ms (${served} served; the command says ${own?.toFixed(0) ?? '?'} ms)`,
      isGood: code === 0 && ms <= 150 && served > 0,
      promise: 'at most 150 ms',
    },
    {
      what: 'failover: new connections',
      value: `${refused} refused; ${reset} that were half-way were reset`,
      isGood: refused === 0,
      promise: 'none refused',
    },
  ];
}

/** What operators and clients had set holds on the node that is active now. */
async function checkState(lab: Lab, when: string, stickyServer: string): Promise<Figure> {
  const asked = await Promise.all(Array.from({ length: 12 }, () => whoServes(lab)));
  const sticky = await whoServes(lab, stickyPort);
  const isGood = sticky === stickyServer && !asked.includes('s3') && new Set(asked).size === 2;
  return {
    what: `${when}: state`,
    value: `sticky client on ${sticky} (was ${stickyServer}); web served by ${[...new Set(asked)].sort().join(', ')}`,
    isGood,
    promise: 'same sticky server, s3 stays drained',
  };
}

/** One line about who is active, for people. */
export async function describePair(pair: Pair): Promise<string> {
  const lines = await Promise.all(
    Object.values(pair).map(async (node) => {
      if (node.process.exit !== undefined) return `${node.host.name} dead`;
      const state = await statusOf(node).then(
        ({ virtualRouters }) => virtualRouters[0]?.state ?? '?',
        () => 'silent',
      );
      return `${node.host.name} ${state === 'active' ? 'ACTIVE' : state}`;
    }),
  );
  return lines.join('  ');
}
