/** The configuration is changed under a pair that serves: nobody notices, and what cannot be is not half done. */

import { writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { NodeEvent, ReloadReport } from '../../src/node/index.ts';
import { usePairStage } from './pair-stage.ts';
import { certainGapMs, eventsOf, hearAdverts, holders } from './stage.ts';
import { statusOf, waitForHolder, waitForState, whoServes } from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, serverPort, servicePort, tandem, tandemJson } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { monotonicMs, sleep, waitUntil } from './time.ts';
import { startProber, startServer, startVerifier } from './tools.ts';
import { virtualAddress } from './topology.ts';

const reloadsEveryMs = 1_000;
const loadMs = 60_000;
const otherAddress = '10.9.0.101';

describe('a pair that is reloaded', () => {
  const stage = usePairStage();

  /** As it was at the start, by a reload. */
  beforeEach(async () => {
    const { lab, pair } = stage;
    for (const node of [pair.lb1, pair.lb2]) await reload(node, {});
    if ((await holders(lab)).join() === 'lb2') await tandem(pair.lb1, 'failover', '--to', 'lb1');
    await waitForHolder(lab, pair.lb1);
  });

  it(
    'serves every request while a node reads another file each second, and nothing changes hands',
    async () => {
      const { lab, pair } = stage;
      const before = await transitions(pair);
      const client = lab.host('client');
      const target = { address: virtualAddress, port: servicePort };
      const streams = await startVerifier(client, {
        ...target,
        mode: 'stream',
        connections: 10,
        rate: 200_000,
        seed: 1,
      });
      const prober = await startProber(client, { ...target, intervalMs: 1, timeoutMs: 2_000, promptMs: 1_000 });
      const endMs = monotonicMs() + loadMs;
      for (let round = 0; monotonicMs() < endMs; round++) {
        const next = variants[round % variants.length] ?? {};
        const due = sleep(reloadsEveryMs);
        const outcomes = [await reload(pair.lb1, next), await reload(pair.lb2, next)].map(({ outcome }) => outcome);
        expect(outcomes).toEqual(['applied', 'applied']);
        await due;
      }
      const probed = await prober.stop();
      const streamed = await streams.stop();
      const { refused, reset, closed, timeout, unreachable, failed } = probed;
      expect({ refused, reset, closed, timeout, unreachable, failed }).toEqual(noFailures);
      expect(probed.served).toBeGreaterThan(loadMs / 10);
      expect(certainGapMs(probed)).toBeLessThan(250);
      expect(streamed.endings).toMatchObject({ completed: 10 });
      expect(Object.values(streamed.wrongBytes).every((count) => count === 0)).toBe(true);
      expect(await transitions(pair)).toEqual(before);
    },
    2 * loadMs,
  );

  it('prints what changes before and after, for people and as JSON', async () => {
    const { pair } = stage;
    write(pair.lb1, { services: [service({ balance: 'leastconn' })] });
    const line = 'services.web.balance: roundrobin -> leastconn';
    expect(await tandem(pair.lb1, 'reload', '--dry-run')).toEqual({ code: 0, stdout: `${line}\n`, stderr: '' });
    expect((await statusOf(pair.lb1)).services[0]?.balance).toBe('roundrobin');
    const applied = { code: 0, stdout: `${line}\nreloaded: 1 change\n`, stderr: '' };
    expect(await tandem(pair.lb1, 'reload')).toEqual(applied);
    expect((await statusOf(pair.lb1)).services[0]?.balance).toBe('leastconn');
    expect(await tandem(pair.lb1, 'reload')).toMatchObject({ code: 0, stdout: 'nothing has changed\n' });
    const { json } = await tandemJson(pair.lb1, 'reload');
    expect(json).toEqual({ outcome: 'unchanged', changes: [], problems: [], warnings: [] });
    expect((await messages(pair.lb1)).at(-1)).toBe(`reloaded: ${line}`);
  });

  it('names every mistake of a wrong file, and goes on with the old one', async () => {
    const { lab, pair } = stage;
    const { configHash } = await statusOf(pair.lb1);
    write(pair.lb1, { services: [service({ balance: 'leastcon', retries: -1 })] });
    const { code, stdout } = await tandem(pair.lb1, 'reload');
    expect(code).toBe(1);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((each) => each.replace(/^\S+yaml:\d+:\d+: /, '')),
    ).toEqual([
      'services[0].balance: expected roundrobin or leastconn or random or source or maglev or leasttime or first, ' +
        "got 'leastcon'; did you mean 'leastconn'?",
      'services[0].retries: expected a number from 0 to 100, got -1; write e.g. 3',
    ]);
    expect((await statusOf(pair.lb1)).configHash).toBe(configHash);
    expect(await whoServes(lab)).toMatch(/^s\d$/);
  });

  it('refuses as a whole what only a restart can change', async () => {
    const { pair } = stage;
    write(pair.lb1, { proxy: { workers: 3 }, services: [service({ balance: 'leastconn' })] });
    expect(await tandem(pair.lb1, 'reload')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'tandem: proxy.workers cannot change while the node runs; nothing is reloaded; ' +
        'restart: tandem failover first, then restart the node\n',
    });
    expect((await statusOf(pair.lb1)).services[0]?.balance).toBe('roundrobin');
  });

  it('puts everything back when a port is taken', async () => {
    const { lab, pair } = stage;
    const other = await startServer(lab.host('lb1'), { port: 81 });
    onTestFinished(async () => {
      await other.process.stop();
    });
    const before = await statusOf(pair.lb1);
    const prober = await startProber(lab.host('client'), { address: virtualAddress, port: servicePort, intervalMs: 1 });
    write(pair.lb1, {
      virtualRouters: [router({ addresses: [`${virtualAddress}/24`, `${otherAddress}/24`] })],
      services: [
        service({ name: 'moved', listen: `${virtualAddress}:82` }),
        service({ name: 'taken', listen: `${virtualAddress}:81` }),
      ],
    });
    const { code, stderr } = await tandem(pair.lb1, 'reload');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        `tandem: service taken cannot listen on ${virtualAddress}:81: EADDRINUSE (everything is as it was before); ` +
        'stop the other program on that port (ss -ltnp shows it) or choose another\n',
    });
    const after = await statusOf(pair.lb1);
    expect(after.services.map(({ name, listenError }) => [name, listenError])).toEqual([['web', undefined]]);
    expect(after.configHash).toBe(before.configHash);
    expect(await holders(lab, otherAddress)).toEqual([]);
    const { refused, reset, closed, timeout, unreachable, failed } = await prober.stop();
    expect({ refused, reset, closed, timeout, unreachable, failed }).toEqual(noFailures);
  });

  it('puts everything back when an interface is missing', async () => {
    const { pair } = stage;
    const config = {
      services: [service({ name: 'other' })],
      virtualRouters: [router({}), two({ interface: 'nope0' })],
    };
    write(pair.lb1, config);
    const { code, stderr } = await tandem(pair.lb1, 'reload');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(
        /^tandem: there is no network interface nope0 \(everything is as it was before\); /,
      ) as string,
    });
    const { services, virtualRouters } = await statusOf(pair.lb1);
    expect(services.map(({ name }) => name)).toEqual(['web']);
    expect(virtualRouters.map(({ name, state }) => [name, state])).toEqual([['web', 'active']]);
  });

  it('takes over another priority and another interval where it is, without a change of state', async () => {
    const { pair } = stage;
    const before = await transitions(pair);
    const priority = { lb1: 150, lb2: 100 };
    await reload(pair.lb1, { virtualRouters: [router({ priority, advertInterval: '200ms' })] });
    await hearAdverts(pair.lb2, 10);
    const seen = (await statusOf(pair.lb2)).virtualRouters[0];
    expect(seen).toMatchObject({ state: 'backup', activePriority: 150, activeAdvertIntervalMs: 200 });
    await reload(pair.lb2, { virtualRouters: [router({ priority, advertInterval: '200ms' })] });
    await reload(pair.lb1, {});
    await hearAdverts(pair.lb2, 10);
    expect((await statusOf(pair.lb2)).virtualRouters[0]).toMatchObject({ state: 'backup', activePriority: 200 });
    expect(await transitions(pair)).toEqual(before);
  });

  it('holds an address that is added, and lets go of one that is taken out', async () => {
    const { lab, pair } = stage;
    const before = await transitions(pair);
    const addresses = [`${virtualAddress}/24`, `${otherAddress}/24`];
    const services = [service({}), service({ name: 'other', listen: `${otherAddress}:80` })];
    for (const node of [pair.lb1, pair.lb2]) await reload(node, { virtualRouters: [router({ addresses })], services });
    expect(await holders(lab, otherAddress)).toEqual(['lb1']);
    expect(await whoServes(lab, servicePort, otherAddress)).toMatch(/^s\d$/);
    for (const node of [pair.lb1, pair.lb2]) await reload(node, {});
    expect(await holders(lab, otherAddress)).toEqual([]);
    expect(await holders(lab)).toEqual(['lb1']);
    expect(await transitions(pair)).toEqual(before);
  });

  it('elects a virtual router that is added, beside one that nothing touches', async () => {
    const { lab, pair } = stage;
    const before = await transitions(pair);
    const virtualRouters = [router({}), two({})];
    for (const node of [pair.lb1, pair.lb2]) await reload(node, { virtualRouters });
    await waitUntil(async () => (await holders(lab, otherAddress)).length === 1, {
      timeoutMs: 5_000,
      what: 'one node has the address that was added',
    });
    await hearAdverts(pair.lb2, 5);
    expect(await holders(lab, otherAddress)).toEqual(['lb1']);
    expect((await transitions(pair)).map((list) => list.filter((each) => each.startsWith('web')))).toEqual(before);
    for (const node of [pair.lb1, pair.lb2]) await reload(node, {});
    expect(await holders(lab, otherAddress)).toEqual([]);
    expect((await statusOf(pair.lb2)).virtualRouters.map(({ name }) => name)).toEqual(['web']);
    expect((await transitions(pair)).map((list) => list.filter((each) => each.startsWith('web')))).toEqual(before);
  });

  it('makes a virtual router anew as a backup, but never where it is active', async () => {
    const { lab, pair } = stage;
    const virtualRouters = [router({ vrid: 61 })];
    write(pair.lb1, { virtualRouters });
    expect(await tandem(pair.lb1, 'reload')).toMatchObject({
      code: 1,
      stderr:
        'tandem: virtualRouters.web.vrid cannot change while lb1 is active; ' +
        'reload lb2 first, then tandem failover --force, then reload lb1\n',
    });
    await reload(pair.lb2, { virtualRouters });
    await sleep(1_000);
    expect(await holders(lab)).toEqual(['lb1']);
    expect((await statusOf(pair.lb2)).virtualRouters[0]).toMatchObject({ vrid: 61, state: 'backup' });
    expect((await tandem(pair.lb1, 'failover', '--force')).code).toBe(0);
    await waitForHolder(lab, pair.lb2);
    await reload(pair.lb1, { virtualRouters });
    await waitForState(pair.lb1, 'backup');
    await hearAdverts(pair.lb1, 5);
    expect(await holders(lab)).toEqual(['lb2']);
    await reload(pair.lb1, {});
    expect((await tandem(pair.lb2, 'failover', '--force')).code).toBe(0);
    await reload(pair.lb2, {});
  });

  it('lets the connections of a service that is taken out go on', async () => {
    const { lab, pair } = stage;
    const services = [service({}), service({ name: 'other', listen: `${virtualAddress}:81` })];
    for (const node of [pair.lb1, pair.lb2]) await reload(node, { services });
    const other = { address: virtualAddress, port: 81 };
    const streams = await startVerifier(lab.host('client'), { ...other, mode: 'block', connections: 5, seed: 3 });
    await reload(pair.lb1, {});
    await expect(whoServes(lab, 81)).rejects.toThrow(/refused|connect/i);
    await sleep(500);
    expect((await streams.stop()).endings).toMatchObject({ completed: 5 });
  });

  it('keeps what operators set and what checks found of servers that stay', async () => {
    const { pair } = stage;
    await tandem(pair.lb2, 'server', 'drain', 'web', 's1');
    await waitUntil(async () => (await stateOf(pair.lb1, 's1')) === 'drain', { timeoutMs: 5_000, what: 's1 drains' });
    await reload(pair.lb1, { services: [service({ balance: 'leastconn', servers: ['s1', 's3'] })] });
    expect(await stateOf(pair.lb1, 's1')).toBe('drain');
    expect((await statusOf(pair.lb1)).services[0]?.servers.map(({ name }) => name)).toEqual(['s1', 's3']);
    await reload(pair.lb1, {});
    expect(await stateOf(pair.lb1, 's1')).toBe('drain');
    await tandem(pair.lb1, 'server', 'ready', 'web', 's1');
  });

  it('reads the file at a SIGHUP', async () => {
    const { pair } = stage;
    write(pair.lb1, { services: [service({ balance: 'leastconn' })] });
    pair.lb1.process.kill('SIGHUP');
    await waitUntil(async () => (await statusOf(pair.lb1)).services[0]?.balance === 'leastconn', {
      timeoutMs: 5_000,
      what: 'the file has been read',
    });
    write(pair.lb1, { services: [service({ balance: 'nonsense' })] });
    const seen = pair.lb1.process.lines.length;
    pair.lb1.process.kill('SIGHUP');
    await pair.lb1.process.waitForLine(/lb1\.yaml:\d+:\d+: services\[0\]\.balance: expected/, 5_000, seen);
    expect((await messages(pair.lb1)).at(-1)).toMatch(/lb1\.yaml has 1 problem: nothing is reloaded$/);
  });

  it('says on both nodes that the files differ, and since when, until they are the same', async () => {
    const { pair } = stage;
    const before = await transitions(pair);
    const { configHash: old } = await statusOf(pair.lb2);
    await reload(pair.lb1, { services: [service({ balance: 'leastconn' })] });
    const { configHash } = await statusOf(pair.lb1);
    await waitUntil(async () => (await statusOf(pair.lb2)).peer?.configHash === configHash, {
      timeoutMs: 5_000,
      what: 'lb2 has heard of the new file',
    });
    const warned = async (node: TandemNode): Promise<string | undefined> =>
      (await statusOf(node)).warnings.find((warning) => warning.includes('configuration'));
    expect(await warned(pair.lb1)).toMatch(
      new RegExp(`^lb2 has another configuration \\(${old}, here ${configHash}\\)`),
    );
    expect(await warned(pair.lb2)).toMatch(
      new RegExp(`^lb1 has another configuration \\(${configHash}, here ${old}\\)`),
    );
    expect(await tandem(pair.lb1, 'failover')).toMatchObject({ code: 1 });
    await reload(pair.lb2, { services: [service({ balance: 'leastconn' })] });
    await waitUntil(async () => (await warned(pair.lb1)) === undefined, { timeoutMs: 5_000, what: 'lb1 has heard' });
    expect(await warned(pair.lb2)).toBeUndefined();
    expect(await transitions(pair)).toEqual(before);
  });

  function write(node: TandemNode, overrides: ConfigOverrides): void {
    writeFileSync(node.configPath, pairConfig(stage.lab, overrides));
  }

  async function reload(node: TandemNode, overrides: ConfigOverrides): Promise<ReloadReport> {
    write(node, overrides);
    const { code, json } = await tandemJson(node, 'reload');
    expect({ code, node: node.host.name }).toEqual({ code: 0, node: node.host.name });
    return json as ReloadReport;
  }
});

