import { readdirSync } from 'node:fs';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import {
  deadServer,
  exchange,
  nextData,
  nextError,
  startEchoServer,
  startProxy,
  startServer,
  startSilentServer,
  startTwoServers,
  turn,
  until,
} from './harness.ts';

describe('a server that refuses', () => {
  it('is passed over: the client gets the next server and loses no byte', async () => {
    const proxy = await startProxy([deadServer('dead'), await startEchoServer('alive')]);
    for (let i = 0; i < 10; i++) {
      const client = proxy.connect();
      expect(await exchange(client, `hello ${i}`)).toBe(`hello ${i}`);
    }
    const service = proxy.service();
    expect(service.redispatches).toBe(service.servers[0]?.connectFailures);
    expect(service.redispatches).toBeGreaterThan(0);
    expect(service.servers[1]?.connectionsCurrent).toBe(10);
    expect(service.servers[0]?.connectionsCurrent).toBe(0);
  });

  it('ends the connection when there is no other one', async () => {
    const proxy = await startProxy([deadServer('a'), deadServer('b')]);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    const service = proxy.service();
    expect(service.refused).toMatchObject({ 'no-server': 0, 'connect-failed': 1, 'no-descriptor': 0 });
    expect(service.servers.map((server) => server.connectFailures)).toEqual([1, 1]);
    expect(service.connectionsCurrent).toBe(0);
  });

  it('is followed by at most `retries` others', async () => {
    const servers = ['a', 'b', 'c', 'd'].map(deadServer);
    const proxy = await startProxy(servers, { service: { retries: 1 } });
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service().servers.map((server) => server.connectFailures)).toEqual([1, 1, 0, 0]);
  });
});

describe('a server that does not answer', () => {
  it('is given up after the connect time-out, and the next one is tried', async () => {
    const servers = [await startSilentServer('silent'), await startEchoServer('alive')];
    const proxy = await startProxy(servers, { service: { connectTimeoutMs: 3000 } });
    const client = proxy.connect();
    client.write('hello');
    await until(() => proxy.service().servers[0]?.connectionsCurrent === 1);
    proxy.clock.advance(2900);
    expect(proxy.service().servers[0]?.connectTimeouts).toBe(0);
    proxy.clock.advance(200);
    expect(await nextData(client)).toBe('hello');
    expect(proxy.service().servers[0]).toMatchObject({ connectTimeouts: 1, connectFailures: 1, connectionsCurrent: 0 });
  });

  it('is left when the client resets meanwhile', async () => {
    const proxy = await startProxy([await startSilentServer('silent')]);
    const client = proxy.connect();
    await until(() => proxy.service().connectionsCurrent === 1);
    client.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 0);
    expect(proxy.service()).toMatchObject({ ended: { 'client-gone': 1 }, redispatches: 0 });
    expect(proxy.service().servers[0]).toMatchObject({ connectionsCurrent: 0, connectFailures: 0 });
  });

  it('does not lose what a client sent before it ended its direction', async () => {
    const servers = [await startSilentServer('silent'), await startEchoServer('alive')];
    const proxy = await startProxy(servers, { service: { connectTimeoutMs: 3000 } });
    const client = proxy.connect();
    client.end('only this');
    await until(() => proxy.service().connectionsCurrent === 1);
    for (let i = 0; i < 20; i++) await turn();
    proxy.clock.advance(3100);
    expect(await nextData(client)).toBe('only this');
    await once(client, 'end');
  });
});

describe('without an eligible server', () => {
  it.each([
    ['none at all', []],
    ['one that is down', [{ ...deadServer('a'), health: 'down' as const }]],
    ['one in maintenance', [{ ...deadServer('a'), admin: 'maint' as const }]],
    ['one that drains', [{ ...deadServer('a'), admin: 'drain' as const }]],
    ['one of weight 0', [{ ...deadServer('a'), weight: 0 }]],
  ])('(%s) a client is reset at once and counted', async (_, servers) => {
    const proxy = await startProxy(servers);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service().refused).toMatchObject({ 'no-server': 1, 'connect-failed': 0, 'no-descriptor': 0 });
  });
});

describe('choosing servers', () => {
  it('counts connections of this worker for leastconn', async () => {
    const servers = await startTwoServers();
    const proxy = await startProxy(servers, { service: { balance: 'leastconn' } });
    const first = proxy.connect();
    const names = [await nextData(first), await nextData(proxy.connect())];
    expect(names).toEqual(['a', 'b']);
    first.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 1);
    expect(await nextData(proxy.connect())).toBe('a');
  });

  it('leaves from the source address of the service', async () => {
    const remote: (string | undefined)[] = [];
    const server = await startServer('s1', (socket) => remote.push(socket.remoteAddress));
    const proxy = await startProxy([server], { service: { source: '127.9.9.9' } });
    proxy.connect();
    await until(() => remote.length > 0);
    expect(remote).toEqual(['127.9.9.9']);
  });
});

describe('descriptors', () => {
  it('are all given back after thousands of short connections, however they ended', async () => {
    const server = await startServer('s1', (socket) => socket.on('data', () => socket.end('answer')));
    const proxy = await startProxy([server, deadServer('dead')]);
    const before = openDescriptors();
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => shortConnection(index)));
    }
    await until(() => proxy.service().connectionsCurrent === 0);
    await until(() => openDescriptors() <= before);
    expect(proxy.service().connectionsTotal).toBe(2000);

    async function shortConnection(index: number): Promise<void> {
      const client = proxy.connect({ allowHalfOpen: false });
      expect(await exchange(client, 'question')).toBe('answer');
      if (index % 3 === 0) client.resetAndDestroy();
      else client.end();
      if (!client.closed) await once(client, 'close');
    }
  });
});

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
