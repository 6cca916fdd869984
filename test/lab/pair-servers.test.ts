/** What operators do at run time about servers and sticky clients, on either node, for both and for all workers. */

import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServerStatus, StickList } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { startPair, startServers, statusOf, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, tandem, tandemJson } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { startVerifier } from './tools.ts';
import { virtualAddress } from './topology.ts';

const stickyPort = 82;
const endpoint = '10.9.0.23:8080';

const services = [
  service('web', 80, {}),
  service('sticky', stickyPort, { stick: { by: 'source', prefix: { ipv4: 24 }, ttl: '60s', size: 100 } }),
];

describe('servers that are added at run time', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, { services });
  });

  afterAll(() => lab.destroy());

  it('serve on both nodes, are checked, and stay in a reload', async () => {
    const { code, stdout } = await tandem(pair.lb2, 'server', 'add', 'web', 's3', '10.9.0.23', '--weight', '5');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^s3 \(added\) +10\.9\.0\.23:8080 +up +ready +5 /m);
    await seen(pair.lb1, (server) => server?.address === endpoint && server.lastCheck?.startsWith('passed') === true);
    expect((await tandem(pair.lb1, 'server', 'maint', 'web', 's1')).code).toBe(0);
    expect((await tandem(pair.lb1, 'server', 'maint', 'web', 's2')).code).toBe(0);
    await waitUntil(async () => (await whoServes(lab)) === 's3', { timeoutMs: 5_000, what: 's3 serves alone' });
    writeFileSync(pair.lb1.configPath, pairConfig(lab, { services, log: { level: 'debug' } }));
    expect((await tandem(pair.lb1, 'reload')).code).toBe(0);
    expect(await whoServes(lab)).toBe('s3');
    expect(await serverOf(pair.lb1, 's3')).toMatchObject({ origin: 'added', weight: 5, health: 'up' });
  });

  it.each<[string, readonly string[], RegExp]>([
    ['a name that there is', ['add', 'web', 's1', '10.9.0.29'], /^tandem: service web has a server s1 already; choose/],
    ['an address that there is', ['add', 'web', 's9', endpoint], /has the server s3 on 10\.9\.0\.23:8080 already/],
    [
      'no such service',
      ['add', 'nope', 's9', '10.9.0.29'],
      /^tandem: there is no service nope; there are: web, sticky\n$/,
    ],
    [
      'a configured server',
      ['remove', 'web', 's1'],
      /^tandem: s1 is in the file of service web; take it out of the file/,
    ],
    ['no such server', ['remove', 'web', 's9'], /^tandem: service web has no server s9; there are: s1, s2, s3\n$/],
  ])('are refused, and so is taking out: %s', async (_what, args, line) => {
    const { code, stdout, stderr } = await tandem(pair.lb1, 'server', ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(line);
  });

  it('are let go of gently, or with force at once, on whichever node it is said', async () => {
    const target = { address: virtualAddress, port: 80, mode: 'block', connections: 3, seed: 7 } as const;
    const gentle = await startVerifier(lab.host('client'), target);
    expect((await tandem(pair.lb2, 'server', 'remove', 'web', 's3')).code).toBe(0);
    await seen(pair.lb1, (server) => server === undefined);
    expect((await gentle.stop()).endings).toMatchObject({ completed: 3, reset: 0 });
    expect((await tandem(pair.lb1, 'server', 'add', 'web', 's3', endpoint)).code).toBe(0);
    await waitUntil(async () => (await whoServes(lab)) === 's3', { timeoutMs: 5_000, what: 's3 serves again' });
    const forced = await startVerifier(lab.host('client'), target);
    expect((await tandem(pair.lb2, 'server', 'remove', 'web', 's3', '--force')).code).toBe(0);
    await waitUntil(() => forced.endings().length === 3, { timeoutMs: 5_000, what: 'the connections have been reset' });
    expect((await forced.stop()).endings).toMatchObject({ reset: 3 });
    for (const name of ['s1', 's2']) await tandem(pair.lb1, 'server', 'ready', 'web', name);
  });

  it('sticky clients are listed and cleared on either node, for both and in all workers', async () => {
    const client = { service: 'sticky', source: '10.9.0.0/24' };
    const first = await whoServes(lab, stickyPort);
    for (let count = 0; count < 8; count++) expect(await whoServes(lab, stickyPort)).toBe(first);
    await waitUntil(async () => (await listed(pair.lb2)).total === 1, {
      timeoutMs: 5_000,
      what: 'lb2 knows the client',
    });
    expect((await listed(pair.lb2)).entries).toMatchObject([{ ...client, server: first }]);
    expect((await listed(pair.lb1, '--source', '10.9.0.77')).total).toBe(1);
    expect((await listed(pair.lb1, '--source', '10.9.1.77')).total).toBe(0);
    // Whoever had a memory of it would go on to the one that drains.
    await tandem(pair.lb1, 'server', 'drain', 'sticky', first);
    expect(await whoServes(lab, stickyPort)).toBe(first);
    const cleared = await tandem(pair.lb2, 'stick', 'clear', 'sticky', '10.9.0.200');
    expect(cleared).toEqual({ code: 0, stdout: 'sticky: 1 cleared\n', stderr: '' });
    await waitUntil(async () => (await listed(pair.lb1)).total === 0, { timeoutMs: 5_000, what: 'lb1 has forgotten' });
    const second = await whoServes(lab, stickyPort);
    expect(second).not.toBe(first);
    for (let count = 0; count < 8; count++) expect(await whoServes(lab, stickyPort)).toBe(second);
    expect((await tandem(pair.lb1, 'stick', 'clear', 'sticky', '--all')).stdout).toBe('sticky: 1 cleared\n');
    await tandem(pair.lb1, 'server', 'ready', 'sticky', first);
  });

  it('says what cannot be cleared, and how it is asked for', async () => {
    const plain = await tandem(pair.lb1, 'stick', 'clear', 'web', '--all');
    expect(plain).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^tandem: service web has no stickiness; configure/) as string,
    });
    for (const args of [['sticky'], ['sticky', '10.9.0.1', '--all']]) {
      expect(await tandem(pair.lb1, 'stick', 'clear', ...args)).toMatchObject({ code: 2, stdout: '' });
    }
  });

  it('the table of a service goes once neither node has it', async () => {
    await whoServes(lab, stickyPort);
    const entries = async (node: TandemNode) =>
      (await statusOf(node)).services.find(({ name }) => name === 'sticky')?.stickEntries;
    await waitUntil(async () => (await entries(pair.lb2)) === 1, { timeoutMs: 5_000, what: 'lb2 knows the client' });
    const read = async (node: TandemNode, list: readonly object[]): Promise<void> => {
      writeFileSync(node.configPath, pairConfig(lab, { services: list }));
      expect((await tandem(node, 'reload')).code).toBe(0);
    };
    await read(pair.lb1, services.slice(0, 1));
    expect(await entries(pair.lb2)).toBe(1);
    await read(pair.lb2, services.slice(0, 1));
    await read(pair.lb1, services);
    expect(await entries(pair.lb1)).toBe(0);
    await read(pair.lb2, services);
  });

  async function listed(node: TandemNode, ...options: readonly string[]): Promise<StickList> {
    const { code, json } = await tandemJson(node, 'stick', 'list', 'sticky', ...options);
    expect(code).toBe(0);
    return json as StickList;
  }
});

function service(name: string, port: number, changes: object): object {
  const check = { inter: '200ms', timeout: '150ms', rise: 1, fall: 2 };
  const servers = ['s1', 's2'].map((server) => ({ name: server, address: `10.9.0.2${server.slice(1)}:8080` }));
  return { name, listen: `${virtualAddress}:${port}`, check, servers, ...changes };
}

async function serverOf(node: TandemNode, name: string): Promise<ServerStatus | undefined> {
  return (await statusOf(node)).services[0]?.servers.find((server) => server.name === name);
}

async function seen(node: TandemNode, isRight: (server: ServerStatus | undefined) => boolean): Promise<void> {
  const what = `${node.host.name} knows of it`;
  await waitUntil(async () => isRight(await serverOf(node, 's3')), { timeoutMs: 5_000, what });
}
