/** Checks of every kind, agents and outliers, judged by the servers on which a client's connections land. */

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ServerStatus } from '../../src/node/index.ts';
import { checkPorts } from './check-server.ts';
import { startCapture } from './capture.ts';
import { createLab } from './lab.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import {
  eventsOf,
  probeService,
  rolesOf,
  startPair,
  startServers,
  statusOf,
  waitForHolder,
  whoServes,
} from './stage.ts';
import type { Pair } from './stage.ts';
import { serverPort, tandem } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const serverNames = ['s1', 's2', 's3'] as const;
type ServerName = (typeof serverNames)[number];

const ports = { http: 81, tls: 82, expect: 83, command: 84, agent: 85, outlier: 86 } as const;
type ServiceName = keyof typeof ports;

describe('what a pair knows of its servers', () => {
  let lab: Lab;
  let pair: Pair;
  let partners: Readonly<Record<ServerName, LabProcess>>;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    const certificate = makeCertificate(lab);
    const [s1, s2, s3] = await Promise.all(serverNames.map((name) => startPartner(lab.host(name), certificate)));
    if (s1 === undefined || s2 === undefined || s3 === undefined) throw new Error('three have been started');
    partners = { s1, s2, s3 };
    pair = await startPair(lab, config(lab, certificate));
    for (const service of Object.keys(ports) as ServiceName[]) await waitForServers(service, serverNames);
  });

  afterAll(() => lab.destroy());

  it.each<[ServiceName, bad: string, good: string, reason: RegExp]>([
    ['http', 'http 503', 'http 200', /^failed: status 503$/],
    ['http', 'http hang', 'http 200', /^failed: timeout: no answer$/],
    ['http', 'http 204', 'http 200', /^failed: status 204, but no "this is" in the body$/],
    ['tls', 'tls off', 'tls on', /^failed: ECONNREFUSED$/],
    ['expect', 'redis -LOADING', 'redis +PONG', /^failed: timeout: expected \+PONG, got -LOADING$/],
  ])('%s: no client lands on a server that says "%s", until it says "%s"', async (service, bad, good, reason) => {
    await tell('s1', bad);
    await waitForServers(service, ['s2', 's3']);
    // The standby looks for itself.
    await waitForBoth(service, 's1', ({ health }) => health === 'down');
    for (const node of [pair.lb1, pair.lb2]) {
      expect((await serverOf(node, service, 's1')).lastCheck).toMatch(reason);
    }
    await tell('s1', good);
    await waitForServers(service, serverNames);
  });

  it('command: no client lands on a server for which the program does not exit with 0', async () => {
    const file = join(lab.directory, 'down-s2');
    writeFileSync(file, '');
    onTestFinished(() => rmSync(file, { force: true }));
    await waitForServers('command', ['s1', 's3']);
    expect((await serverOf(pair.lb1, 'command', 's2')).lastCheck).toBe('failed: exit code 1: s2 at 10.9.0.22 is down');
    rmSync(file);
    await waitForServers('command', serverNames);
  });

  it("every check leaves from the node's own address, on the active node and on the standby", async () => {
    const { standby } = await rolesOf(lab, pair);
    const list = Object.values(checkPorts).join(' or dst port ');
    const capture = await startCapture(lab, 'lan', `tcp[tcpflags] == tcp-syn and (dst port ${list})`);
    onTestFinished(() => capture.stop());
    const kinds = 3 * Object.keys(checkPorts).length;
    const wanted = ['10.9.0.11', '10.9.0.12'];
    const bothCheck = (after: number) => (): boolean => {
      const seen = capture
        .frames()
        .slice(after)
        .map(({ bytes }) => flowOf(bytes));
      return wanted.every((own) => new Set(seen.filter((flow) => flow.startsWith(own))).size === kinds);
    };
    await waitUntil(bothCheck(0), soon('both nodes check all'));
    expect(await tandem(standby, 'failover')).toMatchObject({ code: 0, stderr: '' });
    await waitForHolder(lab, standby);
    await waitUntil(bothCheck(capture.frames().length), soon('both nodes check all again'));
    const sources = capture.frames().map(({ bytes }) => flowOf(bytes).split(' ')[0]);
    expect([...new Set(sources)].sort()).toEqual(wanted);
  });

  it('agent: the servers get what agents and operator leave them, and only who set it takes it back', async () => {
    await tell('s1', 'agent drain');
    await waitForServers('agent', ['s2', 's3']);
    await operate('drain', 's2');
    await waitForServers('agent', ['s3']);
    await operate('ready', 's1');
    await tell('s2', 'agent ready');
    expect(await landedOn('agent')).toEqual(['s3']);
    await operate('ready', 's2');
    await waitForServers('agent', ['s2', 's3']);

    await tell('s1', 'agent ready down # being upgraded');
    // Both have heard it, before the agent falls silent and what it said last stands.
    await waitForBoth('agent', 's1', ({ health }) => health === 'down');
    expect((await serverOf(pair.lb1, 'agent', 's1')).agent?.down).toBe('down: being upgraded');
    // One that does not answer changes nothing.
    await tell('s1', 'agent off');
    await waitUntil(
      async () => (await serverOf(pair.lb1, 'agent', 's1')).agent?.lastAnswer === 'no answer: ECONNREFUSED',
      soon('the agent of s1 does not answer'),
    );
    expect(await landedOn('agent')).toEqual(['s2', 's3']);
    await tell('s1', 'agent up');
    await waitForServers('agent', serverNames);
    // A word that is said for a moment only is not heard by everybody.
    await waitForBoth('agent', 's1', ({ health }) => health === 'up');
  });

  it('agent: a busy server gets the part that its load leaves it', async () => {
    await tell('s1', 'agent cpu:80%');
    onTestFinished(() => tell('s1', 'agent cpu:0%'));
    await waitForBoth('agent', 's1', ({ weight }) => weight === 0.2);
    const total = async (): Promise<number> => {
      const { services } = await statusOf((await rolesOf(lab, pair)).active);
      return services.find(({ name }) => name === 'agent')?.connectionsTotal ?? 0;
    };
    const before = await total();
    const prober = await probeService(lab, { port: ports.agent });
    await waitUntil(async () => (await total()) > before + 550, soon('550 connections'));
    const { byServer, served: all } = await prober.stop();
    const share = (byServer['s1'] ?? 0) / all;
    expect(share).toBeGreaterThan(0.2 / 2.2 - 0.02);
    expect(share).toBeLessThan(0.2 / 2.2 + 0.02);
  });

  it('outlier: a server that refuses is ejected, comes back by itself, and no client notices', async () => {
    const prober = await probeService(lab, { port: ports.outlier });
    onTestFinished(() => acceptConnections(lab.host('s1')));
    await refuseConnections(lab.host('s1'));
    const active = (await rolesOf(lab, pair)).active;
    await waitUntil(
      async () => (await serverOf(active, 'outlier', 's1')).ejection !== undefined,
      soon('s1 is ejected'),
    );
    expect((await serverOf(active, 'outlier', 's1')).ejection).toMatchObject({ reason: 'ECONNREFUSED', inARow: 1 });
    await acceptConnections(lab.host('s1'));
    await waitUntil(async () => (await serverOf(active, 'outlier', 's1')).ejection === undefined, soon('s1 is back'));
    await waitForServers('outlier', serverNames);
    const report = await prober.stop();
    expect(report.served).toBe(report.attempts);
    // Connects that were under way when the workers were told add a few to the five.
    expect((await serverOf(active, 'outlier', 's1')).connectFailures).toBeLessThan(100);
  });

  it('outlier: never are more servers out than the threshold permits', async () => {
    const { active } = await rolesOf(lab, pair);
    const prober = await probeService(lab, { port: ports.outlier });
    onTestFinished(() =>
      Promise.all(['s1', 's2'].map((name) => acceptConnections(lab.host(name)))).then(() => undefined),
    );
    await Promise.all(['s1', 's2'].map((name) => refuseConnections(lab.host(name))));
    const isHeld =
      /^outlier: s[12] not ejected, too few others are left \(\d+ failures in a row, last: ECONNREFUSED\)$/;
    await waitUntil(
      async () => (await eventsOf(active)).some(({ message }) => isHeld.test(message)),
      soon('one is held'),
    );
    const out = await Promise.all(serverNames.map((name) => serverOf(active, 'outlier', name)));
    expect(out.filter(({ ejection }) => ejection !== undefined)).toHaveLength(1);
    const report = await prober.stop();
    // s3 serves all: who comes to the other one goes on from there.
    expect(report.served).toBe(report.attempts);
  });

  it('tells operators of all that', async () => {
    await waitForBoth('agent', 's1', ({ weight }) => weight === 1);
    const { stdout } = await tandem(pair.lb1, 'server', 'list');
    expect(stdout).toMatch(/^s1 .* http passed in [\d.]+ ms: status 200$/m);
    expect(stdout).toMatch(/^s1 .* tls passed in [\d.]+ ms: TLSv1\.3$/m);
    expect(stdout).toMatch(/^s1 .* command passed in [\d.]+ ms$/m);
    expect(stdout).toMatch(/^s1 .* ready, up, 100% /m);
  });

  async function tell(server: ServerName, line: string): Promise<void> {
    const partner = partners[server];
    const before = partner.lines.length;
    partner.tell(line);
    await partner.waitForLine(/"event":"changed"/, 5_000, before);
  }

  async function operate(action: string, server: ServerName): Promise<void> {
    expect(await tandem(pair.lb2, 'server', action, 'agent', server)).toMatchObject({ code: 0, stderr: '' });
  }

  async function waitForBoth(
    service: ServiceName,
    name: ServerName,
    isSo: (server: ServerStatus) => boolean,
  ): Promise<void> {
    for (const node of [pair.lb1, pair.lb2]) {
      await waitUntil(
        async () => isSo(await serverOf(node, service, name)),
        soon(`${node.host.name} knows of ${name}`),
      );
    }
  }

  async function landedOn(service: ServiceName): Promise<readonly string[]> {
    const answers = await Promise.all(Array.from({ length: 12 }, () => whoServes(lab, ports[service])));
    return [...new Set(answers)].sort();
  }

  /** Waits until new connections go to these, and to no others. */
  async function waitForServers(service: ServiceName, names: readonly ServerName[]): Promise<void> {
    const landed = async (): Promise<boolean> => (await landedOn(service)).join() === names.join();
    await waitUntil(landed, { ...soon(`clients of ${service} land on ${names.join()}`), everyMs: 100 });
  }
});

