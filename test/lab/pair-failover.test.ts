/** The active node dies, loses its link, is stopped or swapped: the other one serves, as seen from the client. */

import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StatusDocument } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import { usePairStage } from './pair-stage.ts';
import {
  certainGapMs,
  eventsOf,
  hearAdverts,
  holderForClient,
  holders,
  powerOff,
  rolesOf,
  probeService,
  statusOf,
  transitionsOf,
  waitForHolder,
  waitForState,
} from './stage.ts';
import { play, setTheStage } from './story.ts';
import { serverPort, servicePort, tandem, tandemJson, tandemPath } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { monotonicMs, waitUntil } from './time.ts';
import { startVerifier } from './tools.ts';
import { virtualAddress } from './topology.ts';

describe('the story of the demo', () => {
  it('has only good figures', { timeout: 90_000 }, async () => {
    await using lab = await createLab();
    const { pair, sha256 } = await setTheStage(lab);
    const figures = await play(lab, pair, sha256, () => undefined);
    expect(figures.length).toBeGreaterThan(5);
    expect(figures.filter(({ isGood }) => !isGood)).toEqual([]);
  });
});

describe('failover', () => {
  const stage = usePairStage();

  it('serves on after SIGKILL of the whole node, whose address leaves by itself within 4 s', async () => {
    const { lab, active, standby } = await stage.withRoles();
    const prober = await probeService(lab);
    const killedAtMs = monotonicMs();
    active.host.killAll('SIGKILL');
    await waitUntil(async () => (await holderForClient(lab)) === standby.host.name, waiting('the client is repointed'));
    await waitUntil(async () => !(await active.host.hasAddress(virtualAddress)), waiting('the address has lapsed'));
    expect(monotonicMs() - killedAtMs).toBeLessThanOrEqual(4_000);
    expect(certainGapMs(await prober.stop())).toBeLessThan(1_000);
    expect((await transitionsOf(standby)).at(-1)).toBe('backup -> active (peer-died)');
    await waitForHolder(lab, standby);
  });

  it('takes over from a peer without power sooner than by adverts alone', async () => {
    const { lab, active, standby } = await stage.withRoles();
    await powerOff(lab, active);
    await waitForState(standby, 'active');
    expect((await transitionsOf(standby)).at(-1)).toBe('backup -> active (peer-silent)');
    await lab.heal(active.host.name, 'lan');
    await lab.heal(active.host.name, 'sync');
  });

  it('gives everything up at once when its main process is killed', async () => {
    const { lab, active, standby } = await stage.withRoles();
    const { virtualRouters } = await statusOf(standby);
    const prober = await probeService(lab);
    active.process.kill('SIGKILL');
    await waitUntil(() => active.host.processes().length === 0, waiting('workers and vrrp process end'));
    expect(await active.host.hasAddress(virtualAddress)).toBe(false);
    await waitForHolder(lab, standby);
    const report = await prober.stop();
    // A resignation is answered after the skew time; silence would have taken the down interval.
    expect((await transitionsOf(standby)).at(-1)).toBe('backup -> active (active-resigned)');
    expect(certainGapMs(report)).toBeLessThan(3 * (virtualRouters[0]?.advertIntervalMs ?? 0));
  });

  it('removes the address at once when the vrrp process is killed, and starts it again as backup', async () => {
    const { lab, active, standby } = await stage.withRoles();
    const before = await transitionsOf(active);
    const monitor = active.host.spawn(['ip', '-tshort', 'monitor', 'address', 'dev', 'lan0']);
    onTestFinished(async () => {
      await monitor.stop();
    });
    // The renewal of each second shows that it listens.
    await monitor.waitForLine(new RegExp(`${virtualAddress}/32`), 10_000);
    process.kill(pidOf(await statusOf(active), 'vrrp'), 'SIGKILL');
    const deleted = await monitor.waitForLine(new RegExp(`Deleted .* ${virtualAddress}/32`), 10_000);
    await waitForHolder(lab, standby);
    await waitForState(active, 'backup');
    // An epoch that it does not know of it might claim once more, and then neither would yield to the other.
    await waitUntil(async () => (await epochOf(active)) === (await epochOf(standby)), waiting('it knows the epoch'));
    const { processes, virtualRouters } = await statusOf(active);
    expect(virtualRouters[0]?.transitions.slice(-2)).toMatchObject([
      { from: 'active', to: 'initialize', cause: 'process-died' },
      { from: 'initialize', to: 'backup', cause: 'startup' },
    ]);
    expect(processes.find(({ name }) => name === 'vrrp')).toMatchObject({ restarts: 1 });
    expect((await transitionsOf(active)).slice(before.length)).toEqual(['initialize -> backup (startup)']);
    const ended = (await eventsOf(active)).findLast(({ message }) => message.startsWith('the vrrp process ended'));
    const [, restartInMs] = /ended \(SIGKILL\); started again in (\d+) ms$/.exec(ended?.message ?? '') ?? [];
    // So it was not the new process that removed it.
    expect(timeOf(deleted) - (ended?.wallMs ?? Number.NaN)).toBeLessThan(Number(restartInMs));
  });

  it('serves on when a worker is killed, and starts it again', async () => {
    const { lab, active } = await stage.withRoles();
    const before = pidOf(await statusOf(active), 'worker 1');
    const prober = await probeService(lab);
    process.kill(before, 'SIGKILL');
    await waitUntil(async () => {
      const now = (await statusOf(active)).processes.find(({ name }) => name === 'worker 1');
      return now?.pid !== undefined && now.pid !== before && now.restarts === 1;
    }, waiting('the worker is there again'));
    await waitUntil(async () => (await listenerCount(active)) === 2, waiting('both workers listen again'));
    expect(await prober.stop()).toMatchObject({ refused: 0, timeout: 0, unreachable: 0 });
    expect((await eventsOf(active)).map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^worker 1 ended \(SIGKILL\) with its connections; started again in \d+ ms$/),
    );
    expect(await holders(lab)).toEqual([active.host.name]);
  });

  it('steps aside when its LAN cable is cut, and comes back as backup', async () => {
    const { lab, active, standby } = await stage.withRoles();
    await lab.cut(active.host.name, 'lan');
    await waitForState(active, 'initialize');
    await waitForHolder(lab, standby);
    const { virtualRouters, peer, warnings } = await statusOf(active);
    expect(virtualRouters[0]).toMatchObject({ lastCause: 'link-down' });
    // It could not say goodbye on the LAN.
    expect((await transitionsOf(standby)).at(-1)).toBe('backup -> active (active-resigned)');
    expect(peer).toMatchObject({ connected: true, virtualRouters: { web: 'active' } });
    expect(warnings).toContainEqual('virtual router web takes no part: its interface is down or has no carrier');
    const before = await transitionsOf(standby);
    await lab.heal(active.host.name, 'lan');
    await waitForState(active, 'backup');
    await hearAdverts(active, 10);
    expect((await statusOf(active)).virtualRouters[0]).toMatchObject({ state: 'backup', lastCause: 'link-up' });
    expect(await transitionsOf(standby)).toEqual(before);
    expect(await holders(lab)).toEqual([standby.host.name]);
  });

  it('hands over before it ends when it gets SIGTERM, refuses nobody, and exits with 0', async () => {
    const { lab, active, standby } = await stage.withRoles();
    const prober = await probeService(lab);
    active.process.kill('SIGTERM');
    expect(await active.process.exited).toEqual({ code: 0, signal: undefined });
    expect(active.host.processes()).toEqual([]);
    await waitForHolder(lab, standby);
    const report = await prober.stop();
    expect(report).toMatchObject({ refused: 0, unreachable: 0 });
    expect(certainGapMs(report)).toBeLessThan(300);
    expect((await transitionsOf(standby)).at(-1)).toBe('backup -> active (take-over)');
  });

  it.each(['block', 'idle'] as const)('resets at once the connections that it does not move (%s)', async (mode) => {
    const { lab, active, standby } = await stage.withRoles();
    const target = { address: virtualAddress, port: servicePort };
    const verifier = await startVerifier(lab.host('client'), { ...target, mode, connections: 20 });
    const { code, json } = await tandemJson(active, 'failover');
    expect(code).toBe(0);
    expect(json).toMatchObject({ from: active.host.name, connectionsMoved: 0, connectionsReset: 20 });
    await waitUntil(() => verifier.endings().length === 20, waiting('every client knows'));
    const { endings, wrongBytes, longestGap } = await verifier.stop();
    expect(endings).toMatchObject({ reset: 20 });
    expect(wrongBytes).toEqual({ lost: 0, duplicated: 0, reordered: 0, altered: 0, foreign: 0 });
    expect(longestGap?.ms ?? 0).toBeLessThan(1_000);
    // Nor does the old node keep them, or the servers' ends of them.
    await waitUntil(async () => (await establishedCount(active)) === 0, waiting('the old node has let them go'));
    await waitForHolder(lab, standby);
  });

  it('takes over from a peer that is killed while this node is being started', async () => {
    const { lab, active, standby } = await stage.withRoles();
    const { name } = standby.host;
    standby.host.killAll('SIGKILL');
    const node = standby.host.spawn([tandemPath, 'run', '-c', standby.configPath, '--node', name]);
    // Its main process knows by then that the peer is active, and has told it so.
    const vrrp = await waitUntil(() => vrrpProcessOf(standby), waiting('there is a vrrp process'));
    process.kill(vrrp, 'SIGSTOP');
    try {
      await node.waitForLine(/sync connected/, 10_000);
      active.host.killAll('SIGKILL');
      await node.waitForLine(/sync connection lost/, 10_000);
    } finally {
      process.kill(vrrp, 'SIGCONT');
    }
    await waitUntil(async () => (await holderForClient(lab)) === name, waiting('it has taken over'));
    stage.pair = { ...stage.pair, [name]: { ...standby, process: node } };
  });

  it('swaps ten times in a row, from either node, and refuses nobody', async () => {
    const { lab, pair } = stage;
    const prober = await probeService(lab);
    for (let turn = 0; turn < 10; turn++) {
      const { standby } = await rolesOf(lab, pair);
      const { code, stderr } = await tandem(turn % 4 < 2 ? pair.lb1 : pair.lb2, 'failover');
      expect({ turn, code, stderr }).toEqual({ turn, code: 0, stderr: '' });
      await waitForHolder(lab, standby);
    }
    const report = await prober.stop();
    expect(report).toMatchObject({ refused: 0, unreachable: 0, failed: 0 });
    expect(report.served).toBeGreaterThan(1_000);
    expect(certainGapMs(report)).toBeLessThan(500);
  });
});

