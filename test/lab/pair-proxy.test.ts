/** What clients get through the virtual address: every byte, from a server that fits, on whichever node. */

import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ServiceStatus } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { makeWhole, rolesOf, startPair, statusOf, waitForHolder, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { patternSha256 } from './server.ts';
import type { Behaviour } from './server.ts';
import { serverPort, tandem } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { monotonicMs, waitUntil } from './time.ts';
import { startProber, startServer, startVerifier } from './tools.ts';
import type { ServerHandle } from './tools.ts';
import { virtualAddress } from './topology.ts';

const weightedPort = 80;
const leastPort = 81;
const stickyPort = 82;

/** Addresses of the client, each a source of its own for stickiness. */
const sources = [31, 32, 33, 34, 35, 36].map((last) => `10.9.0.${last}`);

const serverNames = ['s1', 's2', 's3'] as const;
type ServerName = (typeof serverNames)[number];

describe('the proxy of a pair', () => {
  let lab: Lab;
  let pair: Pair;
  let servers: Readonly<Record<ServerName, ServerHandle>>;
  let config: ConfigOverrides;

  beforeAll(async () => {
    lab = await createLab();
    const [s1, s2, s3] = await Promise.all(
      serverNames.map((name) => startServer(lab.host(name), { name, port: serverPort })),
    );
    if (s1 === undefined || s2 === undefined || s3 === undefined) throw new Error('three servers have been started');
    servers = { s1, s2, s3 };
    for (const source of sources) {
      await lab.host('client').exec(['ip', 'address', 'add', `${source}/24`, 'dev', 'lan0']);
    }
    config = proxyConfig();
    pair = await startPair(lab, config);
  });

  beforeEach(async () => {
    pair = await makeWhole(lab, pair, config);
  });

  afterAll(() => lab.destroy());

  it('brings every byte of streams and blocks back, in its place and once', async () => {
    const target = { address: virtualAddress, port: weightedPort };
    const client = lab.host('client');
    const [streams, blocks] = await Promise.all([
      startVerifier(client, { ...target, mode: 'stream', connections: 10, rate: 1_000_000, seed: 1_000 }),
      startVerifier(client, {
        ...target,
        mode: 'block',
        connections: 100,
        blockBytes: 5_000,
        thinkMs: 20,
        seed: 2_000,
      }),
    ]);
    await waitUntil(() => verifiedBytes(streams) > 10_000_000 && verifiedBytes(blocks) > 2_000_000, {
      timeoutMs: 30_000,
      what: '12 MB have come back',
    });
    for (const [report, connections] of [
      [await streams.stop(), 10],
      [await blocks.stop(), 100],
    ] as const) {
      expect(report.wrongBytes).toEqual({ lost: 0, duplicated: 0, reordered: 0, altered: 0, foreign: 0 });
      // Each has sent its end and read on until the server's end came: nothing was cut off.
      expect(report.endings).toMatchObject({ completed: connections });
      expect(report.bytesVerified).toBe(report.bytesSent);
      expect(Object.keys(report.byServer).sort()).toEqual(['s1', 's2', 's3']);
    }
  });

  it('passes on a half-close, and the answer that comes after it', async () => {
    const bytes = 3_000_000;
    const { stdout, stderr } = await lab.host('client').exec(sinkClient(weightedPort, 5, bytes), { timeoutMs: 20_000 });
    expect(stderr).toBe('');
    const [server, verdict = ''] = stdout.trim().split('\n');
    expect(server).toMatch(/^s[123]$/);
    expect(JSON.parse(verdict)).toEqual({ received: bytes, verified: bytes, faults: [] });
  });

  it('waits for a slow reader, and loses nothing', async () => {
    const bytes = 12_000_000;
    const url = `http://${virtualAddress}:${weightedPort}/file?bytes=${bytes}&seed=7`;
    const command = `curl -sS --limit-rate 4M '${url}' | sha256sum`;
    const { stdout } = await lab.host('client').exec(['sh', '-c', command], { timeoutMs: 30_000 });
    expect(stdout.split(' ')[0]).toBe(patternSha256(7, bytes));
  });

  it('gives each server its share by weight', async () => {
    const prober = await startProber(lab.host('client'), {
      address: virtualAddress,
      port: weightedPort,
      intervalMs: 2,
    });
    const before = (await serviceOf(pair, lab, 'weighted')).connectionsTotal;
    await waitUntil(
      async () => (await serviceOf(pair, lab, 'weighted')).connectionsTotal >= before + 600,
      soon('600 connections'),
    );
    const { byServer, served, attempts } = await prober.stop();
    expect(served).toBe(attempts);
    // Each worker deals in whole rounds of 1 + 2 + 3; at the begin and at the end a round may be broken off.
    for (const [name, weight] of [
      ['s1', 1],
      ['s2', 2],
      ['s3', 3],
    ] as const) {
      expect(Math.abs((byServer[name] ?? 0) - (served * weight) / 6)).toBeLessThan(10);
    }
  });

  it('gives new connections to the server that has the fewest', async () => {
    await operate(pair.lb1, 'server', 'drain', 'least', 's1');
    const target = { address: virtualAddress, port: leastPort, mode: 'idle' } as const;
    const held = await startVerifier(lab.host('client'), { ...target, connections: 80 });
    await operate(pair.lb1, 'server', 'ready', 'least', 's1');
    const more = await startVerifier(lab.host('client'), { ...target, connections: 8 });
    const [second, first] = [await more.stop(), await held.stop()];
    expect(first.byServer['s1']).toBeUndefined();
    expect(Math.abs((first.byServer['s2'] ?? 0) - (first.byServer['s3'] ?? 0))).toBeLessThanOrEqual(4);
    expect(second.byServer).toEqual({ s1: 8 });
  });

  it('tries another server when one refuses, and no client notices', async () => {
    const prober = await startProber(lab.host('client'), {
      address: virtualAddress,
      port: weightedPort,
      intervalMs: 2,
    });
    const before = await serviceOf(pair, lab, 'weighted');
    onTestFinished(() => acceptConnections(lab.host('s3')));
    await refuseConnections(lab.host('s3'));
    await waitUntil(async () => health(await serviceOf(pair, lab, 'weighted'), 's3') === 'down', soon('s3 is down'));
    const after = await serviceOf(pair, lab, 'weighted');
    await acceptConnections(lab.host('s3'));
    await waitUntil(async () => health(await serviceOf(pair, lab, 'weighted'), 's3') === 'up', soon('s3 is up'));
    const report = await prober.stop();
    expect(report.served).toBe(report.attempts);
    // So it has been tried, while its checks had not failed often enough yet.
    expect(failures(after, 's3')).toBeGreaterThan(failures(before, 's3'));
    expect(after.refused).toEqual(before.refused);
  });

  it('ends a connection at once when no server is left, and counts it', async () => {
    onTestFinished(() => setBehaviours(servers, 'serve'));
    await setBehaviours(servers, 'refuse');
    await waitUntil(async () => {
      const service = await serviceOf(pair, lab, 'weighted');
      return serverNames.every((name) => health(service, name) === 'down');
    }, soon('every server is down'));
    const before = await serviceOf(pair, lab, 'weighted');
    const startedMs = monotonicMs();
    // Refused, closed or reset, as the client happens to see it; 28 would be curl's word for a time-out.
    await expect(whoServes(lab, weightedPort)).rejects.toThrow(/curl: \((7|52|56)\)/);
    expect(monotonicMs() - startedMs).toBeLessThan(1_000);
    const after = await serviceOf(pair, lab, 'weighted');
    expect((after.refused['no-server'] ?? 0) - (before.refused['no-server'] ?? 0)).toBe(1);
    const { active } = await rolesOf(lab, pair);
    expect((await statusOf(active)).warnings).toContain('service weighted has no server for new connections');
  });

  it('heeds what an operator sets on either node, on both, over a restart of each and a failover', async () => {
    const { active, standby } = await rolesOf(lab, pair);
    await operate(standby, 'server', 'drain', 'weighted', 's1');
    await operate(active, 'server', 'weight', 'weighted', 's2', '5');
    await waitForServers(pair, { s1: 'drain 1', s2: 'ready 5', s3: 'ready 3' });
    expect(await askedServers(lab)).toEqual(['s2', 's3']);

    pair = await restart(lab, pair, standby, config);
    await waitForServers(pair, { s1: 'drain 1', s2: 'ready 5', s3: 'ready 3' });
    await operate(active, 'failover');
    const roles = await rolesOf(lab, pair);
    expect(roles.active.host.name).toBe(standby.host.name);
    await waitForHolder(lab, roles.active);
    expect(await askedServers(lab)).toEqual(['s2', 's3']);

    pair = await restart(lab, pair, roles.standby, config);
    await operate(pair.lb1, 'server', 'maint', 'weighted', 's3');
    await waitForServers(pair, { s1: 'drain 1', s2: 'ready 5', s3: 'maint 3' });
    expect(await askedServers(lab)).toEqual(['s2']);

    await operate(pair.lb2, 'server', 'ready', 'weighted', 's1');
    await operate(pair.lb2, 'server', 'weight', 'weighted', 's2');
    await operate(pair.lb1, 'server', 'ready', 'weighted', 's3');
    await waitForServers(pair, { s1: 'ready 1', s2: 'ready 2', s3: 'ready 3' });
    expect(await askedServers(lab)).toEqual(['s1', 's2', 's3']);
  });

  it('sends clients to their servers again on both nodes, also to drained ones, but not in maintenance', async () => {
    const first = await stickyServers(lab);
    expect(new Set(Object.values(first)).size).toBe(3);
    await swap(lab, pair);
    expect(await stickyServers(lab)).toEqual(first);

    await operate(pair.lb2, 'server', 'drain', 'sticky', 's1');
    expect(await stickyServers(lab)).toEqual(first);
    await swap(lab, pair);
    expect(await stickyServers(lab)).toEqual(first);

    await operate(pair.lb1, 'server', 'maint', 'sticky', 's1');
    await waitUntil(async () => !Object.values(await stickyServers(lab)).includes('s1'), soon('s1 has no client'));
    const second = await stickyServers(lab);
    // Only those who have to go elsewhere do.
    for (const [source, server] of Object.entries(first)) if (server !== 's1') expect(second[source]).toBe(server);
    await swap(lab, pair);
    expect(await stickyServers(lab)).toEqual(second);
    await operate(pair.lb1, 'server', 'ready', 'sticky', 's1');
    expect(await stickyServers(lab)).toEqual(second);
  });
});

function proxyConfig(): ConfigOverrides {
  const check = { inter: '300ms', timeout: '250ms', rise: 1, fall: 2 };
  const servers = (weights: readonly number[]): object[] =>
    serverNames.map((name, index) => {
      const address = `10.9.0.${21 + index}:${serverPort}`;
      return { name, address, weight: weights[index] };
    });
  const service = (name: string, port: number, rest: object, weights = [1, 1, 1]): object => ({
    ...{ name, listen: `${virtualAddress}:${port}`, check, servers: servers(weights) },
    ...rest,
  });
  return {
    services: [
      service('weighted', weightedPort, { balance: 'roundrobin' }, [1, 2, 3]),
      service('least', leastPort, { balance: 'leastconn' }),
      service('sticky', stickyPort, { balance: 'roundrobin', stick: { by: 'source' } }),
    ],
    proxy: { workers: 2 },
  };
}

/**
 * New connections are answered by RST, established ones go on. A program that stops listening would also reset those
 * that wait to be accepted, and with them clients that no balancer could save.
 */
async function refuseConnections(host: Host): Promise<void> {
  const rule = `tcp dport ${serverPort} tcp flags & (syn | ack) == syn reject with tcp reset`;
  const ruleset = `table ip refuse { chain c { type filter hook input priority 0; ${rule}; }; }`;
  expect(await host.exec(['nft', '-f', '-'], { input: ruleset })).toMatchObject({ code: 0, stderr: '' });
}

/** Undone already is as good. */
async function acceptConnections(host: Host): Promise<void> {
  await host.exec(['nft', 'delete', 'table', 'ip', 'refuse']);
}

async function setBehaviours(servers: Readonly<Record<string, ServerHandle>>, behaviour: Behaviour): Promise<void> {
  await Promise.all(Object.values(servers).map((server) => server.setBehaviour(behaviour)));
}

/** A client that sends a stream, then its end, and prints all that comes back until the server's end. */
function sinkClient(port: number, seed: number, bytes: number): string[] {
  const script = `
    import { connect } from 'node:net';
    import { pattern } from '${new URL('pattern.ts', import.meta.url).href}';
    const socket = connect({ host: '${virtualAddress}', port: ${port}, allowHalfOpen: true });
    socket.pipe(process.stdout);
    socket.write('sink ${seed}\\n');
    socket.end(pattern(${seed}, 0, ${bytes}));`;
  return [process.execPath, '--input-type=module', '--eval', script];
}

/** The service on the node that is active. */
async function serviceOf(pair: Pair, lab: Lab, name: string): Promise<ServiceStatus> {
  const { active } = await rolesOf(lab, pair);
  const service = (await statusOf(active)).services.find((candidate) => candidate.name === name);
  if (service === undefined) throw new Error(`there is no service ${name}`);
  return service;
}

function health(service: ServiceStatus, name: string): string | undefined {
  return service.servers.find((server) => server.name === name)?.health;
}

function failures(service: ServiceStatus, name: string): number {
  return service.servers.find((server) => server.name === name)?.connectFailures ?? 0;
}

/** Waits until both nodes show the servers of `weighted` as given: state and weight. */
async function waitForServers(pair: Pair, wanted: Readonly<Record<ServerName, string>>): Promise<void> {
  for (const node of [pair.lb1, pair.lb2]) {
    await waitUntil(
      async () => {
        const service = (await statusOf(node)).services.find(({ name }) => name === 'weighted');
        return service?.servers.every(({ name, state, weight }) => wanted[name as ServerName] === `${state} ${weight}`);
      },
      soon(`${node.host.name} knows: ${JSON.stringify(wanted)}`),
    );
  }
}

/** Who answers 24 new connections. */
async function askedServers(lab: Lab): Promise<readonly string[]> {
  const answers: string[] = [];
  for (let round = 0; round < 4; round++) {
    answers.push(...(await Promise.all(Array.from({ length: 6 }, () => whoServes(lab, weightedPort)))));
  }
  return [...new Set(answers)].sort();
}

/** The server of each source address of the client's; fails if one has several. */
async function stickyServers(lab: Lab): Promise<Readonly<Record<string, string>>> {
  const answers = await Promise.all(sources.map((source) => stickyServer(lab, source)));
  return Object.fromEntries(sources.map((source, index) => [source, answers[index] ?? '']));
}

async function stickyServer(lab: Lab, source: string): Promise<string> {
  const url = `http://${virtualAddress}:${stickyPort}/who`;
  const argv = ['curl', '-sS', '-m', '3', '--http1.0', '--interface', source, url, url, url];
  const { stdout, stderr, code } = await lab.host('client').exec(argv);
  const [server = '', ...others] = new Set(stdout.trim().split('\n'));
  if (code !== 0 || others.length > 0) throw new Error(`${source} is served by ${stdout} ${stderr}`);
  return server;
}

async function swap(lab: Lab, pair: Pair): Promise<void> {
  const { standby } = await rolesOf(lab, pair);
  await operate(standby, 'failover');
  await waitForHolder(lab, standby);
}

async function restart(lab: Lab, pair: Pair, node: TandemNode, config: ConfigOverrides): Promise<Pair> {
  node.host.killAll('SIGKILL');
  await node.process.exited;
  return makeWhole(lab, pair, config);
}

async function operate(node: TandemNode, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await tandem(node, ...args);
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
}

function verifiedBytes({ process }: { readonly process: { readonly stdout: readonly string[] } }): number {
  const line = process.stdout.findLast((text) => text.includes('"event":"progress"'));
  return line === undefined ? 0 : (JSON.parse(line) as { bytesVerified: number }).bytesVerified;
}

function soon(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 15_000, what };
}
