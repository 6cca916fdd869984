/** Services under new settings, with real workers and sockets. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../../src/config/index.ts';
import { EventLog } from '../../../src/node/events.ts';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import { ServiceManager } from '../../../src/node/service-manager.ts';
import type { ServerStatus } from '../../../src/node/status-document.ts';
import type { WorkerServer } from '../../../src/proxy/index.ts';
import { createCallbackLogger, systemClock, systemRandom } from '../../../src/runtime/index.ts';
import { parsed } from '../config/fixtures.ts';
import { connectTo, freePort, native, nextData, ownAddress, startNamedServer } from '../proxy/io/harness.ts';

const patience = { timeout: 10_000 };

describe('services under new settings', () => {
  it('have other servers, and the connections of those that are gone go on', async () => {
    const [a, b] = [await startNamedServer('a'), await startNamedServer('b')];
    const { services, config, port } = await start([a]);
    const held = connectTo(ownAddress, port);
    expect(await nextData(held)).toBe('a');
    await services.reconfigure(config([b]));
    expect(await nextData(connectTo(ownAddress, port))).toBe('b');
    expect(await statusOf(services)).toMatchObject([{ name: 'b', origin: 'file', connectionsTotal: 1 }]);
    expect(held.destroyed).toBe(false);
  });

  it('end the connections of a server that is gone within the drain time', async () => {
    const [a, b] = [await startNamedServer('a'), await startNamedServer('b')];
    const { services, config, port } = await start([a], { drainTime: '200ms' });
    const held = connectTo(ownAddress, port);
    expect(await nextData(held)).toBe('a');
    const ended = new Promise((resolve) => held.resume().once('close', resolve));
    await services.reconfigure(config([b], { drainTime: '200ms' }));
    await ended;
    expect((await services.status())[0]?.ended).toMatchObject({ drained: 1 });
  });

  it('keep a limit over all workers when it is another one, and with what was counted before', async () => {
    const a = await startNamedServer('a');
    const { services, config, port } = await start([{ ...a, maxconn: 1 }]);
    const first = connectTo(ownAddress, port);
    expect(await nextData(first)).toBe('a');
    const second = connectTo(ownAddress, port);
    const answer = nextData(second);
    await untilStatus(services, ([server]) => server?.connections === 1);
    await services.reconfigure(config([{ ...a, maxconn: 2 }]));
    expect(await answer).toBe('a');
    const third = nextData(connectTo(ownAddress, port));
    expect((await statusOf(services))[0]).toMatchObject({ maxconn: 2, connections: 2 });
    first.resetAndDestroy();
    expect(await third).toBe('a');
  });

  it('keep servers that were added, and reset what goes to one that is removed by force', async () => {
    const [a, b] = [await startNamedServer('a'), await startNamedServer('b')];
    const changes = { balance: 'leastconn' } as const;
    const { services, config, port } = await start([a], changes);
    services.list.add({ service: 'web', name: 'b', address: `${ownAddress}:${b.port}` });
    await services.reconfigure(config([{ ...a, maxconn: 5 }], changes));
    const sockets: Socket[] = [];
    const names: string[] = [];
    for (let count = 0; count < 2; count++) {
      const socket = connectTo(ownAddress, port);
      sockets.push(socket);
      names.push(await nextData(socket));
    }
    expect(names.sort()).toEqual(['a', 'b']);
    const reset = sockets.map((socket) => new Promise((resolve) => socket.once('error', resolve)));
    expect(await statusOf(services)).toMatchObject([
      { maxconn: 5 },
      { name: 'b', origin: 'added', maxconn: undefined },
    ]);
    services.list.remove('web', 'b');
    services.closeServerConnections('web', 'b');
    expect(await Promise.race(reset)).toMatchObject({ code: 'ECONNRESET' });
    expect(await services.status()).toMatchObject([{ ended: { 'server-removed': 1 }, servers: [{ name: 'a' }] }]);
  });

  it('are as they were when a port is taken', async () => {
    const [a, b] = [await startNamedServer('a'), await startNamedServer('b')];
    const { services, config, port } = await start([a]);
    const next = config([b], { listen: `${ownAddress}:${b.port}` });
    await expect(services.reconfigure(next)).rejects.toThrow(/cannot listen on .*EADDRINUSE/);
    expect(await nextData(connectTo(ownAddress, port))).toBe('a');
    expect(await statusOf(services)).toMatchObject([{ name: 'a' }]);
    expect(services.accessLog).toBeUndefined();
  });

  it('log connections from then on, and no more when they are told not to', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tandem-access-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const path = join(directory, 'access.log');
    const a = await startNamedServer('a');
    const { services, config, port } = await start([a]);
    await services.reconfigure({ ...config([a]), log: { level: 'info', access: { file: path } } });
    expect(services.accessLog).toMatchObject({ destination: path });
    await visit(port);
    await expect.poll(() => existsSync(path) && readFileSync(path, 'utf8'), patience).toMatch(/"server":"a"/);
    await services.reconfigure(config([a]));
    expect(services.accessLog).toBeUndefined();
  });
});

type Changes = { readonly listen?: string; readonly drainTime?: string; readonly balance?: 'leastconn' };

describe('what an operator should find again', () => {
  it('is in the log when a server was taken out, added or removed', async () => {
    const { services, logged } = await start([await startNamedServer('a')]);
    services.overrides.set('web', 'a', { action: 'drain' });
    services.list.add({ service: 'web', name: 'b', address: `${ownAddress}:1` });
    services.list.remove('web', 'b');
    expect(logged.filter((line) => line.includes('operator'))).toEqual([
      'info operator: web: a set to drain',
      expect.stringMatching(/^info operator: web: b .* added$/),
      'info operator: web: b removed',
    ]);
  });

  it('is in the status while the access log cannot be written', async () => {
    const server = await startNamedServer('a');
    const { services, config, port } = await start([server]);
    const next = config([server]);
    await services.reconfigure({ ...next, log: { ...next.log, access: { file: '/nonexistent/access.log' } } });
    await visit(port);
    await untilStatus(services, () => services.accessLog?.trouble === 'ENOENT');
    expect(services.accessLog).toMatchObject({ destination: '/nonexistent/access.log', droppedRecords: 0 });
    expect(services.accepting).toEqual({ workers: 2, fullWorkers: 0, limitHits: 0, pauses: 0 });
  });
});

async function start(servers: readonly WorkerServer[], changes: Changes = {}) {
  const port = freePort();
  const config = (next: readonly WorkerServer[], given: Changes = {}): Config =>
    configOf(next, { listen: `${ownAddress}:${port}`, ...given });
  const events = new EventLog(() => 0);
  const state = createReplicatedState('test', {
    onOverride: () => undefined,
    onServer: () => undefined,
    onStick: () => undefined,
    onEjection: () => undefined,
  });
  const logged: string[] = [];
  const logger = createCallbackLogger((level, _fields, message) => logged.push(`${level} ${message}`));
  const services = new ServiceManager(
    { ...config(servers, changes), workers: 2, checkSource: ownAddress, accessLog: undefined },
    {
      ...{ clock: systemClock, logger, native, random: systemRandom, events, state },
      onUsable: () => undefined,
    },
  );
  await services.start();
  onTestFinished(() => services.stop());
  return { services, config, port, logged };
}

function configOf(servers: readonly WorkerServer[], changes: Changes): Config {
  const file = {
    nodes: [{ name: 'lb1', address: '10.9.0.11' }],
    virtualRouters: [{ name: 'web', vrid: 51, interface: 'eth0', addresses: [`${ownAddress}/8`] }],
    services: [
      {
        ...{ name: 'web', check: false, ...changes },
        servers: servers.map(({ name, port, maxconn }) => ({
          ...{ name, address: `${ownAddress}:${port}` },
          ...(maxconn === undefined ? {} : { maxconn }),
        })),
      },
    ],
  };
  return parsed(JSON.stringify(file));
}

async function visit(port: number): Promise<void> {
  const socket = connectTo(ownAddress, port);
  await nextData(socket);
  socket.resetAndDestroy();
}

async function statusOf(services: ServiceManager): Promise<readonly ServerStatus[]> {
  return (await services.status()).flatMap(({ servers }) => servers);
}

async function untilStatus(
  services: ServiceManager,
  condition: (servers: readonly ServerStatus[]) => boolean,
): Promise<void> {
  await expect.poll(async () => condition(await statusOf(services)), patience).toBe(true);
}
