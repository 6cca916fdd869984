/** The access log of real nodes: on standard output beside their log, and in a file that is moved away. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFullPipe } from '../unit/runtime/full-pipe.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import {
  startPair,
  startServers,
  statusOf,
  transitionsOf,
  waitForHolder,
  waitForState,
  waitForSync,
  whoServes,
} from './stage.ts';
import { pairConfig, startNode, tandem } from './tandem.ts';
import { monotonicMs, waitUntil } from './time.ts';
import { startVerifier } from './tools.ts';
import { virtualAddress } from './topology.ts';

type LogRecord = Readonly<Record<string, unknown>>;

describe('the access log', () => {
  let lab: Lab;

  beforeEach(async () => {
    lab = await createLab();
    await startServers(lab);
  });

  afterEach(() => lab.destroy());

  it('has a record of each connection on standard output, and those that a stop ends', async () => {
    const { lb1 } = await startPair(lab, { log: { access: 'stdout' } });
    const server = await whoServes(lab);
    const records = (): LogRecord[] => connectionRecords(lb1.process.stdout);
    await waitUntil(() => records().some((record) => record['server'] === server), soon('the record is there'));
    expect(records().find((record) => record['server'] === server)).toMatchObject({
      ...{ service: 'web', termination: '--', cause: 'completed', retries: 0 },
      client: expect.stringMatching(/^10\.9\.0\.10:\d+$/) as string,
    });
    expect((await statusOf(lb1)).accessLog).toEqual({ destination: 'stdout', droppedRecords: 0 });

    const target = { address: virtualAddress, port: 80, mode: 'idle', connections: 5 } as const;
    const held = await startVerifier(lab.host('client'), target);
    await lb1.process.stop(20_000);
    // The switchover, which measures itself from the node's own address, may have connections that end so as well.
    const killed = (): LogRecord[] =>
      records().filter(({ client, termination }) => termination === 'KD' && String(client).startsWith('10.9.0.10:'));
    await waitUntil(() => killed().length === 5, soon('five records'));
    expect(killed().map(({ cause }) => cause)).toEqual(Array(5).fill('handed-over'));
    const { connections } = await held.stop();
    const clients = connections.map(({ localPort }) => `10.9.0.10:${localPort}`);
    expect(killed().map(({ client }) => client)).toEqual(expect.arrayContaining(clients));
  });

  it('keeps no node from handing over and ending when nobody reads its standard output', async () => {
    const config = pairConfig(lab, { log: { access: 'stdout' } });
    const pipe = join(lab.directory, 'stdout');
    makeFullPipe(pipe);
    const lb1 = await startNode(lab, 'lb1', config, ['sh', '-c', 'exec "$@" > "$0"', pipe]);
    await waitForState(lb1, 'active');
    const lb2 = await startNode(lab, 'lb2', config);
    await waitForState(lb2, 'backup');
    await Promise.all([waitForSync(lb1), waitForSync(lb2)]);
    await whoServes(lab);
    await waitUntil(async () => (await statusOf(lb1)).accessLog?.trouble === 'EAGAIN', soon('the log is stuck'));
    const termAtMs = monotonicMs();
    lb1.process.kill('SIGTERM');
    expect(await lb1.process.exited).toEqual({ code: 0, signal: undefined });
    expect(monotonicMs() - termAtMs).toBeLessThan(8_000);
    expect(lb1.host.processes()).toEqual([]);
    await waitForHolder(lab, lb2);
    expect((await transitionsOf(lb2)).at(-1)).toBe('backup -> active (take-over)');
  });

  it('goes on in a new file when the old one was moved away', async () => {
    const path = join(lab.directory, 'access.log');
    const node = await startNode(lab, 'lb1', pairConfig(lab, { log: { access: path } }));
    await waitUntil(async () => (await statusOf(node)).virtualRouters[0]?.state === 'active', soon('it is active'));
    await whoServes(lab);
    await waitUntil(() => recordsOf(path).length > 0, soon('the first record'));
    renameSync(path, `${path}.1`);
    await waitUntil(() => existsSync(path), soon('the new file'));
    const before = recordsOf(`${path}.1`).length;
    await whoServes(lab);
    await waitUntil(() => recordsOf(`${path}.1`).length + recordsOf(path).length > before, soon('the second record'));
  });

  it('begins, goes elsewhere and ends with a reload, and connections go on', async () => {
    const [first, second] = [join(lab.directory, 'first.log'), join(lab.directory, 'second.log')];
    const node = await startNode(lab, 'lb1', pairConfig(lab));
    await waitUntil(async () => (await statusOf(node)).virtualRouters[0]?.state === 'active', soon('it is active'));
    const target = { address: virtualAddress, port: 80, mode: 'idle', connections: 5 } as const;
    const held = await startVerifier(lab.host('client'), target);
    for (const [access, last] of [
      [first, `log.access: none -> {file: ${first}}`],
      [second, `log.access.file: ${first} -> ${second}`],
    ] as const) {
      writeFileSync(node.configPath, pairConfig(lab, { log: { access } }));
      const { stdout } = await tandem(node, 'reload');
      expect(stdout).toBe(`${last}\nreloaded: 1 change\n`);
      expect((await statusOf(node)).accessLog).toEqual({ destination: access, droppedRecords: 0 });
      await whoServes(lab);
      await waitUntil(() => recordsOf(access).length > 0, soon('the first record'));
    }
    const before = recordsOf(first).length;
    await whoServes(lab);
    writeFileSync(node.configPath, pairConfig(lab));
    expect((await tandem(node, 'reload')).code).toBe(0);
    expect((await statusOf(node)).accessLog).toBeUndefined();
    expect(recordsOf(first)).toHaveLength(before);
    expect((await statusOf(node)).services[0]?.connections).toBe(5);
    held.process.kill('SIGKILL');
  });
});

/** Those among the lines of a log. */
function connectionRecords(lines: readonly string[]): LogRecord[] {
  const found = lines.filter((line) => line.startsWith('{"type":"connection"'));
  return found.map((line) => JSON.parse(line) as LogRecord);
}

function recordsOf(path: string): LogRecord[] {
  return existsSync(path) ? connectionRecords(readFileSync(path, 'utf8').split('\n')) : [];
}

function soon(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}
