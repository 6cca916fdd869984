/** Which server clients get, and how many at once: with real clients and servers, and several workers. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ServerStatus, ServiceStatus } from '../../src/node/index.ts';
import type { Host } from './host.ts';
import { createLab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import type { Lab } from './lab.ts';
import { makeWhole, rolesOf, startPair, startServers, statusOf, waitForHolder, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { serverPort, tandem } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { monotonicMs, waitUntil } from './time.ts';
import { startProber, startServer, startVerifier } from './tools.ts';
import type { ServerHandle } from './tools.ts';
import { virtualAddress } from './topology.ts';

const workers = 3;
/** Where only the clients of one service go, and no check does. */
const limitedPort = 8081;
/** Where s2 thinks before it answers. */
const slowPort = 8082;
/** Where servers count their connections; no check goes there either. */
const countedPort = 8083;
const serverNames = ['s1', 's2', 's3'];
const services = {
  limited: 80,
  least: 81,
  random: 82,
  leasttime: 83,
  source: 84,
  maglev: 85,
  first: 86,
  backup: 87,
  paced: 88,
  shutdown: 89,
  counted: 90,
} as const;
type ServiceName = keyof typeof services;

/** Addresses of the client, each a source of its own. */
const sources = Array.from({ length: 24 }, (_, index) => `10.9.0.${131 + index}`);

