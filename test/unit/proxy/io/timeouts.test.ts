import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { InactivityLimits } from '../../../../src/proxy/index.ts';
import {
  exchange,
  nextError,
  noInactivityLimits,
  startEchoServer,
  startProxy,
  startServer,
  startSilentServer,
  turn,
  until,
  untilStalled,
} from './harness.ts';

describe('a silent connection', () => {
  it('is reset on both sides when its time is over, and one that is in use is spared', async () => {
    const atServer: Promise<string | undefined>[] = [];
    const server = await startServer('echo', (socket) => {
      atServer.push(nextError(socket));
      socket.on('data', (bytes) => socket.write(bytes));
    });
    const proxy = await startProxy([server], within({ clientMs: 10_000, serverMs: 20_000 }));
    const [silent, busy] = [proxy.connect(), proxy.connect()];
    for (const client of [silent, busy]) {
      await exchange(client, 'x');
    }
    proxy.clock.advance(9000);
    await exchange(busy, 'y');
    expect(proxy.service().connectionsCurrent).toBe(2);
    proxy.clock.advance(2000);
    expect(await nextError(silent)).toBe('ECONNRESET');
    expect(await atServer[0]).toBe('ECONNRESET');
    expect(await exchange(busy, 'z')).toBe('z');
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 1, ended: { 'client-timeout': 1 } });
  });

  it.each([1000, 2400, 60_000])('within %i ms is not reset, and at most a second later is', async (ms) => {
    const proxy = await startProxy([await startEchoServer()], within({ serverMs: ms }));
    const client = proxy.connect();
    await exchange(client, 'x');
    proxy.clock.advance(137);
    await exchange(client, 'y');
    proxy.clock.advance(ms - 1);
    expect(proxy.service().ended['server-timeout']).toBe(0);
    proxy.clock.advance(1001);
    expect(proxy.service().ended['server-timeout']).toBe(1);
  });

  it('has its whole time from the moment at which a server answers', async () => {
    let accepted = 0;
    const servers = [await startSilentServer('silent'), await startServer('mute', () => accepted++)];
    const limits = within({ clientMs: 3000 });
    const proxy = await startProxy(servers, { service: { ...limits.service, connectTimeoutMs: 5000 } });
    proxy.connect();
    await until(() => proxy.service().servers[0]?.connectionsCurrent === 1);
    proxy.clock.advance(5100);
    await until(() => accepted === 1);
    for (let i = 0; i < 20; i++) await turn();
    proxy.clock.advance(2900);
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 1, redispatches: 1 });
    proxy.clock.advance(1100);
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 0, ended: { 'client-timeout': 1 } });
  });

  it('on which bytes only ever move one way is not silent', async () => {
    const server = await startServer('s1', (socket) => socket.resume());
    const proxy = await startProxy([server], within({ clientMs: 2000, serverMs: 2000 }));
    const client = proxy.connect();
    for (let i = 1; i <= 10; i++) {
      client.write('x');
      await until(() => proxy.service().bytesIn === i);
      proxy.clock.advance(1500);
    }
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 1, bytesIn: 10, bytesOut: 0 });
  });

  it('whose client takes nothing has timed out by its client, although the server is held up as well', async () => {
    const server = await startServer('s1', (socket) => void socket.write(Buffer.alloc(20_000_000)));
    const proxy = await startProxy([server], within({ clientMs: 9000, serverMs: 2000 }));
    const client = proxy.connect();
    client.pause();
    await untilStalled(() => proxy.service().bytesOut);
    proxy.clock.advance(8000);
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 1 });
    proxy.clock.advance(2000);
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 0, ended: { 'client-timeout': 1 } });
  });

  it('gets the time of a tunnel when both sides have sent, and not before', async () => {
    const proxy = await startProxy([await startEchoServer()], within({ clientMs: 2000, tunnelMs: 10_000 }));
    const [talking, mute] = [proxy.connect(), proxy.connect()];
    await Promise.all([once(mute, 'connect'), once(talking, 'connect')]);
    await exchange(talking, 'x');
    proxy.clock.advance(3500);
    expect(await nextError(mute)).toBe('ECONNRESET');
    expect(proxy.service().connectionsCurrent).toBe(1);
    proxy.clock.advance(9000);
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 0, ended: { 'client-timeout': 2 } });
  });

  it('that its server has ended is under clientFin', async () => {
    const server = await startServer('s1', (socket) => void socket.end('bye'));
    const proxy = await startProxy([server], within({ clientMs: 60_000, clientFinMs: 2000 }));
    const client = proxy.connect();
    client.resume();
    await once(client, 'end');
    proxy.clock.advance(3500);
    expect(proxy.service()).toMatchObject({ connectionsCurrent: 0, ended: { 'client-timeout': 1 } });
  });

  it('of 0 stays for ever', async () => {
    const proxy = await startProxy([await startEchoServer()]);
    const client = proxy.connect();
    await exchange(client, 'x');
    proxy.clock.advance(10_000_000);
    expect(await exchange(client, 'y')).toBe('y');
  });
});

function within(limits: Partial<InactivityLimits>) {
  return { service: { inactivity: { ...noInactivityLimits, ...limits } } };
}
