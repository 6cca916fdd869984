/** What a worker tells of servers whose connections fail. */
import { describe, expect, it } from 'vitest';
import type { ServerFailures, WorkerService } from '../../../../src/proxy/index.ts';
import {
  deadServer,
  nextData,
  nextError,
  startNamedServer,
  startProxy,
  startServer,
  startSilentServer,
  until,
} from './harness.ts';
import type { TestWorker } from './harness.ts';

const watched: Partial<WorkerService> = { watchFailures: true, retries: 0 };

describe('failures in a row', () => {
  it('are connects that are refused', async () => {
    const proxy = await startProxy([deadServer('a')], { service: watched });
    await nextError(proxy.connect());
    await nextError(proxy.connect());
    expect(news(proxy)).toEqual([{ service: 'web', server: 'a', failures: 2, reason: 'ECONNREFUSED' }]);
  });

  it('are connects that take too long', async () => {
    const proxy = await startProxy([await startSilentServer('a')], { service: watched });
    const ended = nextError(proxy.connect());
    await until(() => proxy.service().servers[0]?.connectionsCurrent === 1);
    expect(news(proxy, 5_100)).toMatchObject([{ failures: 1, reason: 'connect timeout' }]);
    await ended;
  });

  it('are resets by the server before its first byte, and not those after it', async () => {
    const resetting = await startServer('a', (socket) => socket.resetAndDestroy());
    const proxy = await startProxy([resetting], { service: watched });
    await nextError(proxy.connect());
    expect(news(proxy)).toMatchObject([{ failures: 1, reason: 'reset' }]);

    const late = await startServer('b', (socket) => {
      socket.write('hello');
      socket.once('data', () => socket.resetAndDestroy());
    });
    const other = await startProxy([late], { service: watched });
    const client = other.connect();
    await nextData(client);
    client.write('x');
    await nextError(client);
    await until(() => other.service().ended['server-reset'] === 1);
    expect(news(other)).toEqual([]);
  });

  it('are not what the client breaks off, nor an orderly end', async () => {
    const closing = await startServer('a', (socket) => socket.end());
    const proxy = await startProxy([closing], { service: watched });
    const client = proxy.connect();
    expect(await nextError(client)).toBe('end');
    client.end();
    const gone = proxy.connect();
    gone.once('connect', () => gone.resetAndDestroy());
    await until(() => proxy.service().connectionsTotal === 2 && proxy.service().connectionsCurrent === 0);
    expect(news(proxy)).toEqual([]);
  });

  it('are not for what this node lacks: an address to leave from', async () => {
    const server = await startNamedServer('a');
    const proxy = await startProxy([server], { service: { ...watched, source: '192.0.2.1' } });
    await nextError(proxy.connect());
    expect(proxy.service().servers[0]?.connectFailures).toBe(1);
    expect(news(proxy)).toEqual([]);
  });

  it('end with a first byte, which is told once', async () => {
    const server = await startNamedServer('a');
    const proxy = await startProxy([{ ...server, port: deadServer('a').port }], { service: watched });
    await nextError(proxy.connect());
    expect(news(proxy)).toMatchObject([{ failures: 1 }]);
    proxy.configure({ ...proxy.spec, servers: [server] });
    await nextData(proxy.connect());
    expect(news(proxy)).toMatchObject([{ server: 'a', failures: 0 }]);
    await nextData(proxy.connect());
    expect(news(proxy)).toEqual([]);
  });

  it('begin anew when the server was out', async () => {
    const server = deadServer('a');
    const proxy = await startProxy([server], { service: watched });
    await nextError(proxy.connect());
    news(proxy);
    proxy.configure({ ...proxy.spec, servers: [{ ...server, isEjected: true }] });
    proxy.configure({ ...proxy.spec, servers: [server] });
    await nextError(proxy.connect());
    expect(news(proxy)).toMatchObject([{ failures: 1 }]);
  });

  it("are nobody's business where nobody asked", async () => {
    const proxy = await startProxy([deadServer('a')], { service: { retries: 0 } });
    await nextError(proxy.connect());
    expect(news(proxy)).toEqual([]);
  });
});

/** What the worker says at its next sweeps. */
function news({ clock, reports }: TestWorker, afterMs = 100): readonly ServerFailures[] {
  const before = reports.length;
  clock.advance(afterMs);
  return reports.slice(before).flatMap((report) => (report.kind === 'server-failures' ? report.servers : []));
}
