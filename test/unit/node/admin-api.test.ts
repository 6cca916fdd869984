/** The doors of the admin API: whom the socket's file lets in, and what the read-only port bears. */

import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdminApi } from '../../../src/node/admin-api.ts';
import type { AdminOptions, NodeControl } from '../../../src/node/admin-api.ts';
import { EventLog } from '../../../src/node/events.ts';
import { loadNative, systemClock } from '../../../src/runtime/index.ts';
import type { Native } from '../../../src/runtime/index.ts';

let directory = '';
const stops: (() => Promise<void>)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tandem-admin-'));
});

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  rmSync(directory, { recursive: true, force: true });
});

const status = { virtualRouters: [] };
const control = {
  status: () => Promise.resolve(status),
  metrics: () => Promise.resolve('tandem_up 1\n'),
} as unknown as NodeControl;

async function start(options: Partial<AdminOptions> = {}, groups: Readonly<Record<string, number>> = {}) {
  const native: Native = { ...loadNative(), groupId: (name) => groups[name] ?? -2 };
  const socketPath = join(directory, 'run', 'lb1.sock');
  const api = new AdminApi(
    { socketPath, group: undefined, listen: undefined, ...options },
    { control, events: new EventLog(() => 0), clock: systemClock, native },
  );
  await api.start();
  stops.push(() => api.stop());
  return { mode: statSync(socketPath).mode & 0o7777, gid: statSync(socketPath).gid };
}

describe('the admin socket', () => {
  it("is its owner's alone, or a group's as well", async () => {
    const gid = process.getgid?.() ?? 0;
    expect(await start()).toMatchObject({ mode: 0o600 });
    for (const stop of stops.splice(0)) await stop();
    expect(await start({ group: 'operators' }, { operators: gid })).toEqual({ mode: 0o660, gid });
  });

  it('is not made for a group that is not there', async () => {
    await expect(start({ group: 'operators' })).rejects.toMatchObject({
      code: 'ADMIN_GROUP',
      line: 'admin.group operators: this host has no such group; groupadd operators, or name another group',
    });
  });

  it.each([
    [0o777, false],
    [0o757, false],
    [0o1777, true],
    [0o755, true],
    [0o700, true],
  ])('stands in a directory of mode %o: %s', async (mode, isTaken) => {
    mkdirSync(join(directory, 'run'));
    chmodSync(join(directory, 'run'), mode);
    const outcome = await start().catch((error: unknown) => error);
    if (isTaken) expect(outcome).toMatchObject({ mode: 0o600 });
    else expect(outcome).toMatchObject({ code: 'ADMIN_SOCKET', mend: `chmod 755 ${join(directory, 'run')}` });
  });

  it('is not taken from a node that answers on it', async () => {
    await start();
    await expect(start()).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
  });
});

describe('the read-only port', () => {
  it.each([
    ['GET', '/status', 200],
    ['HEAD', '/metrics', 200],
    ['GET', '/healthz', 200],
    ['POST', '/status', 405],
    ['POST', '/failover', 405],
    ['DELETE', '/metrics', 405],
    ['GET', '/failover', 404],
    ['GET', '/events', 404],
    ['GET', '/sticks', 404],
    ['GET', '/../status', 404],
  ])('answers %s %s with %d', async (method, path, expected) => {
    const listen = await freeEndpoint();
    await start({ listen });
    expect(await ask(listen, method, path)).toBe(expected);
  });

  it('refuses headers that are too long', async () => {
    const listen = await freeEndpoint();
    await start({ listen });
    expect(await ask(listen, 'GET', '/status', { 'x-long': 'x'.repeat(9_000) })).toBe(431);
  });

  it('has so many connections and no more, and serves again when they have gone', async () => {
    const listen = await freeEndpoint();
    await start({ listen });
    const sockets = Array.from({ length: 64 }, () => connect(listen.port, listen.address));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const one = connect(listen.port, listen.address);
    one.on('error', () => undefined);
    await once(one, 'close');
    const closed = sockets.map((socket) => once(socket, 'close'));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    const untilServed = async (): Promise<number> =>
      ask(listen, 'GET', '/status').catch(() => systemClock.sleep(5).then(untilServed));
    expect(await untilServed()).toBe(200);
  });
});

async function freeEndpoint(): Promise<{ address: string; port: number }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { address: '127.0.0.1', port };
}

function ask(
  { address, port }: { address: string; port: number },
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: address, port, method, path, headers, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    asked.on('error', reject);
    asked.end();
  });
}
