/** What a pair gives to nobody: privileges that it does not use, its secrets, its memory and time. */

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StatusDocument } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import {
  eventsOf,
  powerOff,
  probeService,
  startPair,
  startServers,
  statusOf,
  waitForHolder,
  waitForSync,
} from './stage.ts';
import { pairConfig, startNode, tandem, tandemPath } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const syncAddress = '10.9.1.12';
const metricsPort = 9600;
const bit = { bindService: 10, netAdmin: 12, netRaw: 13 } as const;

describe('the processes of a node', () => {
  it('have the capabilities that they use in every thread, hooks have all, and the status says so', async () => {
    await using lab = await createLab();
    await startServers(lab);
    const hookOutput = join(lab.directory, 'hook-status');
    const hook = script(lab, 'hook.sh', `ip address add 10.9.0.77/32 dev lo; cat /proc/self/status > ${hookOutput}`);
    const { lb1 } = await startPair(lab, { virtualRouters: [router({ hooks: { onActive: hook } })] });
    const status = await statusOf(lb1);
    const own = credentials(readFileSync('/proc/self/status', 'utf8'));

    const main = mask(bit.netAdmin);
    expect(threadsOf(status.pid)).toEqual([
      { effective: main, permitted: main, bounding: own.bounding, noNewPrivs: '0' },
    ]);
    const vrrp = mask(bit.netAdmin, bit.netRaw);
    expect(threadsOf(pidOf(status, 'vrrp'))).toEqual([limited(vrrp)]);
    const worker = mask(bit.netAdmin, bit.bindService);
    for (const { name } of status.processes.filter(({ name: one }) => one.startsWith('worker'))) {
      expect(threadsOf(pidOf(status, name))).toEqual([limited(worker)]);
    }
    expect(status.privileges[0]).toEqual({ process: 'node', held: ['CAP_NET_ADMIN'], missing: [], surplus: [] });
    expect(status.privileges.map(({ missing, surplus }) => [...missing, ...surplus]).flat()).toEqual([]);
    expect(status.warnings.filter((warning) => warning.includes('holds more'))).toEqual([]);

    await waitUntil(() => readFileSync(hookOutput, 'utf8').includes('CapEff'), waiting('the hook has run'));
    expect(credentials(readFileSync(hookOutput, 'utf8'))).toEqual(own);
    expect(await lb1.host.hasAddress('10.9.0.77')).toBe(true);

    // What a limited main process has to do itself, and a vrrp process that it starts anew.
    process.kill(pidOf(status, 'vrrp'), 'SIGKILL');
    await waitUntil(async () => (await statusOf(lb1)).processes[0]?.restarts === 1, waiting('vrrp is started again'));
    await waitUntil(
      async () => threadsOf(pidOf(await statusOf(lb1), 'vrrp')).every(({ effective }) => effective === vrrp),
      waiting('it is limited'),
    );
  });
});

describe('the admin socket', () => {
  it('is for its owner, or for a group as well; the read-only port is for reading', async () => {
    await using lab = await createLab();
    const directory = join(lab.directory, 'run');
    const admin = { socket: directory, listen: `127.0.0.1:${metricsPort}` };
    const start = async (more: object): Promise<{ code: number; stderr: string }> => {
      const path = join(lab.directory, 'tried.yaml');
      writeFileSync(path, pairConfig(lab, { admin: { ...admin, ...more } }));
      const { code, stderr } = await lab
        .host('lb2')
        .exec([tandemPath, 'run', '-c', path, '--node', 'lb2'], { timeoutMs: 20_000 });
      return { code, stderr };
    };
    expect(await start({ group: 'no-such-group' })).toEqual({
      code: 1,
      stderr: expect.stringMatching(/admin\.group no-such-group: this host has no such group; groupadd/) as string,
    });
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o777);
    expect(await start({})).toEqual({ code: 1, stderr: expect.stringMatching(/mode 777\); chmod 755/) as string });
    chmodSync(directory, 0o755);

    const socket = join(directory, 'lb1.sock');
    const [group, gid] = hasAllGroups() ? ['adm', 4] : ['root', 0];
    for (const [more, mode, owner] of [
      [{}, 0o600, 0],
      [{ group }, 0o660, gid],
    ] as const) {
      const path = join(lab.directory, 'lb1.yaml');
      writeFileSync(path, pairConfig(lab, { admin: { ...admin, ...more } }));
      const node = lab.host('lb1').spawn([tandemPath, 'run', '-c', path, '--node', 'lb1']);
      await waitUntil(async () => (await curl(lab, '/healthz')) !== '000', waiting('the read-only port answers'));
      expect(statSync(socket).mode & 0o7777).toBe(mode);
      expect(statSync(socket).gid).toBe(owner);
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        expect(await curl(lab, '/status', '-X', method), method).toBe('405');
        expect(await curl(lab, '/failover', '-X', method), method).toBe('405');
      }
      for (const path of ['/events', '/sticks', '/reload', '/../etc/passwd', '/'])
        expect(await curl(lab, path)).toBe('404');
      expect(await curl(lab, '/metrics')).toBe('200');
      expect(await curl(lab, '/metrics', '-H', `x: ${'x'.repeat(9_000)}`)).toBe('431');
      await node.stop();
    }
  });
});

