/**
 * Clients that keep their connections for as long as they run (pgbench, redis-benchmark) while the nodes are reloaded,
 * and servers behind the virtual address are drained and crash: who was on the server that crashed sees it, nobody else
 * sees anything. What happened is told by the clients' own output, and by what the servers have stored for each.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import { packagesEnv } from './packages.ts';
import { postgresClient, postgresPort, startPostgresServers } from './postgres.ts';
import type { PostgresServer } from './postgres.ts';
import { redisClient, redisPort, startRedisServers } from './redis.ts';
import type { RedisServer } from './redis.ts';
import { rolesOf, startPair, statusOf } from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, tandem } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

/** s1 will be drained, s2 will crash, s3 lives through it all. */
const serverAddresses = { s1: '10.9.0.21', s2: '10.9.0.22', s3: '10.9.0.23' };
const serverNames = ['s1', 's2', 's3'] as const;
type ServerName = (typeof serverNames)[number];
type Service = 'postgres' | 'redis';

const proxy = { workers: 2 };
const testTimeoutMs = 120_000;
const endTimeoutMs = 90_000;
const soonMs = 15_000;

describe('clients that stay, while a server is drained and another one crashes', () => {
  let lab: Lab;
  let pair: Pair;
  let postgres: Readonly<Record<ServerName, PostgresServer>>;
  let redis: Readonly<Record<ServerName, RedisServer>>;
  let retries = 3;

  beforeAll(async () => {
    lab = await createLab();
    postgres = byName(await startPostgresServers(lab, serverAddresses));
    redis = byName(await startRedisServers(lab, serverAddresses));
    pair = await startPair(lab, { services: services(), proxy });
  });

  beforeEach(async () => {
    await Promise.all([postgres.s2.start(), redis.s2.start()]);
    for (const service of ['postgres', 'redis']) await operate('server', 'ready', service, 's1');
    await waitUntilUp();
  });

  afterAll(() => lab.destroy());

  it('pgbench runs to its end', { timeout: testTimeoutMs }, async () => {
    const [clients, transactions, rate] = [18, 400, 700];
    await Promise.all(Object.values(postgres).map(prepareDatabase));
    const options = ['-n', '-c', String(clients), '-j', '2', '-t', String(transactions), '-R', String(rate)];
    const script = writeTransaction(lab);
    const pgbench = lab
      .host('client')
      .spawn(postgresClient('pgbench', virtualAddress, ...options, '-f', script, 'postgres'), { env: packagesEnv });
    const before = await waitForCounts(clients, pgbench, () => storedTransactions(postgres));

    await reload();
    await operate('server', 'drain', 'postgres', 's1');
    expect(new Set(await servedBy('postgres', 12))).toEqual(new Set(['s2', 's3']));
    expect(pgbench.exit).toBeUndefined();
    await postgres.s2.crash();
    expect(new Set(await servedBy('postgres', 12))).toEqual(new Set(['s3']));

    await within(pgbench);
    const onCrashed = [...before.s2.keys()].sort(byNumber);
    const errors = pgbench.stderr.filter((line) => line.startsWith('pgbench: error:'));
    const aborted = errors.flatMap((line) => /client (\d+) (?:script \d+ )?aborted/.exec(line)?.[1] ?? []);
    expect(aborted.sort(byNumber)).toEqual(onCrashed);
    expect(errors.slice(aborted.length)).toEqual([expect.stringContaining('Run was aborted')]);
    const processed = Number(/(\d+)\/(\d+)/.exec(lineWith(pgbench, 'transactions actually processed'))?.[1]);
    expect(processed).toBeGreaterThan((clients - onCrashed.length) * transactions);
    expect(lineWith(pgbench, 'failed transactions')).toMatch(/: 0 /);

    // Each of the others has stored every transaction of his, all on the server that he began with.
    await postgres.s2.start();
    const after = await storedTransactions(postgres);
    for (const name of ['s1', 's3'] as const) {
      expect([...after[name].keys()].sort(byNumber)).toEqual([...before[name].keys()].sort(byNumber));
      expect(new Set(after[name].values())).toEqual(new Set([transactions]));
    }
    expect([...after.s2.keys()].sort(byNumber)).toEqual(onCrashed);
    await expectServedByAllAgain('postgres');
  });

  it('redis-benchmark runs to its end', { timeout: testTimeoutMs }, async () => {
    const [clients, requests] = [24, 15_000];
    // One that has several connections ends when one of them does: each has one, and a key of its own.
    const benchmarks = new Map<string, LabProcess>();
    for (let client = 0; client < clients; client++) {
      const options = ['-c', '1', '-n', String(requests), '--csv', 'INCR', `client:${client}`];
      const argv = redisClient('redis-benchmark', virtualAddress, ...options);
      benchmarks.set(String(client), lab.host('client').spawn(argv));
    }
    const all = [...benchmarks.values()];
    const before = await waitForCounts(clients, all[0], () => storedRequests(redis, clients));

    await reload();
    await operate('server', 'drain', 'redis', 's1');
    expect(new Set(await servedBy('redis', 12))).toEqual(new Set(['s2', 's3']));
    expect(all.filter(({ exit }) => exit !== undefined)).toEqual([]);
    await redis.s2.crash();
    expect(new Set(await servedBy('redis', 12))).toEqual(new Set(['s3']));

    await Promise.all(all.map(within));
    for (const [client, benchmark] of benchmarks) {
      if (before.s2.has(client)) {
        expect(benchmark.exit).toEqual({ code: 1, signal: undefined });
        expect(benchmark.stderr.join()).toMatch(/Server closed the connection|reset by peer|All clients disconnected/);
      } else {
        expect({ exit: benchmark.exit, stderr: benchmark.stderr }).toEqual({
          exit: { code: 0, signal: undefined },
          stderr: [],
        });
        expect(lineWith(benchmark, `INCR client:${client}`)).toMatch(/^"INCR client:\d+","[\d.]+"/);
      }
    }
    // Every request was performed once, all on the server that the client began with.
    const after = await storedRequests(redis, clients, ['s1', 's3']);
    for (const name of ['s1', 's3'] as const) {
      expect([...after[name].keys()]).toEqual([...before[name].keys()]);
      expect(new Set(after[name].values())).toEqual(new Set([requests]));
    }
    await redis.s2.start();
    await expectServedByAllAgain('redis');
  });

  /** Both nodes, each time with another file than before. */
  async function reload(): Promise<void> {
    retries++;
    for (const node of [pair.lb1, pair.lb2]) {
      writeFileSync(node.configPath, pairConfig(lab, { services: services({ retries }), proxy }));
      const { code, stdout, stderr } = await tandem(node, 'reload');
      expect({ code, stderr, last: stdout.trim().split('\n').at(-1) }).toEqual({
        ...{ code: 0, stderr: '', last: 'reloaded: 2 changes' },
      });
    }
  }

  async function operate(...args: readonly string[]): Promise<void> {
    const { active } = await rolesOf(lab, pair);
    const { code, stderr } = await tandem(active, ...args);
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
  }

  /** Which servers serve so many new clients. */
  function servedBy(service: Service, count: number): Promise<readonly string[]> {
    return Promise.all(Array.from({ length: count }, () => askName(lab, service)));
  }

  async function expectServedByAllAgain(service: Service): Promise<void> {
    await operate('server', 'ready', service, 's1');
    await waitUntilUp();
    expect(new Set(await servedBy(service, 24))).toEqual(new Set(serverNames));
  }

  async function waitUntilUp(): Promise<void> {
    const { active } = await rolesOf(lab, pair);
    await waitUntil(
      async () => {
        const servers = (await statusOf(active)).services.flatMap((service) => service.servers);
        return servers.every(({ health }) => health === 'up');
      },
      { timeoutMs: soonMs, what: 'every server is up' },
    );
  }
});

