/** What a pair knows outlives both nodes, and comes back from a backup. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { StickList } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { eventsOf, makeWhole, rolesOf, startPair, startServers, statusOf, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, serverPort, startNode, tandem, tandemJson } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { startServer } from './tools.ts';
import { virtualAddress } from './topology.ts';

const names = ['lb1', 'lb2'] as const;
/** Where s3 listens as well. */
const addedPort = 8081;

describe('the state of a pair', () => {
  let lab: Lab;
  let pair: Pair;
  let overrides: ConfigOverrides;

  beforeAll(async () => {
    lab = await createLab();
    await startServers(lab);
    await startServer(lab.host('s3'), { port: addedPort });
    overrides = durable(lab);
    pair = await startPair(lab, overrides);
  });

  afterAll(() => lab.destroy());

  it('is as before when both nodes were killed at once and started again', async () => {
    await settle(pair.lb1);
    const { active } = await rolesOf(lab, pair);
    await whoServes(lab);
    await waitUntil(async () => (await known(active)).sticks.length === 1, { timeoutMs: 5_000, what: 'it is sticky' });
    const before = await known(active);
    const epoch = await epochOf(active);
    await waitUntil(() => isWritten(lab), { timeoutMs: 10_000, what: 'both have written it' });

    killBoth(pair);
    pair = await makeWhole(lab, pair, overrides);
    for (const node of [pair.lb1, pair.lb2]) expect(await known(node)).toEqual(before);
    expect(await epochOf((await rolesOf(lab, pair)).active)).toBeGreaterThan(epoch);
    // A client is served by the server that it had.
    expect([await whoServes(lab)]).toEqual(before.sticks.map(({ server }) => nameOf(server)));
  });

  it('does not bring back what was taken back while a node was off', async () => {
    await settle(pair.lb1);
    await waitUntil(() => isWritten(lab), { timeoutMs: 10_000, what: 'both have written it' });
    const { standby, active } = await rolesOf(lab, pair);
    standby.host.killAll('SIGKILL');
    expect((await tandem(active, 'server', 'ready', 'web', 's1')).code).toBe(0);
    expect((await tandem(active, 'server', 'remove', 'web', 's9')).code).toBe(0);
    pair = await makeWhole(lab, pair, overrides);
    for (const node of [pair.lb1, pair.lb2]) {
      expect(await known(node)).toMatchObject({ servers: { s1: 'ready 1', s2: 'ready 7' } });
      expect((await known(node)).servers).not.toHaveProperty('s9');
    }
  });

  it('that was damaged on one node comes from the other one, and the damaged file is kept', async () => {
    await settle(pair.lb1);
    await waitUntil(() => isWritten(lab), { timeoutMs: 10_000, what: 'both have written it' });
    const { standby } = await rolesOf(lab, pair);
    const name = standby.host.name;
    const before = await known(standby);
    standby.host.killAll('SIGKILL');
    const path = join(lab.directory, 'state', `${name}.operator.state`);
    const damaged = readFileSync(path, 'utf8').replace('"weight":7', '"weight":8');
    writeFileSync(path, damaged);
    pair = await makeWhole(lab, pair, overrides);
    const again = pair[name as 'lb1' | 'lb2'];
    expect(await known(again)).toEqual(before);
    const { stateOnDisk, warnings } = await statusOf(again);
    const [aside = ''] = stateOnDisk.files.flatMap(({ setAside }) => setAside);
    expect(readFileSync(aside, 'utf8')).toBe(damaged);
    expect(warnings).toContainEqual(`${aside} was not loaded: look at it, and delete it`);
    expect((await eventsOf(again)).map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/operator\.state is not loaded: it has another checksum than its content; it is kept as/),
    );
    rmSync(aside);
    await waitUntil(async () => (await statusOf(again)).warnings.length === 0, {
      ...{ timeoutMs: 5_000, what: 'the warning has gone with the file' },
    });
  });

  it('comes back from a backup when it was wiped on both nodes', async () => {
    await settle(pair.lb1);
    await whoServes(lab);
    const before = await waitUntil(
      async () => {
        const state = await known(pair.lb2);
        return state.sticks.length === 1 && state;
      },
      { timeoutMs: 5_000, what: 'it is sticky' },
    );
    const file = join(lab.directory, 'pair.backup');
    expect(await tandem(pair.lb2, 'backup', file)).toMatchObject({ code: 0 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).not.toContain(readFileSync(join(lab.directory, 'sync.key'), 'utf8').trim());
    expect(await tandem(pair.lb2, 'backup', file)).toMatchObject({
      code: 1,
      stderr: `tandem: ${file} is there already; name another file, or add --force\n`,
    });
    expect((await tandem(pair.lb2, 'backup', file, '--force')).code).toBe(0);

    killBoth(pair);
    rmSync(join(lab.directory, 'state'), { recursive: true });
    pair = await makeWhole(lab, pair, overrides);
    expect(await known(pair.lb1)).toMatchObject({ servers: { s1: 'ready 1', s2: 'ready 1' } });
    const { json, code } = await tandemJson(pair.lb2, 'restore', file);
    expect({ code, json }).toEqual({ code: 0, json: { overrides: 2, servers: 1, sticks: 1, expired: 0 } });
    for (const node of [pair.lb2, pair.lb1]) {
      const isAsBefore = async (): Promise<boolean> => isDeepStrictEqual(await known(node), before);
      await waitUntil(isAsBefore, { timeoutMs: 5_000, what: `${node.host.name} knows what it knew` });
    }
  });

  it('is refused from a backup that does not fit, with all that does not, and nothing has changed', async () => {
    await settle(pair.lb1);
    const file = join(lab.directory, 'other.backup');
    expect((await tandem(pair.lb1, 'backup', file, '--force')).code).toBe(0);
    const before = await known(pair.lb1);
    const bad = join(lab.directory, 'bad.backup');
    writeFileSync(bad, readFileSync(file, 'utf8').replaceAll('web/s1', 'web/s0'));
    expect(await tandem(pair.lb1, 'restore', bad)).toMatchObject({
      code: 1,
      stderr: 'tandem: the file has another checksum than its content; choose another backup\n',
    });
    const other = { ...overrides, services: [{ ...service(), name: 'shop' }] };
    writeFileSync(pair.lb1.configPath, pairConfig(lab, other));
    expect((await tandem(pair.lb1, 'backup', file, '--force')).stderr).toMatch(
      /is not what this node runs with; tandem/,
    );
    expect((await tandem(pair.lb1, 'reload')).code).toBe(0);
    const refused = await tandem(pair.lb1, 'restore', file);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/does not fit the configuration of this node: there is no service web; nothing was/);
    writeFileSync(pair.lb1.configPath, pairConfig(lab, overrides));
    expect((await tandem(pair.lb1, 'reload')).code).toBe(0);
    await waitUntil(async () => (await statusOf(pair.lb1)).services.length === 1, {
      timeoutMs: 5_000,
      what: 'it is back',
    });
    expect((await known(pair.lb1)).servers).toEqual(before.servers);
  });

  it('gives its configuration and keys out of a backup, without a node', async () => {
    const file = join(lab.directory, 'keys.backup');
    expect((await tandem(pair.lb1, 'backup', file, '--with-keys')).code).toBe(0);
    const keyFile = join(lab.directory, 'sync.key');
    const key = readFileSync(keyFile, 'utf8');
    const path = join(lab.directory, 'restored.yaml');
    const refused = await tandem(pair.lb1, 'restore', file, '--config', path);
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${keyFile} is there already`) as string,
    });
    expect(readdirSync(lab.directory)).not.toContain('restored.yaml');
    rmSync(keyFile);
    onTestFinished(() => writeFileSync(keyFile, key, { mode: 0o600 }));
    expect(await tandem(pair.lb1, 'restore', file, '--config', path)).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(path, 'utf8')).toBe(readFileSync(pair.lb1.configPath, 'utf8'));
    expect(readFileSync(keyFile, 'utf8')).toBe(key.trim());
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
  });

  it('is in memory alone while the disk is full: the node runs on, says so, and recovers by itself', async () => {
    const { lb1 } = pair;
    const small = join(lab.directory, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]);
    onTestFinished(() => void execFileSync('umount', ['-l', small]));
    const ballast = join(small, 'ballast');
    execFileSync('sh', ['-c', `dd if=/dev/zero of=${ballast} bs=1k 2>/dev/null; true`]);
    expect((await lb1.process.stop()).code).toBe(0);
    const tight = { ...overrides, state: { directory: small, stickInterval: '1s' } };
    const node = await startNode(lab, 'lb1', pairConfig(lab, tight));
    expect((await tandem(node, 'server', 'weight', 'web', 's3', '9')).code).toBe(0);
    await waitUntil(async () => (await statusOf(node)).stateOnDisk.state === 'failing', {
      ...{ timeoutMs: 5_000, what: 'it says that the disk is full' },
    });
    expect((await statusOf(node)).warnings).toContainEqual(
      `${small}/lb1.operator.state cannot be written (ENOSPC): what has changed since is in memory only`,
    );
    rmSync(ballast);
    await waitUntil(async () => (await statusOf(node)).stateOnDisk.state === 'kept', {
      ...{ timeoutMs: 15_000, what: 'it is written' },
    });
    expect(readFileSync(join(small, 'lb1.operator.state'), 'utf8')).toContain('"web/s3",{"weight":9}');
    expect((await node.process.stop()).code).toBe(0);
  });
});

function service() {
  const servers = ['s1', 's2', 's3'].map((name, index) => ({ name, address: `10.9.0.${21 + index}:${serverPort}` }));
  const check = { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 };
  return {
    name: 'web',
    listen: `${virtualAddress}:80`,
    balance: 'roundrobin',
    stick: { by: 'source' },
    check,
    servers,
  };
}

function durable(lab: Lab): ConfigOverrides {
  return { services: [service()], state: { directory: join(lab.directory, 'state'), stickInterval: '1s' } };
}

/** One server drains, one has another weight, and one more was added; whatever was set before. */
async function settle(node: TandemNode): Promise<void> {
  await tandem(node, 'server', 'remove', 'web', 's9');
  const commands = [
    ['drain', 'web', 's1'],
    ['weight', 'web', 's2', '7'],
    ['weight', 'web', 's3'],
    ['add', 'web', 's9', `10.9.0.23:${addedPort}`],
  ];
  for (const command of commands) expect(await tandem(node, 'server', ...command)).toMatchObject({ code: 0 });
}

/** What operators and clients have made of a node. */
async function known(node: TandemNode) {
  const { services } = await statusOf(node);
  const { json } = await tandemJson(node, 'stick', 'list');
  return {
    servers: Object.fromEntries(
      services.flatMap(({ servers }) => servers.map(({ name, state, weight }) => [name, `${state} ${weight}`])),
    ),
    sticks: (json as StickList).entries.map(({ source, server }) => ({ source, server })),
  };
}

/** What the server calls itself. */
function nameOf(server: string): string {
  return server === 's9' ? 's3' : server;
}

async function epochOf(node: TandemNode): Promise<number> {
  return (await statusOf(node)).virtualRouters[0]?.epoch ?? Number.NaN;
}

/** Both files of both nodes have all of it. */
function isWritten(lab: Lab): boolean {
  return names.every((name) => {
    const read = (contents: string): string =>
      readFileSync(join(lab.directory, 'state', `${name}.${contents}.state`), 'utf8');
    const operator = read('operator');
    return (
      operator.includes('"web/s9",{') && operator.includes('"weight":7') && read('sticks').includes('["sticks","web/')
    );
  });
}

function killBoth({ lb1, lb2 }: Pair): void {
  lb1.host.killAll('SIGKILL');
  lb2.host.killAll('SIGKILL');
}