describe('servers get what they can take', () => {
  let lab: Lab;
  let pair: Pair;
  let servers: ServerHandle[];
  let countingServers: LabProcess[];

  beforeAll(async () => {
    lab = await createLab();
    servers = await startServers(lab);
    for (const name of serverNames) await startServer(lab.host(name), { port: limitedPort });
    countingServers = await Promise.all(serverNames.map((name) => startCountingServer(lab.host(name))));
    await startSlowServer(lab.host('s2'));
    for (const source of sources) {
      await lab.host('client').exec(['ip', 'address', 'add', `${source}/24`, 'dev', 'lan0']);
    }
    pair = await startPair(lab, config());
  });

  beforeEach(async () => {
    pair = await makeWhole(lab, pair, config());
  });

  afterAll(() => lab.destroy());

  it('maxconn holds exactly over all workers, and the queue serves everybody under a hail of connections', async () => {
    const load = ['wrk', '-t1', '-c60', '-d5s', '-H', 'Connection: close'];
    const { stdout } = await lab.host('client').exec([...load, url('counted', '/')], { timeoutMs: 20_000 });
    expect(stdout).not.toMatch(/Socket errors|Non-2xx/);
    expect(Number(/(\d+) requests in/.exec(stdout)?.[1])).toBeGreaterThan(500);
    const service = await serviceOf(lab, pair, 'counted');
    expect(service.refused).toMatchObject({ 'queue-full': 0, 'queue-timeout': 0, 'no-server': 0 });
    // 60 clients for six places: there were always some that waited, and the places were all in use.
    expect(service.queuedMax).toBeGreaterThan(40);
    expect(countingServers.map((server) => server.stdout.at(-1))).toEqual(['most 2', 'most 2', 'most 2']);
  });

  it('gives back the places of a worker that was killed', async () => {
    const target = { address: virtualAddress, port: services.limited, mode: 'idle' } as const;
    const held = await startVerifier(lab.host('client'), { ...target, connections: 6 });
    await waitUntil(async () => connections(await serviceOf(lab, pair, 'limited')) === 6, soon('all places are taken'));
    const { active } = await rolesOf(lab, pair);
    const waiting = Promise.allSettled(Array.from({ length: 12 }, () => whoServes(lab, services.limited)));
    await waitUntil(async () => (await serviceOf(lab, pair, 'limited')).queued === 12, soon('twelve clients wait'));
    await active.host.exec(['kill', '-KILL', await holderOfMost(active)]);
    // Those who waited at that worker are lost with it; the others get its places.
    const served = (await waiting).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(served.length).toBeGreaterThan(0);
    for (const name of served) expect(name).toMatch(/^s[123]$/);
    await held.process.stop();
    await waitUntil(async () => connections(await serviceOf(lab, pair, 'limited')) === 0, soon('no place is taken'));
    for (let i = 0; i < 6; i++) expect(await whoServes(lab, services.limited)).toMatch(/^s[123]$/);
  });

  it('leastconn sees the connections of all workers', async () => {
    const target = { address: virtualAddress, port: services.least, mode: 'idle' } as const;
    const held = await startVerifier(lab.host('client'), { ...target, connections: 90 });
    const { byServer } = await held.stop();
    // Two workers that pick at the same moment may pick the same server.
    for (const name of serverNames) expect(Math.abs((byServer[name] ?? 0) - 30)).toBeLessThanOrEqual(workers);
  });

  it('random gives every server its part', async () => {
    const prober = await startProber(lab.host('client'), { ...at('random'), intervalMs: 2 });
    await waitUntil(
      async () => (await serviceOf(lab, pair, 'random')).connectionsTotal >= 900,
      soon('900 connections'),
    );
    const { byServer, served, attempts } = await prober.stop();
    expect(served).toBe(attempts);
    for (const name of serverNames) expect((byServer[name] ?? 0) / served).toBeGreaterThan(0.25);
  });

  it('leasttime leaves a server that is slow alone', async () => {
    const prober = await startProber(lab.host('client'), { ...at('leasttime'), intervalMs: 10 });
    await waitUntil(async () => (await serviceOf(lab, pair, 'leasttime')).connectionsTotal >= 300, soon('300'));
    const { byServer, served } = await prober.stop();
    // Each worker finds out for itself.
    expect(byServer['s2']).toBeGreaterThan(0);
    expect((byServer['s2'] ?? 0) / served).toBeLessThan(0.1);
  });

  it.each(['source', 'maglev'] as const)('%s sends a client to the same server, on both nodes', async (name) => {
    const before = await bySource(lab, name);
    expect(new Set(Object.values(before)).size).toBe(3);
    expect(await bySource(lab, name)).toEqual(before);
    const { standby } = await rolesOf(lab, pair);
    await operate(standby, 'failover');
    await waitForHolder(lab, standby, 10_000);
    expect(await bySource(lab, name)).toEqual(before);
  });

  it('maglev moves the clients of a server that goes, and hardly any other', async () => {
    const before = await bySource(lab, 'maglev');
    await operate(pair.lb1, 'server', 'maint', 'maglev', 's2');
    const { active } = await rolesOf(lab, pair);
    const isGone = async () => serverOf(await statusOf(active), 'maglev', 's2')?.state === 'maint';
    await waitUntil(isGone, soon('s2 is in maintenance'));
    const after = await bySource(lab, 'maglev');
    await operate(pair.lb1, 'server', 'ready', 'maglev', 's2');
    expect(Object.values(after)).not.toContain('s2');
    const moved = sources.filter((source) => before[source] !== 's2' && after[source] !== before[source]);
    expect(moved.length).toBeLessThanOrEqual(2);
    await waitUntil(async () => same(await bySource(lab, 'maglev'), before), soon('all are where they were'));
  });

  it('first fills one server before it begins with the next', async () => {
    const target = { ...at('first'), mode: 'idle' } as const;
    const held = await startVerifier(lab.host('client'), { ...target, connections: 14 });
    const { byServer } = await held.stop();
    expect(byServer).toEqual({ s1: 5, s2: 5, s3: 4 });
  });

  it('a backup gets clients when all others are out, and none when they are back', async () => {
    expect(await askedServers(lab, 'backup')).toEqual(['s1', 's2']);
    await operate(pair.lb1, 'server', 'maint', 'backup', 's1');
    await operate(pair.lb1, 'server', 'drain', 'backup', 's2');
    await waitUntil(async () => same(await askedServers(lab, 'backup'), ['s3']), soon('s3 serves alone'));
    await operate(pair.lb1, 'server', 'ready', 'backup', 's1');
    await operate(pair.lb1, 'server', 'ready', 'backup', 's2');
    await waitUntil(async () => same(await askedServers(lab, 'backup'), ['s1', 's2']), soon('s3 has rest'));
  });

  it('a drain ends connections spread over its time, and stops when the server is ready again', async () => {
    const target = { ...at('paced'), mode: 'idle' } as const;
    const held = await startVerifier(lab.host('client'), { ...target, connections: 90 });
    const [startedMs, overMs] = [monotonicMs(), 6_000];
    await operate(pair.lb1, 'server', 'drain', 'paced', 's1', '--over', '6s');
    await waitUntil(() => held.endings().length >= 14, soon('half of s1’s have ended'));
    expect(Math.abs(monotonicMs() - startedMs - overMs / 2)).toBeLessThan(1_500);
    await operate(pair.lb1, 'server', 'ready', 'paced', 's1');
    const { active } = await rolesOf(lab, pair);
    const left = serverOf(await statusOf(active), 'paced', 's1')?.connections ?? 0;
    expect(left).toBeGreaterThan(5);
    await operate(pair.lb1, 'server', 'drain', 'paced', 's2', '--over', '3s');
    await waitUntil(
      async () => serverOf(await statusOf(active), 'paced', 's2')?.connections === 0,
      soon('s2 has no connection'),
    );
    const ended = held.endings();
    // Each end of this verifier's is told with its server: only those two have lost any, s1 none after it was ready.
    expect(serverOf(await statusOf(active), 'paced', 's1')?.connections).toBe(left);
    expect(ended).toHaveLength(30 - left + 30);
    const { endings } = await held.stop();
    expect(endings).toMatchObject({ completed: 90 - ended.length });
    await operate(pair.lb1, 'server', 'ready', 'paced', 's2');
  });

  it('onMarkedDown: shutdownSessions resets the connections of a server that goes down, and no other’s', async () => {
    const held = await startVerifier(lab.host('client'), { ...at('shutdown'), mode: 'idle', connections: 30 });
    const before = held.endings().length;
    await servers[0]?.setBehaviour('refuse');
    await waitUntil(() => held.endings().length === before + 10, soon('ten connections have ended'));
    await servers[0]?.setBehaviour('serve');
    const { active } = await rolesOf(lab, pair);
    expect(serverOf(await statusOf(active), 'shutdown', 's1')?.shutdowns).toBe(10);
    const { endings } = await held.stop();
    expect(endings).toMatchObject({ completed: 20 });
  });
});

