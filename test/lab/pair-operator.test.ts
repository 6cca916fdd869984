/** What an operator meets: a node that cannot run says why in one line, and commands do or refuse as promised. */

import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { NodeEvent, StatusDocument } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { run as runCommand } from './run.ts';
import { rolesOf, startPair, startServers, transitionsOf } from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, startNode, tandem, tandemJson, tandemPath } from './tandem.ts';
import type { ConfigOverrides } from './tandem.ts';
import { startServer } from './tools.ts';

type BaseConfig = { readonly nodes: readonly [object, object]; readonly virtualRouters: readonly [object] };

describe('a node that cannot run', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await createLab();
  });

  afterAll(() => lab.destroy());

  const base = (): BaseConfig => JSON.parse(pairConfig(lab)) as BaseConfig;

  /** Writes the config and runs the node in a host to its end; the wrapper may take privileges away. */
  async function run(config: string, wrapper: readonly string[] = [], name = 'lb1', hostName = 'lb1') {
    const path = join(lab.directory, 'tried.yaml');
    writeFileSync(path, config);
    return runFile(path, wrapper, name, hostName);
  }

  async function runFile(path: string, wrapper: readonly string[] = [], name = 'lb1', hostName = 'lb1') {
    const host = lab.host(hostName);
    const before = { addresses: await host.addresses(), processes: host.processes() };
    const argv = [...wrapper, tandemPath, 'run', '-c', path, '--node', name];
    const { code, stderr } = await runCommand(['ip', 'netns', 'exec', host.namespace, ...argv], { timeoutMs: 15_000 });
    expect(host.processes()).toEqual(before.processes);
    expect(await host.addresses()).toEqual(before.addresses);
    return { code, stderr: stderr.trim().split('\n'), path };
  }

  const oneLine = (line: string | RegExp): object => ({
    code: 1,
    stderr: [typeof line === 'string' ? line : expect.stringMatching(line)],
  });

  it.each<[string, (config: BaseConfig) => ConfigOverrides, RegExp]>([
    [
      'its interface does not exist',
      ({ virtualRouters }) => ({ virtualRouters: [{ ...virtualRouters[0], interface: 'nope0' }] }),
      /^tandem: there is no network interface nope0; create it, or configure one of these: lo, lan0, sync0$/,
    ],
    [
      'its own address is not on this host',
      ({ nodes }) => ({ nodes: [{ ...nodes[0], address: '10.9.0.99' }, nodes[1]] }),
      /^tandem: the address 10\.9\.0\.99 of node lb1 is not on this host \(EADDRNOTAVAIL\); name the right node /,
    ],
    [
      'its sync address, from which it would dial, is not on this host',
      ({ nodes }) => ({ nodes: [{ ...nodes[0], syncAddress: '10.9.1.99' }, nodes[1]] }),
      /^tandem: the sync address 10\.9\.1\.99 is not on this host; add it to an interface, or /,
    ],
    [
      'its admin address is not on this host',
      () => ({ admin: { socket: lab.directory, listen: '192.0.2.1:9600' } }),
      /^tandem: admin\.listen 192\.0\.2\.1:9600: EADDRNOTAVAIL; choose a free port on an address of this host$/,
    ],
  ])('ends with one line and leaves nothing when %s', async (_what, overrides, line) => {
    expect(await run(pairConfig(lab, overrides(base())))).toMatchObject(oneLine(line));
    expect(existsSync(join(lab.directory, 'lb1.sock'))).toBe(false);
  });

  it('ends with one line when its sync address, on which it would listen, is not on this host', async () => {
    const { nodes } = base();
    const config = pairConfig(lab, { nodes: [nodes[0], { ...nodes[1], syncAddress: '10.9.1.99' }] });
    expect(await run(config, [], 'lb2', 'lb2')).toMatchObject(
      oneLine(/^tandem: the sync address 10\.9\.1\.99 is not on this host; /),
    );
  });

  it.each([
    ['web', {}, /^tandem: service web cannot listen on 10\.9\.0\.100:80: EADDRINUSE; stop the other program/],
    ['admin', { listen: '127.0.0.1:80' }, /^tandem: admin\.listen 127\.0\.0\.1:80: EADDRINUSE; choose a free port/],
  ])('ends with one line and leaves nothing when a port is in use (%s)', async (_what, admin, line) => {
    const other = await startServer(lab.host('lb1'), { port: 80 });
    onTestFinished(async () => {
      await other.process.stop();
    });
    expect(await run(pairConfig(lab, { admin: { socket: lab.directory, ...admin } }))).toMatchObject(oneLine(line));
    expect(existsSync(join(lab.directory, 'lb1.sock'))).toBe(false);
  });

  it.each([
    ['NET_ADMIN', /^tandem: no permission to change addresses of lan0; run as root or grant CAP_NET_ADMIN /],
    ['NET_RAW', /^tandem: VRRP cannot open a raw socket: EPERM; run as root or with CAP_NET_RAW$/],
  ])('ends with one line and leaves nothing without CAP_%s', async (capability, line) => {
    const name = capability.toLowerCase();
    const without = ['setpriv', `--bounding-set=-${name}`, `--inh-caps=-${name}`];
    expect(await run(pairConfig(lab), without)).toMatchObject(oneLine(line));
    expect(existsSync(join(lab.directory, 'lb1.sock'))).toBe(false);
  });

  it('ends with one line, at its place in the file, when others may read the key', async () => {
    const config = pairConfig(lab);
    const keyFile = join(lab.directory, 'sync.key');
    chmodSync(keyFile, 0o644);
    onTestFinished(() => chmodSync(keyFile, 0o600));
    expect(await run(config)).toMatchObject(oneLine(/^\S+tried\.yaml:16:16: sync\.keyFile: .*0644.*; chmod 600 /));
  });

  it('ends with one line when the file does not name it', async () => {
    const { path, ...ended } = await run(pairConfig(lab), [], 'lb9');
    expect(ended).toMatchObject(oneLine(`tandem: ${path} has no node lb9; name one of lb1, lb2 with --node`));
  });

  it('ends with one line when its file cannot be read', async () => {
    const directory = join(lab.directory, 'directory.yaml');
    mkdirSync(directory);
    expect(await runFile(join(lab.directory, 'missing.yaml'))).toMatchObject(oneLine(/missing\.yaml.*no such file/));
    expect(await runFile(directory)).toMatchObject(oneLine(/directory\.yaml.*directory/));
  });

  it('names each of five mistakes with its place, to `check` as to `run`', async () => {
    const path = join(lab.directory, 'mistakes.yaml');
    writeFileSync(path, fiveMistakes(lab));
    const { code, stdout, stderr } = await lab.host('lb1').exec([tandemPath, 'check', '-c', path]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => line.slice(path.length).split(': ').slice(0, 2).join(' '))).toEqual([
      ':3:27 nodes[1].address',
      ':7:11 virtualRouters[0].vrid',
      ':10:21 virtualRouters[0].advertInterval',
      ':14:5 services[0].balanse',
      ':15:62 services[0].servers[0].weight',
    ]);
    const ran = await runFile(path);
    expect(ran).toMatchObject({ code: 1, stderr: lines });
  });

  it('leaves the one that runs already alone', async () => {
    const first = await startNode(lab, 'lb1');
    const second = await first.host.exec([tandemPath, 'run', '-c', first.configPath, '--node', 'lb1']);
    expect(second).toMatchObject({
      code: 1,
      stderr: `tandem: a node is running already on ${first.socketPath}; stop it, or choose --node\n`,
    });
    expect((await tandem(first, 'status')).code).toBe(0);
    expect(await first.process.stop()).toEqual({ code: 0, signal: undefined });
    expect(first.host.processes()).toEqual([]);
    expect(existsSync(first.socketPath)).toBe(false);
  });
});

