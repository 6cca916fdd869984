/**
 * The pair on this machine, for people: builds a lab, starts servers and both nodes, and lets you break things.
 *
 *   npm run -s demo              prints the map, a live line, and what to type
 *   npm run -s demo -- --auto    plays the story, prints its figures, exits 0 if all are as promised, else 1
 */

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { OperatorError } from '../../src/runtime/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { demoConfig, describePair, filesPort, play, setTheStage, stickyPort } from './story.ts';
import type { Figure } from './story.ts';
import { powerOff, powerOn, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { tandem } from './tandem.ts';
import { sleep } from './time.ts';
import { virtualAddress } from './topology.ts';

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { auto: { type: 'boolean', default: false } } });
  console.log('building the lab: a client, two nodes and three servers, each in a network namespace …');
  const lab = await createLab();
  // The lab removes itself when this process dies; leaving in order is only quicker.
  process.once('SIGTERM', () => void lab.destroy().then(() => process.exit(1)));
  try {
    const { pair, sha256 } = await setTheStage(lab);
    printMap(lab);
    if (!values.auto) return await letPlay(lab, pair);
    const figures = await play(lab, pair, sha256, (line) => console.log(`- ${line}`));
    printFigures(figures);
    return figures.every(({ isGood }) => isGood) ? 0 : 1;
  } finally {
    await lab.destroy();
  }
}

function printMap(lab: Lab): void {
  const ports = `web :80, sticky :${stickyPort}, files :${filesPort}`;
  console.log(`
  client 10.9.0.10 ──┐
                     │  LAN 10.9.0.0/24 ── virtual IP ${virtualAddress}: ${ports}
  lb1    10.9.0.11 ──┤
    ║ sync           ├── s1 10.9.0.21   s2 10.9.0.22   s3 10.9.0.23
  lb2    10.9.0.12 ──┘

  From another terminal (the nodes' sockets are in ${lab.directory}):
    export TANDEM_SOCKET=${lab.directory}
    bin/tandem status --node lb1          bin/tandem status --node lb2 --watch
    bin/tandem failover --node lb1        bin/tandem server drain web s2 --node lb1
    bin/tandem events --node lb2 --follow
    ip netns exec ${lab.host('client').namespace} curl http://${virtualAddress}/who
`);
}

function printFigures(figures: readonly Figure[]): void {
  console.log('');
  for (const { what, value, isGood, promise } of figures) {
    console.log(`${isGood ? 'ok  ' : 'FAIL'}  ${what.padEnd(28)}  ${value}  [${promise}]`);
  }
}

const help = `  Type a letter and Enter:
    k  power cut of the active node          p  power it on again
    f  failover by the CLI                   s  status of both nodes
    d  drain s2 of "web"    r  s2 ready      q  quit
`;

/** The live line, and the operator's keys, until q or the end of the input. */
async function letPlay(lab: Lab, start: Pair): Promise<number> {
  let pair = start;
  let isOver = false;
  let isBusy = false;
  console.log(help);
  const keys = createInterface({ input: process.stdin });
  const over = new Promise<void>((resolve) => keys.once('close', resolve));
  keys.on('line', (line) => {
    if (line.trim() === 'q') keys.close();
    if (isBusy || line.trim() === 'q') return;
    isBusy = true;
    void act(lab, pair, line.trim())
      .then((changed) => (pair = changed))
      .catch((error: unknown) => console.log(error instanceof Error ? error.message : error))
      .finally(() => (isBusy = false));
  });
  process.once('SIGINT', () => keys.close());
  void over.then(() => (isOver = true));
  await showLive(
    lab,
    () => pair,
    () => isOver,
    () => isBusy,
  );
  return 0;
}

async function act(lab: Lab, pair: Pair, key: string): Promise<Pair> {
  const alive = Object.values(pair).find((node) => node.process.exit === undefined);
  if (alive === undefined) throw new Error('no node is alive; the demo is over: q');
  const run = async (...args: readonly string[]): Promise<Pair> => {
    const { stdout, stderr } = await tandem(alive, ...args);
    console.log(`\n$ tandem ${args.join(' ')} --node ${alive.host.name}\n${stdout}${stderr}`);
    return pair;
  };
  switch (key) {
    case 'k':
      return cutActive(lab, pair);
    case 'p':
      return restoreDead(lab, pair);
    case 'f':
      return run('failover');
    case 's':
      return run('status');
    case 'd':
      return run('server', 'drain', 'web', 's2');
    case 'r':
      return run('server', 'ready', 'web', 's2');
    default:
      console.log(help);
      return pair;
  }
}

async function cutActive(lab: Lab, pair: Pair): Promise<Pair> {
  for (const node of Object.values(pair)) {
    if (node.process.exit !== undefined || !(await node.host.hasAddress(virtualAddress))) continue;
    console.log(`\npower cut of ${node.host.name}`);
    await powerOff(lab, node);
  }
  return pair;
}

async function restoreDead(lab: Lab, pair: Pair): Promise<Pair> {
  const [name, dead] = Object.entries(pair).find(([, node]) => node.process.exit !== undefined) ?? [];
  if (name === undefined || dead === undefined) {
    console.log('\nboth nodes are alive');
    return pair;
  }
  console.log(`\n${name} is powered on`);
  return { ...pair, [name]: await powerOn(lab, dead, demoConfig()) };
}

async function showLive(lab: Lab, pair: () => Pair, isOver: () => boolean, isBusy: () => boolean): Promise<void> {
  let served = 0;
  let failed = 0;
  let last = '';
  while (!isOver()) {
    const who = await whoServes(lab).catch(() => undefined);
    if (who === undefined) failed++;
    else served++;
    const nodes = await describePair(pair());
    const line = `${nodes}  |  client: ${served} served, ${failed} failed, last by ${who ?? 'nobody'}`;
    // A terminal gets one line that changes; a file gets a line when the nodes or the service have changed.
    const news = `${nodes} ${who === undefined}`;
    if (process.stdout.isTTY && !isBusy()) process.stdout.write(`\r\x1b[K${line}`);
    else if (!process.stdout.isTTY && news !== last) console.log(line);
    last = news;
    await sleep(250);
  }
  process.stdout.write('\n');
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof OperatorError ? `demo: ${error.line}` : error);
  process.exitCode = 1;
}