/** What each server has stored: how many transactions or requests, by client. */
type Stored = Readonly<Record<ServerName, ReadonlyMap<string, number>>>;

/** Waits until every client has been served, each by one server only and no server by nobody. */
async function waitForCounts(
  clients: number,
  process: LabProcess | undefined,
  stored: () => Promise<Stored>,
): Promise<Stored> {
  const counts = await waitUntil(
    async () => {
      if (process?.exit !== undefined) throw new Error(process.describe('ended too early'));
      const counted = await stored();
      return serverNames.flatMap((name) => [...counted[name].keys()]).length >= clients && counted;
    },
    { timeoutMs: soonMs, everyMs: 50, what: `${clients} clients have been served` },
  );
  const seen = serverNames.flatMap((name) => [...counts[name].keys()]);
  expect(seen.sort(byNumber)).toEqual(Array.from({ length: clients }, (_, client) => String(client)));
  for (const name of serverNames) expect(counts[name].size).toBeGreaterThan(0);
  return counts;
}

async function prepareDatabase(server: PostgresServer): Promise<void> {
  await server.query('CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)');
  await server.query('INSERT INTO account SELECT i, 0 FROM generate_series(1, 10000) i');
  await server.query('CREATE TABLE visit (client int, amount int)');
}

/** pgbench's usual one, in short, and who has done it. */
function writeTransaction(lab: Lab): string {
  const path = join(lab.directory, 'transaction.sql');
  const lines = [
    '\\set id random(1, 10000)',
    '\\set amount random(-5000, 5000)',
    'BEGIN;',
    'UPDATE account SET balance = balance + :amount WHERE id = :id;',
    'SELECT balance FROM account WHERE id = :id;',
    'INSERT INTO visit VALUES (:client_id, :amount);',
    'END;',
  ];
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

async function storedTransactions(servers: Readonly<Record<ServerName, PostgresServer>>): Promise<Stored> {
  const sql = 'SELECT client, count(*) FROM visit GROUP BY client';
  return byServer(async (name) => {
    const rows = await servers[name].query(sql);
    return rows.map((row) => row.split('|')).map(([client = '', count]) => [client, Number(count)]);
  });
}

async function storedRequests(
  servers: Readonly<Record<ServerName, RedisServer>>,
  clients: number,
  names: readonly ServerName[] = serverNames,
): Promise<Stored> {
  const keys = Array.from({ length: clients }, (_, client) => `client:${client}`);
  return byServer(async (name) => {
    if (!names.includes(name)) return [];
    // An empty line for a key that is not there.
    const counts = (await servers[name].ask('MGET', ...keys)).split('\n');
    return keys.flatMap((_, client) => (counts[client] ? [[String(client), Number(counts[client])]] : []));
  });
}

async function byServer(read: (name: ServerName) => Promise<(readonly [string, number])[]>): Promise<Stored> {
  const [s1, s2, s3] = await Promise.all(serverNames.map(async (name) => new Map(await read(name))));
  if (s1 === undefined || s2 === undefined || s3 === undefined) throw new Error('three servers have been asked');
  return { s1, s2, s3 };
}

/** The server that a new client gets, by its name. */
async function askName(lab: Lab, service: Service): Promise<string> {
  const sql = 'SELECT host(inet_server_addr())';
  const argv =
    service === 'redis'
      ? redisClient('redis-cli', virtualAddress, 'GET', 'name')
      : postgresClient('psql', virtualAddress, '-d', 'postgres', '-qAtc', sql);
  const { stdout, stderr, code } = await lab.host('client').exec(argv, { env: packagesEnv });
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  const answer = stdout.trim();
  return serverNames.find((name) => serverAddresses[name] === answer) ?? answer;
}

async function within(process: LabProcess): Promise<void> {
  await waitUntil(() => process.exit !== undefined, { timeoutMs: endTimeoutMs, what: process.describe('ends') });
}

function lineWith(process: LabProcess, text: string): string {
  return process.stdout.find((line) => line.includes(text)) ?? process.describe(`has not said: ${text}`);
}

function byName<Server>(servers: readonly Server[]): Readonly<Record<ServerName, Server>> {
  const [s1, s2, s3] = servers;
  if (s1 === undefined || s2 === undefined || s3 === undefined) throw new Error('three servers have been started');
  return { s1, s2, s3 };
}

function byNumber(a: string, b: string): number {
  return Number(a) - Number(b);
}

function services(changes: object = {}): readonly object[] {
  const check = { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 };
  const service = (name: Service, port: number): object => ({
    ...{ name, listen: `${virtualAddress}:${port}`, balance: 'roundrobin', check },
    servers: serverNames.map((server) => ({ name: server, address: `${serverAddresses[server]}:${port}` })),
    ...changes,
  });
  return [service('postgres', postgresPort), service('redis', redisPort)];
}