describe('an operator of a pair', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    pair = await startPair(lab, { admin: { socket: lab.directory, listen: '0.0.0.0:9600' } });
  });

  afterAll(() => lab.destroy());

  it.each<[string, readonly string[]]>([
    ['an unknown command', ['bogus']],
    ['an unknown option', ['status', '--bogus']],
    ['an argument too many', ['status', 'web']],
    ['an argument too few', ['server', 'drain', 'web']],
    ['a weight out of range', ['server', 'weight', 'web', 's1', '257']],
    ['a duration without a unit', ['failover', '--timeout', '10']],
  ])('is told of wrong usage with exit code 2: %s', async (_what, args) => {
    const { code, stdout, stderr } = await tandem(pair.lb1, ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: .*\n.*--help/);
  });

  it.each<[string, readonly string[], string]>([
    ['a service', ['server', 'list', 'nope'], 'tandem: there is no service nope; the services are: web\n'],
    ['a service', ['server', 'drain', 'nope', 's1'], 'tandem: there is no service nope; there are: web\n'],
    ['a server', ['server', 'maint', 'web', 's9'], 'tandem: service web has no server s9; there are: s1, s2, s3\n'],
    ['a node', ['failover', '--to', 'lb9'], 'tandem: there is no node lb9; the nodes are lb1 and lb2\n'],
  ])('is told of %s that does not exist, and which ones do', async (_what, args, line) => {
    expect(await tandem(pair.lb1, ...args)).toEqual({ code: 1, stdout: '', stderr: line });
  });

  it('is told when no node runs, and how to start one', async () => {
    const silent = join(lab.directory, 'nobody');
    mkdirSync(silent);
    const mend = 'start one: tandem run -c FILE, or name the socket directory: --socket DIR';
    const cli = (...args: readonly string[]) => lab.host('lb1').exec([tandemPath, ...args, '--socket', silent]);
    for (const args of [['status'], ['events'], ['failover'], ['server', 'list']]) {
      const stderr = `tandem: no node runs here: ${silent} has no socket; ${mend}\n`;
      expect(await cli(...args)).toEqual({ code: 1, stdout: '', stderr });
    }
    const stderr = `tandem: no node answers on ${join(silent, 'lb1.sock')}; ${mend}\n`;
    expect(await cli('status', '--node', 'lb1')).toEqual({ code: 1, stdout: '', stderr });
  });

  it('is asked which node, where several run', async () => {
    const { code, stderr } = await lab.host('lb1').exec([tandemPath, 'status', '--socket', lab.directory]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'tandem: several nodes have a socket here: lb1, lb2; choose one: --node NAME\n',
    });
  });

  it('reads the status for people and as JSON', async () => {
    const { stdout } = await tandem(pair.lb1, 'status');
    expect(stdout).toMatch(/^lb1: tandem \d/);
    expect(stdout).toMatch(/^web \(lan0, VRID 51\) +active .* 10\.9\.0\.100\/24 +10\.9\.0\.11 +/m);
    expect(stdout).toMatch(/^peer lb2: connected, web backup, in sync for /m);
    expect(stdout).toMatch(/^ +s1 +10\.9\.0\.21:8080 +up +ready +1 /m);
    expect(stdout.match(/^ +! .*$/gm)?.filter((line) => !isAboutPrivileges(line)) ?? []).toEqual([]);
    const { code, json } = await tandemJson(pair.lb2, 'status');
    expect(code).toBe(0);
    expect(json as StatusDocument).toMatchObject({ node: 'lb2', peer: { name: 'lb1', inSync: true } });
    expect((json as StatusDocument).warnings.filter((warning) => !isAboutPrivileges(warning))).toEqual([]);
  });

  it('watches the status', async () => {
    const watch = pair.lb1.host.spawn([tandemPath, 'status', '--watch', ...socketOf(pair)]);
    await watch.waitForLine(/lb1: tandem/, 10_000);
    const seen = watch.lines.length;
    await watch.waitForLine(/lb1: tandem/, 10_000, seen);
    expect((await watch.stop()).signal).toBe('SIGTERM');
  });

  it('reads events as lines of JSON, and follows them', async () => {
    const { code, stdout } = await tandem(pair.lb1, 'events', '--json');
    expect(code).toBe(0);
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as NodeEvent);
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    expect(events.map(({ message }) => message)).toContain('web: initialize -> backup (startup)');

    const follower = pair.lb1.host.spawn([tandemPath, 'events', '--follow', '--json', ...socketOf(pair)]);
    await follower.waitForLine(new RegExp(`"sequence":${events.length},`), 10_000);
    await tandem(pair.lb1, 'server', 'drain', 'web', 's2');
    await follower.waitForLine(/"message":"web: s2 set to drain"/, 10_000);
    await tandem(pair.lb2, 'server', 'ready', 'web', 's2');
    await follower.waitForLine(/"message":"web: s2 set on the peer"/, 10_000);
    const followed = follower.stdout.map((line) => (JSON.parse(line) as NodeEvent).sequence);
    expect(followed).toEqual(followed.map((_, index) => index + 1));
    await follower.stop();
  });

  it('scrapes metrics from the read-only port', async () => {
    const body = await scrape(pair, 'lb1', '/metrics');
    for (const name of metricNames) expect(body).toMatch(new RegExp(`^${name}[{ ]`, 'm'));
    expect(body).toMatch(/^tandem_active\{router="web"\} 1$/m);
    expect(body).toMatch(/^tandem_peer_connected 1$/m);
    expect(body).toMatch(/^tandem_server_up\{service="web",server="s1"\} 1$/m);
    expect(await scrape(pair, 'lb2', '/metrics')).toMatch(/^tandem_active\{router="web"\} 0$/m);
    expect(JSON.parse(await scrape(pair, 'lb1', '/healthz'))).toEqual({ ok: true, faults: [] });
    expect(JSON.parse(await scrape(pair, 'lb1', '/status'))).toMatchObject({ node: 'lb1' });
  });

  it.each([
    ['POST', '/failover', 405, '{}'],
    ['POST', '/server', 405, '{"service":"web","server":"s1","action":"maint"}'],
    ['PUT', '/status', 405, '{}'],
    ['DELETE', '/status', 405, '{}'],
    ['GET', '/events', 404, undefined],
  ])('can change nothing there: %s %s is answered %d', async (method, path, code, body) => {
    const before = await Promise.all([pair.lb1, pair.lb2].map(transitionsOf));
    const data = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', body];
    const url = `http://127.0.0.1:9600${path}`;
    const argv = ['curl', '-sS', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', '-X', method, ...data, url];
    expect(await pair.lb1.host.exec(argv)).toMatchObject({ code: 0, stdout: `${code}` });
    expect(await Promise.all([pair.lb1, pair.lb2].map(transitionsOf))).toEqual(before);
    const { json } = await tandemJson(pair.lb1, 'server', 'list', 'web');
    expect(json).toMatchObject([{ servers: [{ state: 'ready' }, { state: 'ready' }, { state: 'ready' }] }]);
  });

  it('alone may open the admin socket', () => {
    for (const { socketPath } of [pair.lb1, pair.lb2]) {
      const { mode } = statSync(socketPath);
      expect((mode & 0o777).toString(8)).toBe('600');
    }
  });

  it('gets the report of a failover as JSON, with exit code 0', async () => {
    const { active, standby } = await rolesOf(lab, pair);
    const { code, json } = await tandemJson(standby, 'failover', '--to', standby.host.name);
    expect(code).toBe(0);
    expect(json).toMatchObject({ from: active.host.name, to: standby.host.name, virtualRouters: ['web'] });
    expect((json as { gapMs: number }).gapMs).toBeGreaterThanOrEqual(0);
    const again = await tandem(standby, 'failover', '--to', standby.host.name);
    expect(again).toEqual({
      code: 1,
      stdout: '',
      stderr: `tandem: ${standby.host.name} is active already; nothing to do\n`,
    });
  });
});