function waiting(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}

function pidOf(status: StatusDocument, name: string): number {
  const pid = status.processes.find((process) => process.name === name)?.pid;
  if (pid === undefined) throw new Error(`${status.node} has no process ${name}`);
  return pid;
}

/** Undefined while there is none. */
function vrrpProcessOf({ host }: TandemNode): number | undefined {
  return host.processes().find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('vrrp-process'));
}

/** The wall time of a line of `ip -tshort monitor`: "[2026-01-31T23:59:59.123456] Deleted 2: …". */
function timeOf(line: string): number {
  return Date.parse(/^\[(.*?)\]/.exec(line)?.[1] ?? '');
}

async function epochOf(node: TandemNode): Promise<number | undefined> {
  return (await statusOf(node)).virtualRouters[0]?.epoch;
}

/** How many connections the node has with clients and servers; health checks count, but they are over at once. */
async function establishedCount(node: TandemNode): Promise<number> {
  const filter = `( sport = :${servicePort} or dport = :${serverPort} )`;
  const { stdout } = await node.host.exec(['ss', '-Htn', 'state', 'established', filter]);
  return stdout.split('\n').filter((line) => line !== '').length;
}

/** How many sockets of the node listen for the service: one per worker. */
async function listenerCount(node: TandemNode): Promise<number> {
  const { stdout } = await node.host.exec(['ss', '-Hltn', 'src', `${virtualAddress}:80`]);
  return stdout.split('\n').filter((line) => line !== '').length;
}
