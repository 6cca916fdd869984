/** Servers by DNS name, found by both nodes from a DNS server that changes its mind and fails. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServiceStatus } from '../../src/node/index.ts';
import type { DnsAnswer, DnsRecord } from './dns-server.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import { startPair, startServers, statusOf, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { tandem } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { sleep, waitUntil } from './time.ts';
import { startVerifier } from './tools.ts';
import { virtualAddress } from './topology.ts';

const appName = 'app.example.internal';
const srvName = '_http._tcp.example.internal';
const check = { inter: '200ms', timeout: '150ms', rise: 1, fall: 2 };

describe('servers by DNS name', () => {
  let lab: Lab;
  let pair: Pair;
  let dns: LabProcess;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    dns = lab
      .host('client')
      .spawn([process.execPath, new URL('dns-server.ts', import.meta.url).pathname, '--listen', '0.0.0.0:53']);
    await dns.waitForLine(/listening/, 10_000);
    const { stdout } = await lab.host('client').exec(['ip', '-4', '-o', 'address', 'show', 'dev', 'lan0']);
    const resolver = /inet ([0-9.]+)/.exec(stdout)?.[1] ?? '';
    await say(appName, { records: [a(21)] });
    await say(srvName, { records: [srv('s1.test', 3), srv('s2.test', 1)] });
    await say('s1.test', { records: [a(21)] });
    await say('s2.test', { records: [a(22)] });
    const services = [
      service('web', 80, { name: 'app', resolve: appName, port: 8080, hold: '3s' }),
      service('srv', 81, { name: 'web', srv: srvName }),
    ];
    pair = await startPair(lab, { resolvers: [resolver], services });
  });

  afterAll(() => lab.destroy());

  it('are there from the start, on both nodes, with ports and weights of SRV records', async () => {
    for (const node of [pair.lb1, pair.lb2]) {
      const [web, bySrv] = (await statusOf(node)).services;
      expect(serversOf(web)).toEqual(['app-10.9.0.21 x1 up']);
      expect(serversOf(bySrv)).toEqual(['web-10.9.0.21:8080 x3 up', 'web-10.9.0.22:8080 x1 up']);
    }
    expect(await whoServes(lab)).toBe('s1');
    expect((await tandem(pair.lb1, 'server', 'list', 'web')).stdout).toMatch(/^app-10\.9\.0\.21 \(dns\) /m);
  });

  it('are others when the answer is; connections to those that went go on', async () => {
    const target = { address: virtualAddress, port: 80, mode: 'block', connections: 3, seed: 5 } as const;
    const streams = await startVerifier(lab.host('client'), target);
    await say(appName, { records: [a(22), a(23)], fault: 'truncated' });
    for (const node of [pair.lb1, pair.lb2]) await has(node, ['app-10.9.0.22 x1 up', 'app-10.9.0.23 x1 up']);
    expect(await whoServes(lab)).toMatch(/^s[23]$/);
    expect((await streams.stop()).endings).toMatchObject({ completed: 3, reset: 0 });
  });

  it.each(['servfail', 'silent', 'wrong-id'] as const)(
    'stay as they were while the DNS server is %s',
    async (fault) => {
      await say(appName, { records: [a(21)], fault });
      await waitUntil(async () => (await troubleOf(pair.lb1)) !== undefined, { timeoutMs: 15_000, what: 'it fails' });
      await sleep(1_000);
      await has(pair.lb1, ['app-10.9.0.22 x1 up', 'app-10.9.0.23 x1 up']);
      expect(await whoServes(lab)).toMatch(/^s[23]$/);
      expect((await tandem(pair.lb1, 'status')).stdout).toMatch(/^ +! DNS does not find app\.example\.internal \(E/m);
      await say(appName, { records: [a(22), a(23)] });
      await waitUntil(async () => (await troubleOf(pair.lb1)) === undefined, {
        timeoutMs: 40_000,
        what: 'it is found',
      });
    },
  );

  it('are held for a while when their name is gone, and come back with it', async () => {
    await say(appName, { records: [], fault: 'nxdomain' });
    await waitUntil(async () => (await troubleOf(pair.lb1)) === 'ENOTFOUND', { timeoutMs: 10_000, what: 'it is gone' });
    await has(pair.lb1, ['app-10.9.0.22 x1 up', 'app-10.9.0.23 x1 up']);
    await has(pair.lb1, []);
    await say(appName, { records: [a(21)] });
    await has(pair.lb1, ['app-10.9.0.21 x1 up'], 40_000);
    expect(await whoServes(lab)).toBe('s1');
  });

  it('take what operators set, and cannot be removed', async () => {
    expect((await tandem(pair.lb2, 'server', 'drain', 'srv', 'web-10.9.0.21:8080')).code).toBe(0);
    await waitUntil(async () => (await whoServes(lab, 81)) === 's2', { timeoutMs: 5_000, what: 's1 drains' });
    const { code, stderr } = await tandem(pair.lb1, 'server', 'remove', 'srv', 'web-10.9.0.21:8080');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^tandem: web-10\.9\.0\.21:8080 comes from a DNS name of service srv; /);
  });

  async function say(name: string, answer: DnsAnswer): Promise<void> {
    const seen = dns.lines.length;
    dns.tell(JSON.stringify({ name, answer }));
    await waitUntil(() => dns.lines.length > seen, { timeoutMs: 5_000, what: 'the DNS server has heard' });
  }

  async function has(node: TandemNode, servers: readonly string[], timeoutMs = 10_000): Promise<void> {
    const isSo = async (): Promise<boolean> => serversOf((await statusOf(node)).services[0]).join() === servers.join();
    await waitUntil(isSo, { timeoutMs, what: `${node.host.name} has ${servers.join(', ')}` });
  }
});

function a(last: number): DnsRecord {
  return { type: 'A', address: `10.9.0.${last}`, ttl: 1 };
}

function srv(target: string, weight: number): DnsRecord {
  return { type: 'SRV', priority: 1, weight, port: 8080, target, ttl: 1 };
}

function service(name: string, port: number, server: object): object {
  return { name, listen: `${virtualAddress}:${port}`, check, servers: [server] };
}

function serversOf(status: ServiceStatus | undefined): readonly string[] {
  return (status?.servers ?? []).map(({ name, weight, health }) => `${name} x${weight} ${health}`);
}

async function troubleOf(node: TandemNode): Promise<string | undefined> {
  return (await statusOf(node)).services[0]?.discoveries[0]?.trouble;
}
