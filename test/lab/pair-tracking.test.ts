/** Trackers, hooks and sync groups with real nodes: what is unwell hands over, what belongs together moves together. */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { StatusDocument } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import {
  eventsOf,
  powerOff,
  startPair,
  probeService,
  startServers,
  statusOf,
  waitForHolder,
  waitForState,
  waitForSync,
  whoServes,
} from './stage.ts';
import type { Pair } from './stage.ts';
import { pairConfig, startNode, tandem, tandemJson } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const secondAddress = '10.9.0.101';

const labs: Lab[] = [];

afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.destroy();
});

async function freshLab(): Promise<Lab> {
  const lab = await createLab();
  labs.push(lab);
  return lab;
}

describe('what a node tracks', () => {
  it('by a script with a weight hands over without preemption, and the events name it', async () => {
    const lab = await freshLab();
    const { pair } = await pairThatTracks(lab, { script: checkScript(lab), inter: '200ms', weight: -150 });
    const prober = await probeService(lab);
    setIll(lab, 'lb1', true);
    await waitForHolder(lab, pair.lb2);
    const report = await prober.stop();
    expect(report.served).toBeGreaterThan(0);
    expect(report.longestGap?.ms ?? 0).toBeLessThan(300);
    expect(await messagesOf(pair.lb1)).toContain(`script ${checkScript(lab)} failed: exit code 1: lb1 is ill`);
    expect(await messagesOf(pair.lb1)).toContain('web: active -> backup (hand-over)');
    expect(routerOf(await statusOf(pair.lb1))).toMatchObject({
      priority: 50,
      basePriority: 200,
      trackers: [{ state: 'down', weight: -150, contribution: -150 }],
    });

    // Well again, it does not come back by itself; but it is where an unwell peer hands over to.
    setIll(lab, 'lb1', false);
    await waitUntil(async () => routerOf(await statusOf(pair.lb1)).priority === 200, waiting('lb1 is well'));
    expect(routerOf(await statusOf(pair.lb2)).state).toBe('active');
    setIll(lab, 'lb2', true);
    await waitForHolder(lab, pair.lb1);
  });

  it('by a script with a weight comes home with preemption', async () => {
    const lab = await freshLab();
    const tracker = { script: checkScript(lab), inter: '200ms', weight: -150 };
    const { pair } = await pairThatTracks(lab, tracker, { preempt: true });
    setIll(lab, 'lb1', true);
    await waitForHolder(lab, pair.lb2);
    setIll(lab, 'lb1', false);
    await waitForHolder(lab, pair.lb1);
  });

  it('by a fatal script leaves the election with a goodbye, and comes home with preemption', async () => {
    const lab = await freshLab();
    const { pair } = await pairThatTracks(lab, { script: checkScript(lab), inter: '200ms' }, { preempt: true });
    setIll(lab, 'lb1', true);
    await waitForHolder(lab, pair.lb2);
    await waitForState(pair.lb1, 'initialize');
    const fault = `script ${checkScript(lab)} failed: exit code 1: lb1 is ill`;
    expect(await messagesOf(pair.lb1)).toContain(`web: active -> initialize (fault: ${fault})`);
    expect(await messagesOf(pair.lb2)).toContain('web: backup -> active (active-resigned)');
    expect((await statusOf(pair.lb1)).warnings).toContain(`virtual router web takes no part: ${fault}`);
    setIll(lab, 'lb1', false);
    await waitForHolder(lab, pair.lb1);
    expect(await messagesOf(pair.lb1)).toContain('web: initialize -> backup (fault-cleared)');
  });

  it('by a file multiplies its number', async () => {
    const lab = await freshLab();
    // A number that each host has for itself, on a machine whose files all hosts share.
    const path = '/proc/sys/net/ipv4/neigh/lan0/proxy_qlen';
    const write = (host: string, value: number): Promise<unknown> =>
      lab.host(host).exec(['sh', '-c', `echo ${value} > ${path}`]);
    await Promise.all([write('lb1', 0), write('lb2', 0)]);
    const { pair } = await pairThatTracks(lab, { file: path, weight: -10 });
    await write('lb1', 9);
    await waitUntil(async () => routerOf(await statusOf(pair.lb1)).priority === 110, waiting('the file counts'));
    expect(routerOf(await statusOf(pair.lb1)).state).toBe('active');
    await write('lb1', 11);
    await waitForHolder(lab, pair.lb2);
    expect(await messagesOf(pair.lb1)).toContain(`file ${path} holds 11`);
    await write('lb1', 0);
    await write('lb2', 1);
    await waitForHolder(lab, pair.lb1);
  });

  it('by an interface that is cut has a fault', async () => {
    const lab = await freshLab();
    const { pair } = await pairThatTracks(lab, { interface: 'sync0' });
    await lab.cut('lb1', 'sync');
    await waitForHolder(lab, pair.lb2);
    await waitForState(pair.lb1, 'initialize');
    expect(await messagesOf(pair.lb1)).toContain('interface sync0 is down or has no carrier');
    await lab.heal('lb1', 'sync');
    await waitForState(pair.lb1, 'backup');
  });

  it('by a service without servers has a fault', async () => {
    const lab = await freshLab();
    const { pair } = await pairThatTracks(lab, { service: 'web' });
    const route = (action: 'add' | 'del'): Promise<unknown> =>
      Promise.all(
        [21, 22, 23].map((last) => lab.host('lb1').exec(['ip', 'route', action, 'unreachable', `10.9.0.${last}/32`])),
      );
    await route('add');
    await waitForHolder(lab, pair.lb2);
    expect(await messagesOf(pair.lb1)).toContain('service web has no server for new connections');
    await route('del');
    await waitForState(pair.lb1, 'backup');
  });
});