function config(): ConfigOverrides {
  const check = { inter: '300ms', timeout: '250ms', rise: 1, fall: 2 };
  const serversWith = (rest: (index: number) => object): object[] =>
    serverNames.map((name, index) => ({ name, address: `10.9.0.${21 + index}:${serverPort}`, ...rest(index) }));
  const service = (name: ServiceName, rest: object, ofServers: (index: number) => object = () => ({})): object => ({
    ...{ name, listen: `${virtualAddress}:${services[name]}`, check, servers: serversWith(ofServers) },
    ...rest,
  });
  return {
    services: [
      service('counted', { check: false, queue: { length: 1_000, timeout: '10s' } }, (index) => ({
        ...{ maxconn: 2, address: `10.9.0.${21 + index}:${countedPort}` },
      })),
      service('limited', { check: false, queue: { length: 1_000, timeout: '10s' } }, (index) => ({
        ...{ maxconn: 2, address: `10.9.0.${21 + index}:${limitedPort}` },
      })),
      service('least', { balance: 'leastconn' }),
      service('random', { balance: 'random' }),
      service('leasttime', { balance: 'leasttime' }, (index) =>
        index === 1 ? { address: `10.9.0.22:${slowPort}` } : {},
      ),
      service('source', { balance: 'source' }),
      service('maglev', { balance: 'maglev' }),
      service('first', { balance: 'first' }, () => ({ maxconn: 5 })),
      service('backup', {}, (index) => (index === 2 ? { backup: true } : {})),
      service('paced', { balance: 'leastconn' }),
      service('shutdown', { balance: 'leastconn', onMarkedDown: 'shutdownSessions' }),
    ],
    proxy: { workers },
  };
}

