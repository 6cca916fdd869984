import { describe, expect, it } from 'vitest';
import type { WorkerServer } from '../../../../src/proxy/index.ts';
import { nextData, nextError, server, startEchoServer, startNamedServer, startProxy, until } from './harness.ts';
import type { TestWorker } from './harness.ts';
import type { TestProxy } from './harness.ts';

describe('a server that drains', () => {
  const drainMs = 10_000;

  it('keeps its connections where no time is set', async () => {
    const proxy = await startHeld(10);
    set(proxy, { admin: 'drain' });
    pass(proxy, 60_000);
    expect(server(proxy, 'a')?.connectionsCurrent).toBe(10);
  });

  it.each(['drain', 'maint'] as const)('(%s) ends them spread over the time, never all at once', async (admin) => {
    const proxy = await startHeld(20);
    set(proxy, { admin, drainMs });
    const open: number[] = [];
    for (let second = 0; second < 10; second++) {
      pass(proxy, 1_000);
      open.push(server(proxy, 'a')?.connectionsCurrent ?? -1);
    }
    for (const [second, count] of open.entries()) expect(Math.abs(count - (18 - 2 * second))).toBeLessThanOrEqual(1);
    expect(server(proxy, 'a')).toMatchObject({ drained: 20, connectionsCurrent: 0 });
  });

  it('ends idle connections with FIN, and before those that are busy, which are reset', async () => {
    const a = await startEchoServer('a');
    const proxy = await startProxy([a]);
    const [idle, busy] = [proxy.connect(), proxy.connect()];
    for (const client of [idle, busy]) {
      client.write('x');
      await nextData(client);
    }
    const endings: string[] = [];
    for (const [name, client] of Object.entries({ idle, busy })) {
      void nextError(client).then((how) => endings.push(`${name} ${how ?? ''}`));
    }
    set(proxy, { admin: 'drain', drainMs });
    for (let ms = 0; ms < drainMs; ms += 100) {
      busy.write('x');
      const before = proxy.service().bytesOut;
      await until(() => proxy.service().bytesOut > before || endings.length === 2);
      pass(proxy, 100);
    }
    await until(() => endings.length === 2);
    expect(endings).toEqual(['idle end', 'busy ECONNRESET']);
  });

  it('keeps those that are left when it is ready again', async () => {
    const proxy = await startHeld(20);
    set(proxy, { admin: 'drain', drainMs });
    pass(proxy, 5_000);
    set(proxy, { admin: 'ready', drainMs });
    const left = server(proxy, 'a')?.connectionsCurrent ?? 0;
    expect(Math.abs(left - 10)).toBeLessThanOrEqual(1);
    pass(proxy, 20_000);
    expect(server(proxy, 'a')?.connectionsCurrent).toBe(left);
  });

  it('follows a time that is set while it drains', async () => {
    const proxy = await startHeld(20);
    set(proxy, { admin: 'drain' });
    pass(proxy, 5_000);
    set(proxy, { admin: 'drain', drainMs: 1_000 });
    pass(proxy, 1_000);
    expect(server(proxy, 'a')?.connectionsCurrent).toBe(0);
  });

  it('or is removed ends its connections in the same way', async () => {
    const proxy = await startHeld(20, { drainMs });
    proxy.configure({ ...proxy.spec, servers: [await startNamedServer('b')] });
    pass(proxy, 5_000);
    expect(Math.abs((server(proxy, 'a')?.connectionsCurrent ?? 0) - 10)).toBeLessThanOrEqual(1);
    pass(proxy, 5_000);
    expect(server(proxy, 'a')?.connectionsCurrent ?? 0).toBe(0);
  });

  function set(proxy: TestProxy, change: Partial<WorkerServer>): void {
    proxy.configure({ ...proxy.spec, servers: proxy.spec.servers.map((one) => ({ ...one, ...change })) });
  }
});

async function startHeld(count: number, given: Partial<WorkerServer> = {}): Promise<TestProxy> {
  const proxy = await startProxy([{ ...(await startNamedServer('a')), ...given }]);
  const clients = Array.from({ length: count }, () => proxy.connect());
  await Promise.all(clients.map(nextData));
  // So long that nothing has passed over them for a while.
  proxy.clock.advance(1_100);
  return proxy;
}

/** Lets time pass as it does, in small steps. */
function pass(proxy: TestWorker, ms: number): void {
  for (let step = 0; step < ms; step += 50) proxy.clock.advance(50);
}