describe('hooks', () => {
  it('run in order, know what they tell of, and skip what is outdated', async () => {
    const lab = await freshLab();
    const marks = join(lab.directory, 'marks');
    const hook = hookScript(lab, marks);
    const hooks = { onActive: hook, onBackup: hook, onFault: `${hook} fail`, timeout: '5s' };
    await startServers(lab);
    const pair = await startPair(lab, { virtualRouters: [router('web', virtualAddress, { hooks })] });
    const seen = await waitUntil(
      () => marksIn(marks, 'lb1').length === 2 && marksIn(marks, 'lb1'),
      waiting('hooks ran'),
    );
    expect(seen.map(({ TANDEM_PREVIOUS_STATE: from, TANDEM_STATE: to }) => `${from} ${to}`)).toEqual([
      'initialize backup',
      'backup active',
    ]);
    expect(seen[1]).toMatchObject({
      TANDEM_ROUTER: 'web',
      TANDEM_CAUSE: 'active-silent',
      TANDEM_EPOCH: '1',
      TANDEM_GENERATION: '2',
      TANDEM_ADDRESSES: `${virtualAddress}/24`,
      TANDEM_INTERFACE: 'lan0',
    });

    // There and back and there again, while a slow hook runs.
    writeFileSync(join(lab.directory, 'slow'), '');
    for (const to of ['lb2', 'lb1', 'lb2']) expect((await tandem(pair.lb1, 'failover', '--to', to)).code).toBe(0);
    rmSync(join(lab.directory, 'slow'));
    const skipped = 'web: onActive skipped (change 4): the state is backup by now';
    await waitUntil(async () => (await messagesOf(pair.lb1)).includes(skipped), waiting('a hook is skipped'));
    await waitUntil(() => marksIn(marks, 'lb1').length === 4, waiting('the last hook ran'));
    expect(marksIn(marks, 'lb1').map((mark) => mark['TANDEM_GENERATION'])).toEqual(['1', '2', '3', '5']);

    // A failing hook is an event, and nothing more.
    await lab.cut('lb1', 'lan');
    const failed = 'web: onFault failed: exit code 3: cannot';
    await waitUntil(async () => (await messagesOf(pair.lb1)).includes(failed), waiting('a hook fails'));
    expect(routerOf(await statusOf(pair.lb1)).lastHook).toMatchObject({ state: 'initialize', outcome: 'exit code 3' });
  });
});