const noFailures = { refused: 0, reset: 0, closed: 0, timeout: 0, unreachable: 0, failed: 0 };

function router(changes: ConfigOverrides): object {
  return {
    ...{ name: 'web', vrid: 51, interface: 'lan0', addresses: [`${virtualAddress}/24`] },
    ...{ advertInterval: '100ms', priority: { lb1: 200, lb2: 100 } },
    ...changes,
  };
}

function two(changes: ConfigOverrides): object {
  return router({ name: 'two', vrid: 52, addresses: [`${otherAddress}/24`], ...changes });
}

function service({
  servers = ['s1', 's2', 's3'],
  ...changes
}: ConfigOverrides & { servers?: readonly string[] }): object {
  return {
    name: 'web',
    listen: `${virtualAddress}:${servicePort}`,
    balance: 'roundrobin',
    check: { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 },
    servers: servers.map((name) => ({ name, address: `10.9.0.2${name.slice(1)}:${serverPort}` })),
    ...changes,
  };
}

/** Files that differ in all that can be reloaded; each is another than the one before it. */
const variants: readonly ConfigOverrides[] = [
  { services: [service({ balance: 'leastconn' })] },
  { services: [service({}), service({ name: 'more', listen: `${virtualAddress}:81` })] },
  { services: [service({ servers: ['s1', 's2'], timeouts: { connect: '3s' } })] },
  { virtualRouters: [router({ priority: { lb1: 180, lb2: 90 } })], log: { level: 'debug' } },
  { virtualRouters: [router({ addresses: [`${virtualAddress}/24`, `${otherAddress}/24`] })] },
  { virtualRouters: [router({ advertInterval: '120ms' }), two({})], services: [service({ stick: { by: 'source' } })] },
  { services: [service({ check: false })] },
];

function transitions({ lb1, lb2 }: Pair): Promise<readonly (readonly string[])[]> {
  return Promise.all(
    [lb1, lb2].map(async (node) => (await eventsOf(node)).filter(isOfWeb).map(({ message }) => message)),
  );
}

function isOfWeb({ kind, message }: NodeEvent): boolean {
  return kind === 'transition' && message.startsWith('web: ');
}

async function messages(node: TandemNode): Promise<readonly string[]> {
  return (await eventsOf(node)).filter(({ kind }) => kind === 'config').map(({ message }) => message);
}

async function stateOf(node: TandemNode, name: string): Promise<string | undefined> {
  return (await statusOf(node)).services[0]?.servers.find((server) => server.name === name)?.state;
}
