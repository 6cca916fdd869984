/** Who is not the peer, or not like it: what the two nodes say of it, and that it does not disturb them. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Lab } from './lab.ts';
import type { KnockKind } from './knock.ts';
import { usePairStage } from './pair-stage.ts';
import { hearAdverts, holders, statusOf, transitionsOf, waitForHolder, waitForState, whoServes } from './stage.ts';
import { pairConfig, tandem, tandemPath } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';

const syncPort = 7400;
/** lb1 dials, lb2 listens: the node whose name sorts first. */
const syncAddress = '10.9.1.12';

describe('a node whose peer is not what it should be', () => {
  const stage = usePairStage();

  beforeEach(async () => {
    const { lab, pair, active } = await stage.withRoles();
    if (active === pair.lb2) expect((await tandem(active, 'failover')).code).toBe(0);
    await waitForHolder(lab, pair.lb1);
  });

  /** lb2 ends, and something else starts in its place. */
  async function replaceLb2(name: string, config: string): Promise<TandemNode> {
    const { lab, pair } = stage;
    pair.lb2.host.killAll('SIGKILL');
    await pair.lb2.process.exited;
    const impostor = startOnLb2(lab, name, config);
    await waitForState(impostor, 'backup');
    return impostor;
  }

  it('does not connect with another key, says so on both nodes, and refuses to hand over', async () => {
    const { lab, pair } = stage;
    const keyFile = join(lab.directory, 'other.key');
    writeFileSync(keyFile, randomBytes(32).toString('hex'), { mode: 0o600 });
    const lb2 = await replaceLb2('lb2', pairConfig(lab, { sync: { port: syncPort, keyFile } }));
    for (const node of [pair.lb1, lb2]) {
      await waitUntil(async () => (await statusOf(node)).peer?.refused !== undefined, waiting('it says so'));
      expect((await statusOf(node)).peer).toMatchObject({
        connected: false,
        inSync: false,
        refused: 'the two nodes have different sync keys',
      });
      expect((await statusOf(node)).peer?.counters['turnedAway.key']).toBeGreaterThan(0);
    }
    await expectRefusal(pair.lb1, /^tandem: lb2 is refused: the two nodes have different sync keys; .*--force\n$/);
    // Adverts pass all the same: there is one active.
    await hearAdverts(lb2, 5);
    expect(await holders(lab)).toEqual(['lb1']);
    stage.pair = { ...stage.pair, lb2 };
    await end(lb2);
  });

  it('does not take another node at the address of its peer for it', async () => {
    const { lab, pair } = stage;
    const nodes = [
      { name: 'lb1', address: '10.9.0.11', syncAddress: '10.9.1.11' },
      { name: 'lb3', address: '10.9.0.12', syncAddress: '10.9.1.12' },
    ];
    const base = JSON.parse(pairConfig(lab)) as { virtualRouters: [object] };
    const virtualRouters = [{ ...base.virtualRouters[0], priority: { lb1: 200, lb3: 100 } }];
    const lb3 = await replaceLb2('lb3', pairConfig(lab, { nodes, virtualRouters }));
    await waitUntil(async () => (await statusOf(pair.lb1)).peer?.refused !== undefined, waiting('it says so'));
    expect((await statusOf(pair.lb1)).peer).toMatchObject({
      connected: false,
      refused: 'what connects is another node than the configured peer',
    });
    expect((await statusOf(lb3)).peer).toMatchObject({ connected: false });
    await waitUntil(async () => (await statusOf(lb3)).peer?.refused !== undefined, waiting('lb3 says so, too'));
    await expectRefusal(pair.lb1, /^tandem: lb2 is refused: what connects is another node .*--force\n$/);
    expect(await holders(lab)).toEqual(['lb1']);
    await end(lb3);
  });

  it('works with a peer of another configuration, flags it on both nodes, and hands over only if forced', async () => {
    const { lab, pair } = stage;
    const base = JSON.parse(pairConfig(lab)) as { services: [object] };
    const services = [{ ...base.services[0], balance: 'leastconn' }];
    const lb2 = await replaceLb2('lb2', pairConfig(lab, { services }));
    stage.pair = { ...stage.pair, lb2 };
    for (const [node, peer] of [
      [pair.lb1, 'lb2'],
      [lb2, 'lb1'],
    ] as const) {
      await waitUntil(async () => (await statusOf(node)).peer?.inSync === true, waiting('in sync'));
      const status = await statusOf(node);
      expect(status.peer).toMatchObject({ connected: true, configDiffers: true });
      const warning = new RegExp(`^${peer} has another configuration \\([0-9a-f]{16}, here [0-9a-f]{16}\\) for `);
      expect(status.warnings).toContainEqual(expect.stringMatching(warning));
    }
    await expectRefusal(pair.lb1, 'tandem: lb2 has another configuration; mend that, or use --force\n');
    await expectRefusal(lb2, /^tandem: lb1: lb2 has another configuration; .*--force/);
    expect(await holders(lab)).toEqual(['lb1']);
    expect((await tandem(pair.lb1, 'failover', '--force')).code).toBe(0);
    await waitForHolder(lab, lb2);
    await end(lb2);
  });

  it.each<[KnockKind, number, 'lb1' | 's3', string]>([
    ['garbage', 3, 's3', 'turnedAway.foreign-address'],
    ['silent', 200, 's3', 'turnedAway.foreign-address'],
    ['garbage', 3, 'lb1', 'turnedAway.ERR_SSL_WRONG_VERSION_NUMBER'],
    ['truncated', 3, 'lb1', 'turnedAway.ECONNRESET'],
    ['silent', 200, 'lb1', 'turnedAway.too-many-half-open'],
    ['oversized', 1, 'lb1', 'ended.frame-too-long'],
    ['malformed', 1, 'lb1', 'ended.not-msgpack'],
    ['stranger', 1, 'lb1', 'ended.third-node'],
  ])('is not disturbed by %s connections (%d, from %s), and counts them', async (kind, count, from, counter) => {
    const { lab, pair } = stage;
    const before = await peerOf(pair.lb2);
    const transitions = await transitionsOf(pair.lb2);
    const host = lab.host(from);
    // Not on the sync network, but a neighbour on the LAN that knows the way.
    if (from === 's3') await host.exec(['ip', 'route', 'replace', syncAddress, 'via', '10.9.0.12']);
    const program = new URL('knock.ts', import.meta.url).pathname;
    const keyFile = join(lab.directory, 'sync.key');
    const knock = host.spawn([process.execPath, program, kind, syncAddress, String(syncPort), keyFile, String(count)]);
    await knock.waitForLine(/"connected"/, 10_000);
    await knock.waitForLine(/"over"/, 10_000);
    await waitUntil(async () => {
      const { counters } = await peerOf(pair.lb2);
      if ((counters[counter] ?? 0) > (before.counters[counter] ?? 0)) return true;
      throw new Error(JSON.stringify(Object.entries(counters).filter(([, value]) => value > 0)));
    }, waiting(counter));
    const after = await peerOf(pair.lb2);
    expect(after).toMatchObject({ connected: true, inSync: true });
    expect(after.refused).toBeUndefined();
    expect(after.counters['connections']).toBe(before.counters['connections']);
    expect(await transitionsOf(pair.lb2)).toEqual(transitions);
    expect((await peerOf(pair.lb1)).refused).toBeUndefined();
    expect(await whoServes(lab)).toMatch(/^s[123]$/);
    expect((await tandem(pair.lb1, 'failover')).code).toBe(0);
    await waitForHolder(lab, pair.lb2);
  });
});

/** Starts a node of any name on lb2's host. */
function startOnLb2(lab: Lab, name: string, config: string): TandemNode {
  const host = lab.host('lb2');
  const configPath = join(lab.directory, `${name}.yaml`);
  writeFileSync(configPath, config);
  const process = host.spawn([tandemPath, 'run', '-c', configPath, '--node', name]);
  return { host, process, configPath, socketPath: join(lab.directory, `${name}.sock`) };
}

async function end(node: TandemNode): Promise<void> {
  node.process.kill('SIGKILL');
  await node.process.exited;
}

async function expectRefusal(node: TandemNode, message: string | RegExp): Promise<void> {
  const { code, stdout, stderr } = await tandem(node, 'failover');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  if (typeof message === 'string') expect(stderr).toBe(message);
  else expect(stderr).toMatch(message);
}

async function peerOf(node: TandemNode) {
  const { peer } = await statusOf(node);
  if (peer === undefined) throw new Error(`${node.host.name} has no peer`);
  return peer;
}

function waiting(what: string): { timeoutMs: number; what: string } {
  return { timeoutMs: 10_000, what };
}