const metricNames = [
  ...['tandem_active', 'tandem_epoch', 'tandem_vrrp_total'],
  ...['tandem_peer_connected', 'tandem_in_sync', 'tandem_sync_lag_seconds', 'tandem_sync_total'],
  ...['tandem_connections', 'tandem_connections_total', 'tandem_bytes_total', 'tandem_refused_total'],
  ...['tandem_server_up', 'tandem_server_connections', 'tandem_server_connect_failures_total'],
];

function socketOf(pair: Pair): readonly string[] {
  return ['--socket', dirname(pair.lb1.socketPath), '--node', 'lb1'];
}

async function scrape(pair: Pair, name: keyof Pair, path: string): Promise<string> {
  const { code, stdout, stderr } = await pair[name].host.exec(['curl', '-sSf', `http://127.0.0.1:9600${path}`]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** An address that is none, a VRID out of range, an interval of no whole centisecond, an unknown key, a weight. */
function fiveMistakes(lab: Lab): string {
  return `nodes:
  - { name: lb1, address: 10.9.0.11 }
  - { name: lb2, address: 10.9.0.300 }
sync: { keyFile: ${join(lab.directory, 'sync.key')} }
virtualRouters:
  - name: web
    vrid: 300
    interface: lan0
    addresses: [10.9.0.100/24]
    advertInterval: 15ms
services:
  - name: web
    listen: 10.9.0.100:80
    balanse: leastconn
    servers: [{ name: s1, address: '10.9.0.21:8080', weight: 999 }]
`;
}

/** What a lab in a user namespace does not have; pair-realtime.test.ts is about that. */
function isAboutPrivileges(warning: string): boolean {
  return /no SCHED_FIFO|memory is not locked/.test(warning);
}