function at(name: ServiceName): { address: string; port: number } {
  return { address: virtualAddress, port: services[name] };
}

function url(name: ServiceName, path: string): string {
  return `http://${virtualAddress}:${services[name]}${path}`;
}

/** Says its name like the others, 60 ms after it was asked. */
async function startSlowServer(host: Host): Promise<void> {
  const script = `
    import { createServer } from 'node:net';
    const answer = (socket) => setTimeout(() => socket.end('${host.name}\\n'), 60);
    const server = createServer((socket) => socket.on('error', () => 0).on('data', () => answer(socket)));
    server.listen(${slowPort}, () => console.log('listening'));`;
  const server = host.spawn([process.execPath, '--input-type=module', '--eval', script]);
  await server.waitForLine(/listening/, 10_000);
}

/**
 * Answers HTTP after 3 ms, and says how many connections it has had at once. An answer counts as the end, which the
 * balancer hears of later: what is counted is never more than what the balancer has.
 */
async function startCountingServer(host: Host): Promise<LabProcess> {
  const script = `
    import { createServer } from 'node:net';
    let [open, most] = [0, 0];
    const answer = 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 0\\r\\n\\r\\n';
    createServer((socket) => {
      if (++open > most) console.log('most', (most = open));
      let isOpen = true;
      const end = () => { if (isOpen) open--; isOpen = false; };
      socket.on('error', end).on('close', end);
      socket.once('data', () => setTimeout(() => { end(); socket.end(answer); }, 3));
    }).listen(${countedPort}, () => console.log('listening'));`;
  const server = host.spawn([process.execPath, '--input-type=module', '--eval', script]);
  await server.waitForLine(/listening/, 10_000);
  return server;
}

/** The worker that has most of the places at the limited servers. */
async function holderOfMost(node: TandemNode): Promise<string> {
  const argv = ['ss', '-Htnp', 'state', 'established', `( dport = :${limitedPort} )`];
  const { stdout } = await node.host.exec(argv);
  const counts = new Map<string, number>();
  for (const [, pid = ''] of stdout.matchAll(/pid=(\d+)/g)) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  if (most === undefined) throw new Error(`nobody has a connection to port ${limitedPort}: ${stdout}`);
  return most[0];
}

/** Who serves each of the client's addresses. */
async function bySource(lab: Lab, name: ServiceName): Promise<Readonly<Record<string, string>>> {
  const servers = await Promise.all(
    sources.map(async (source) => {
      const argv = ['curl', '-sS', '-m', '3', '--interface', source, url(name, '/who')];
      const { stdout, stderr } = await lab.host('client').exec(argv);
      return [source, stdout.trim() === '' ? stderr : stdout.trim()] as const;
    }),
  );
  return Object.fromEntries(servers);
}

/** Who answers 12 new connections. */
async function askedServers(lab: Lab, name: ServiceName): Promise<readonly string[]> {
  const answers: string[] = [];
  for (let i = 0; i < 12; i++) answers.push(await whoServes(lab, services[name]));
  return [...new Set(answers)].sort();
}

/** The service on the node that is active. */
async function serviceOf(lab: Lab, pair: Pair, name: ServiceName): Promise<ServiceStatus> {
  const { active } = await rolesOf(lab, pair);
  const service = (await statusOf(active)).services.find((candidate) => candidate.name === name);
  if (service === undefined) throw new Error(`there is no service ${name}`);
  return service;
}

function serverOf(
  status: { readonly services: readonly ServiceStatus[] },
  service: ServiceName,
  server: string,
): ServerStatus | undefined {
  return status.services.find(({ name }) => name === service)?.servers.find(({ name }) => name === server);
}

function connections(service: ServiceStatus): number {
  return service.servers.reduce((sum, server) => sum + server.connections, 0);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

async function operate(node: TandemNode, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await tandem(node, ...args);
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
}

function soon(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 15_000, what };
}