describe('the secrets of a pair', () => {
  it('are in nothing that it says', async () => {
    await using lab = await createLab();
    await startServers(lab);
    const advertKey = randomBytes(32).toString('hex');
    writeFileSync(join(lab.directory, 'advert.key'), advertKey, { mode: 0o600 });
    const password = 'pa55w0rd';
    const overrides = (more: string) => ({
      log: { level: 'debug' },
      admin: { socket: lab.directory, listen: `127.0.0.1:${metricsPort}` },
      virtualRouters: [
        router({ hmac: { keys: [{ id: 1, keyFile: join(lab.directory, 'advert.key') }], activeKey: 1 } }),
        router({
          name: 'old',
          vrid: 52,
          addresses: ['10.9.0.101/24'],
          version: 2,
          advertInterval: '1s',
          simplePassword: `${password.slice(0, 7)}${more}`,
        }),
      ],
    });
    const pair = await startPair(lab, overrides('d'));
    const secrets = [password, advertKey, readFileSync(keyFileOf(lab), 'utf8').trim()];
    const young = randomBytes(32).toString('hex');
    writeFileSync(keyFileOf(lab), `${young}\n${secrets[2] ?? ''}\n`);
    writeFileSync(pair.lb1.configPath, pairConfig(lab, overrides('X')));
    const said: string[] = [];
    for (const args of [
      ['reload', '--dry-run'],
      ['reload'],
      ['status', '--json'],
      ['status'],
      ['events'],
      ['doctor', '-c', pair.lb1.configPath],
      ['check', '-c', pair.lb1.configPath],
    ]) {
      const { stdout, stderr } = await tandem(pair.lb1, ...args);
      said.push(`${args.join(' ')}: ${stdout}${stderr}`);
    }
    expect(said[0]).toContain('sync.keyFile');
    writeFileSync(keyFileOf(lab), `${young}\ntoo short\n`);
    said.push(
      (await tandem(pair.lb1, 'reload')).stderr,
      (await tandem(pair.lb1, 'check', '-c', pair.lb1.configPath)).stderr,
    );
    said.push((await lab.host('lb1').exec(['curl', '-s', `http://127.0.0.1:${metricsPort}/metrics`])).stdout);
    for (const node of [pair.lb1, pair.lb2]) {
      said.push(JSON.stringify(await eventsOf(node)), ...node.process.lines.map(({ text }) => text));
      for (const pid of node.host.processes())
        said.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), readFileSync(`/proc/${pid}/environ`, 'utf8'));
    }
    expect(said.length).toBeGreaterThan(30);
    for (const secret of [...secrets, young, `${password.slice(0, 7)}X`, 'too short']) {
      for (const encoded of encodings(secret))
        expect(
          said.filter((text) => text.includes(encoded)),
          encoded,
        ).toEqual([]);
    }
  });
});

describe('a key of the sync link', () => {
  it('is exchanged on both nodes without an interruption, then the old one is refused', async () => {
    await using lab = await createLab();
    await startServers(lab);
    const pair = await startPair(lab);
    const old = readFileSync(keyFileOf(lab), 'utf8').trim();
    const young = randomBytes(32).toString('hex');
    const prober = await probeService(lab);
    for (const content of [`${young}\n${old}\n`, `${young}\n`]) {
      writeFileSync(keyFileOf(lab), content);
      for (const node of [pair.lb1, pair.lb2]) {
        expect(await tandem(node, 'reload')).toMatchObject({ code: 0 });
        expect((await statusOf(node)).peer).toMatchObject({ connected: true, inSync: true });
      }
    }
    for (const node of [pair.lb1, pair.lb2]) {
      expect((await statusOf(node)).peer?.counters['connections']).toBe(1);
      expect((await eventsOf(node)).filter(({ message }) => message.includes('lost'))).toEqual([]);
    }
    const report = await prober.stop();
    expect(report.served).toBe(report.attempts);
    // The link comes up with the new key, and not with the old one.
    const oldFile = join(lab.directory, 'old.key');
    writeFileSync(oldFile, old, { mode: 0o600 });
    await pair.lb2.process.stop();
    const config = pairConfig(lab);
    const late = await startNode(lab, 'lb2', pairConfig(lab, { sync: { port: 7400, keyFile: oldFile } }));
    await waitUntil(async () => (await statusOf(late)).peer?.refused !== undefined, waiting('the old key is refused'));
    expect((await statusOf(late)).peer?.counters['turnedAway.key']).toBeGreaterThan(0);
    await late.process.stop();
    await waitForSync(await startNode(lab, 'lb2', config));
  });
});