describe('several virtual routers', () => {
  it('of a sync group move together', async () => {
    const lab = await freshLab();
    await startServers(lab);
    const pair = await startPair(lab, {
      virtualRouters: [
        router('web', virtualAddress),
        router('side', secondAddress, { vrid: 52, track: [{ script: checkScript(lab), inter: '200ms' }] }),
      ],
      syncGroups: [{ name: 'all', virtualRouters: ['web', 'side'] }],
    });
    expect(await addressesOf(lab)).toEqual({ lb1: [virtualAddress, secondAddress], lb2: [] });

    // One of them asked for, both move.
    expect((await tandem(pair.lb1, 'failover', '--router', 'side')).code).toBe(0);
    await untilAddresses(lab, { lb1: [], lb2: [virtualAddress, secondAddress] });

    // What one of them tracks is a fault of both.
    setIll(lab, 'lb2', true);
    await untilAddresses(lab, { lb1: [virtualAddress, secondAddress], lb2: [] });
    await waitForState(pair.lb2, 'initialize');
    setIll(lab, 'lb2', false);
    await waitForState(pair.lb2, 'backup');

    // A death: the first whose timer runs out takes the other along.
    await powerOff(lab, pair.lb1);
    await untilAddresses(lab, { lb2: [virtualAddress, secondAddress] });
    const causes = (await messagesOf(pair.lb2)).filter((message) => message.includes('backup -> active')).slice(-2);
    expect(causes.filter((message) => message.endsWith('(group)'))).toHaveLength(1);
  });

  it('with crossed priorities are active on one node each, and come home after a failover', async () => {
    const lab = await freshLab();
    const overrides: ConfigOverrides = {
      virtualRouters: [
        router('web', virtualAddress, { preempt: true }),
        router('side', secondAddress, { vrid: 52, preempt: true, priority: { lb1: 100, lb2: 200 } }),
      ],
    };
    await startServers(lab);
    const pair = await startCrossedPair(lab, overrides);
    await powerOff(lab, pair.lb1);
    await untilAddresses(lab, { lb2: [virtualAddress, secondAddress] });
    await powerOn(lab, pair.lb1, overrides);
    await untilAddresses(lab, { lb1: [virtualAddress], lb2: [secondAddress] });
  });
});

describe('tandem doctor', () => {
  it('finds nothing that fails on the host of a running node, and what is wrong on one that is no node', async () => {
    const lab = await freshLab();
    await startServers(lab);
    const pair = await startPair(lab);
    const { code, json } = await tandemJson(pair.lb1, 'doctor', '-c', pair.lb1.configPath);
    const findings = json as { check: string; level: string; text: string }[];
    expect(findings.filter(({ level }) => level === 'fail')).toEqual([]);
    expect(code).toBe(0);
    expect(findings.find(({ check }) => check === 'peer')).toMatchObject({ level: 'ok' });
    await lab.host('lb2').exec(['ip', 'addr', 'del', '10.9.0.12/24', 'dev', 'lan0']);
    const ill = await tandem(pair.lb2, 'doctor', '-c', pair.lb2.configPath);
    expect(ill.code).toBe(1);
    expect(ill.stdout).toMatch(/^fail +interface +lan0 does not have 10\.9\.0\.12/m);
  });
});

function router(name: string, address: string, more: ConfigOverrides = {}): ConfigOverrides {
  return {
    name,
    vrid: 51,
    interface: 'lan0',
    addresses: [`${address}/24`],
    advertInterval: '100ms',
    priority: { lb1: 200, lb2: 100 },
    ...more,
  };
}

async function pairThatTracks(lab: Lab, tracker: object, more: ConfigOverrides = {}): Promise<{ pair: Pair }> {
  await startServers(lab);
  const virtualRouters = [router('web', virtualAddress, { track: [tracker], ...more })];
  const pair = await startPair(lab, { virtualRouters });
  // The client asks for the address: announcements reach only who has asked before.
  await whoServes(lab);
  return { pair };
}