function config(lab: Lab, caFile: string): ConfigOverrides {
  const timing = { inter: '300ms', timeout: '250ms', rise: 1, fall: 2, fastinter: '100ms' };
  const servers = serverNames.map((name, index) => ({ name, address: `10.9.0.${21 + index}:${serverPort}` }));
  const service = (name: ServiceName, rest: object): object => ({
    ...{ name, listen: `${virtualAddress}:${ports[name]}`, servers },
    ...rest,
  });
  const checked = (name: ServiceName, check: object): object => service(name, { check: { ...timing, ...check } });
  const sayDown = '{ echo $TANDEM_SERVER at $TANDEM_SERVER_ADDRESS is down; exit 1; }';
  const isUp = `test ! -e ${lab.directory}/down-$TANDEM_SERVER || ${sayDown}`;
  return {
    services: [
      // The one that the stage's own functions ask.
      { name: 'web', listen: `${virtualAddress}:80`, check: timing, servers },
      checked('http', { type: 'http', port: checkPorts.http, path: '/healthz', expectBody: 'this is' }),
      checked('tls', { type: 'tls', port: checkPorts.tls, tls: { sni: 'www.example.com', caFile } }),
      checked('expect', {
        ...{ type: 'expect', port: checkPorts.redis },
        steps: [{ send: 'PING\r\n' }, { expect: '+PONG' }],
      }),
      checked('command', { type: 'command', command: ['sh', '-c', isUp] }),
      service('agent', { check: timing, agent: { port: checkPorts.agent, inter: '200ms' } }),
      service('outlier', { check: false, outlier: { ejectionTime: '2s' } }),
    ],
    proxy: { workers: 2 },
  };
}