describe('a hostile peer', () => {
  it(
    'with the right key costs the clients nothing and the node no memory, and each of its ways is counted',
    { timeout: 120_000 },
    async () => {
      await using lab = await createLab();
      await startServers(lab);
      const pair = await startPair(lab);
      await powerOff(lab, pair.lb1);
      await Promise.all([lab.heal('lb1', 'lan'), lab.heal('lb1', 'sync')]);
      await waitForHolder(lab, pair.lb2);
      const residentBefore = residentBytes((await statusOf(pair.lb2)).pid);
      const prober = await probeService(lab);

      const hostile = runInLb1(lab, 'hostile.ts', syncAddress, '7400', keyFileOf(lab));
      await hostile.waitForLine(/"over"/, 60_000);
      expect(hostile.stdout.filter((line) => line.includes('left alone'))).toEqual([]);
      const { counters = {} } = (await statusOf(pair.lb2)).peer ?? {};
      for (const [reason, atLeast] of Object.entries({
        'ended.protocol-version': 1,
        'ended.third-node': 1,
        'ended.frame-too-long': 1,
        'ended.not-msgpack': 2,
        'ended.bad-delta': 2,
        'ended.out-of-order': 1,
        'ended.unexpected': 1,
        'ended.silent': 1,
      })) {
        expect(counters[reason] ?? 0, `${reason} in ${JSON.stringify(counters)}`).toBeGreaterThanOrEqual(atLeast);
      }
      // From the peer's address, and from a neighbour's that knows the way.
      await lab.host('s3').exec(['ip', 'route', 'replace', syncAddress, 'via', '10.9.0.12']);
      for (const host of ['lb1', 's3']) {
        const knock = runIn(lab, host, 'knock.ts', 'silent', syncAddress, '7400', keyFileOf(lab), '1000');
        await knock.waitForLine(/"over"/, 30_000);
      }
      const after = (await statusOf(pair.lb2)).peer?.counters ?? {};
      expect(after['turnedAway.foreign-address']).toBeGreaterThanOrEqual(1_000);
      expect((after['turnedAway.too-many-half-open'] ?? 0) + (after['turnedAway.too-often'] ?? 0)).toBeGreaterThan(900);

      const report = await prober.stop();
      expect(report.served, JSON.stringify(report.errors)).toBe(report.attempts);
      expect(residentBytes((await statusOf(pair.lb2)).pid) - residentBefore).toBeLessThan(128 * 1024 * 1024);
      // The real peer comes back and is believed.
      const lb1 = await startNode(lab, 'lb1', pairConfig(lab));
      await waitForSync(lb1);
      await waitForSync(pair.lb2);
    },
  );
});

/** In a user namespace there may be root's alone. */
function hasAllGroups(): boolean {
  return readFileSync('/proc/self/gid_map', 'utf8').includes('4294967295');
}

type Credentials = {
  readonly effective: string;
  readonly permitted: string;
  readonly bounding: string;
  readonly noNewPrivs: string;
};

function credentials(status: string): Credentials {
  const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1] ?? '';
  return {
    effective: field('CapEff'),
    permitted: field('CapPrm'),
    bounding: field('CapBnd'),
    noNewPrivs: field('NoNewPrivs'),
  };
}

/** What the threads of a process may do: one, where all may the same. */
function threadsOf(pid: number): readonly Credentials[] {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'),
  );
  return [...new Set(threads.map((status) => JSON.stringify(credentials(status))))].map(
    (text) => JSON.parse(text) as Credentials,
  );
}

function limited(capabilities: string): Credentials {
  return { effective: capabilities, permitted: capabilities, bounding: capabilities, noNewPrivs: '1' };
}

function mask(...bits: readonly number[]): string {
  return bits
    .reduce((sum, one) => sum + 2 ** one, 0)
    .toString(16)
    .padStart(16, '0');
}

function pidOf(status: StatusDocument, name: string): number {
  const pid = status.processes.find((process) => process.name === name)?.pid;
  if (pid === undefined) throw new Error(`${name} does not run`);
  return pid;
}

function router(more: object): object {
  return {
    ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`], advertInterval: '100ms' },
    priority: { lb1: 200, lb2: 100 },
    ...more,
  };
}

function script(lab: Lab, name: string, line: string): string {
  const path = join(lab.directory, name);
  writeFileSync(path, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return path;
}

function keyFileOf(lab: Lab): string {
  return join(lab.directory, 'sync.key');
}

/** As it is, and as bytes are written in hexadecimal and in base 64. */
function encodings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, ''), [...bytes].join(',')];
}

async function curl(lab: Lab, path: string, ...options: readonly string[]): Promise<string> {
  const url = `http://127.0.0.1:${metricsPort}${path}`;
  const format = ['-s', '-m', '5', '-o', '/dev/null', '-w', '%{http_code}', '--path-as-is'];
  return (await lab.host('lb1').exec(['curl', ...format, ...options, url])).stdout;
}

function runIn(lab: Lab, host: string, file: string, ...args: readonly string[]) {
  return lab.host(host).spawn([process.execPath, new URL(file, import.meta.url).pathname, ...args]);
}

function runInLb1(lab: Lab, file: string, ...args: readonly string[]) {
  return runIn(lab, 'lb1', file, ...args);
}

function residentBytes(pid: number): number {
  const [, kilobytes = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

function waiting(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}