/** Each node is preferred for one of the addresses, and has it. */
async function startCrossedPair(lab: Lab, overrides: ConfigOverrides): Promise<Pair> {
  const config = pairConfig(lab, overrides);
  const lb1 = await startNode(lab, 'lb1', config);
  await waitForState(lb1, 'active');
  const lb2 = await startNode(lab, 'lb2', config);
  await Promise.all([waitForSync(lb1), waitForSync(lb2)]);
  await untilAddresses(lab, { lb1: [virtualAddress], lb2: [secondAddress] });
  return { lb1, lb2 };
}

async function powerOn(lab: Lab, node: TandemNode, overrides: ConfigOverrides): Promise<TandemNode> {
  const { name } = node.host;
  await Promise.all([lab.heal(name, 'lan'), lab.heal(name, 'sync')]);
  return startNode(lab, name, pairConfig(lab, overrides));
}

/** A script that fails on the host that is marked as ill. Hosts share their files: it knows them by their address. */
function checkScript(lab: Lab): string {
  const path = join(lab.directory, 'check.sh');
  const text = [
    '#!/bin/sh',
    'name=lb2',
    'ip -o -4 address show dev lan0 | grep -q 10.9.0.11/ && name=lb1',
    `[ ! -e ${lab.directory}/ill-$name ] || { echo "$name is ill"; exit 1; }`,
  ];
  writeFileSync(path, `${text.join('\n')}\n`, { mode: 0o755 });
  return path;
}

function setIll(lab: Lab, name: string, isIll: boolean): void {
  const path = join(lab.directory, `ill-${name}`);
  if (isIll) writeFileSync(path, '');
  else rmSync(path);
}

/** Writes what it is told to a file of the node's when it ends, which it does not while there is a file `slow`. */
function hookScript(lab: Lab, marks: string): string {
  const path = join(lab.directory, 'hook.sh');
  const text = [
    '#!/bin/sh',
    '[ "$1" != fail ] || { echo cannot; exit 3; }',
    `while [ -e ${lab.directory}/slow ]; do sleep 0.05; done`,
    `env | grep ^TANDEM_ | tr '\\n' ';' >> ${marks}-$TANDEM_NODE`,
    `echo >> ${marks}-$TANDEM_NODE`,
  ];
  writeFileSync(path, `${text.join('\n')}\n`, { mode: 0o755 });
  return path;
}

/** The environments of the hooks that ran on the node, in their order. */
function marksIn(marks: string, node: string): readonly Readonly<Record<string, string>>[] {
  const path = `${marks}-${node}`;
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  return lines.map(
    (line) =>
      Object.fromEntries([...line.matchAll(/(\w+)=([^;]*);/g)].map(([, name, value]) => [name, value])) as Record<
        string,
        string
      >,
  );
}

async function messagesOf(node: TandemNode): Promise<readonly string[]> {
  return (await eventsOf(node)).map(({ message }) => message);
}

function routerOf(status: StatusDocument): StatusDocument['virtualRouters'][number] {
  const [only] = status.virtualRouters;
  if (only === undefined) throw new Error('the node has no virtual router');
  return only;
}

/** Which of the two virtual addresses each balancer has. */
async function addressesOf(lab: Lab): Promise<Readonly<Record<'lb1' | 'lb2', readonly string[]>>> {
  const of = async (name: string): Promise<readonly string[]> => {
    const held = (await lab.host(name).addresses()).map(({ address }) => address);
    return [virtualAddress, secondAddress].filter((address) => held.includes(address));
  };
  return { lb1: await of('lb1'), lb2: await of('lb2') };
}

/** Waits until the balancers named have these addresses and no others. */
async function untilAddresses(lab: Lab, wanted: Partial<Record<'lb1' | 'lb2', readonly string[]>>): Promise<void> {
  await waitUntil(
    async () => {
      const held = await addressesOf(lab);
      return (['lb1', 'lb2'] as const).every((name) => (wanted[name] ?? held[name]).join() === held[name].join());
    },
    waiting(`the addresses are at ${JSON.stringify(wanted)}`),
  );
}

function waiting(what: string): { timeoutMs: number; everyMs: number; what: string } {
  return { timeoutMs: 15_000, everyMs: 20, what };
}