/** The key and the certificate in one file. */
function makeCertificate(lab: Lab): string {
  const [keyFile, certificateFile] = [join(lab.directory, 'key.pem'), join(lab.directory, 'certificate.pem')];
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-keyout', keyFile, '-out', certificateFile, '-subj', '/CN=lab'],
    ...['-addext', 'subjectAltName=DNS:www.example.com'],
  ]);
  writeFileSync(certificateFile, readFileSync(keyFile), { flag: 'a' });
  return certificateFile;
}

async function startPartner(host: Host, certificate: string): Promise<LabProcess> {
  const path = new URL('check-server.ts', import.meta.url).pathname;
  const partner = host.spawn([process.execPath, path, certificate]);
  await partner.waitForLine(/"event":"listening"/, 10_000);
  return partner;
}

/** "10.9.0.11 10.9.0.21 8081": who connects to whom, of a frame with TCP over IPv4 without options. */
function flowOf(frame: Uint8Array): string {
  const port = ((frame[36] ?? 0) << 8) | (frame[37] ?? 0);
  return `${frame.subarray(26, 30).join('.')} ${frame.subarray(30, 34).join('.')} ${port}`;
}

async function serverOf(node: TandemNode, service: ServiceName, name: ServerName): Promise<ServerStatus> {
  const { services } = await statusOf(node);
  const server = services.find((one) => one.name === service)?.servers.find((one) => one.name === name);
  if (server === undefined) throw new Error(`there is no ${service} ${name}`);
  return server;
}

/** New connections are answered by RST, established ones go on. */
async function refuseConnections(host: Host): Promise<void> {
  const rule = `tcp dport ${serverPort} tcp flags & (syn | ack) == syn reject with tcp reset`;
  const ruleset = `table ip refuse { chain c { type filter hook input priority 0; ${rule}; }; }`;
  expect(await host.exec(['nft', '-f', '-'], { input: ruleset })).toMatchObject({ code: 0, stderr: '' });
}

/** Undone already is as good. */
async function acceptConnections(host: Host): Promise<void> {
  await host.exec(['nft', 'delete', 'table', 'ip', 'refuse']);
}

function soon(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 15_000, what };
}
