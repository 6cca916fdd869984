import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import {
  connectTo,
  last,
  nextData,
  nextError,
  serviceSpec,
  startEchoServer,
  startNamedServer,
  startProxy,
  turn,
  until,
} from './harness.ts';
import type { TestWorker } from './harness.ts';
import { startWorkerProcess } from './processes.ts';

describe('listening', () => {
  it('leaves clients waiting while the worker is full, and takes them when there is room', async () => {
    const proxy = await startProxy([await startNamedServer('s1')], { options: { connectionsMax: 2 } });
    const first = proxy.connect();
    await nextData(first);
    await nextData(proxy.connect());
    const third = proxy.connect();
    await once(third, 'connect');
    for (let i = 0; i < 20; i++) await turn();
    expect(proxy.service().connectionsTotal).toBe(2);
    expect(proxy.counters().isFull).toBe(true);
    first.resetAndDestroy();
    expect(await nextData(third)).toBe('s1');
    expect(proxy.counters().connectionLimitHits).toBeGreaterThan(0);
  });

  it('relays IPv6', async () => {
    const server = await startEchoServer();
    const proxy = await startProxy([server], { service: { address: '::1' } });
    const client = proxy.connect();
    client.write('six');
    expect(await nextData(client)).toBe('six');
  });
});

describe('ending', () => {
  it('by draining refuses new clients, lets the others finish, and says when the last has', async () => {
    const proxy = await startProxy([await startEchoServer()]);
    const client = await echoing(proxy.connect());
    proxy.worker.handle({ kind: 'drain' });
    expect(await nextError(proxy.connect())).toBe('ECONNREFUSED');
    await echoing(client);
    expect(kinds(proxy)).not.toContain('drained');
    client.end();
    await until(() => kinds(proxy).includes('drained'));
  });

  it('by draining is over at once where there is no connection', async () => {
    const proxy = await startProxy([]);
    proxy.worker.handle({ kind: 'drain' });
    expect(kinds(proxy)).toContain('drained');
  });

  it('by stopping resets what there is', async () => {
    const proxy = await startProxy([await startEchoServer()]);
    const client = await echoing(proxy.connect());
    proxy.worker.handle({ kind: 'stop' });
    expect(await nextError(client)).toBe('ECONNRESET');
    expect(kinds(proxy)).toContain('stopped');
    expect(proxy.counters().services.flatMap((service) => service.connectionsCurrent)).toEqual([0]);
  });

  it('by stopping is for good: settings that were on their way open nothing', async () => {
    const proxy = await startProxy([await startEchoServer()]);
    proxy.worker.handle({ kind: 'stop' });
    proxy.worker.handle({ kind: 'configure', revision: 9, services: [proxy.spec] });
    expect(await nextError(proxy.connect())).toBe('ECONNREFUSED');
    expect(proxy.reports).not.toContainEqual(expect.objectContaining({ revision: 9 }));
  });
});

describe('running out of descriptors', () => {
  it('makes clients wait, loses no connection that is open, and is over when there are descriptors again', async () => {
    const server = await startEchoServer();
    const spec = serviceSpec({ servers: [server] });
    // A worker that may have 64 descriptors.
    const child = await startWorkerProcess(spec, 64);
    const clients = Array.from({ length: 60 }, () => connectTo(spec.address, spec.port));
    const served = new Set<(typeof clients)[number]>();
    for (const client of clients) {
      client.on('data', () => served.add(client));
      client.write('x');
    }
    await until(() => last(child.reports, 'counters').counters.acceptPauses > 0);
    await until(() => served.size > 0);
    const open = [...served];
    for (const client of open) await echoing(client);
    expect(open.length).toBeLessThan(60);
    for (const client of clients) client.resetAndDestroy();
    await until(() => last(child.reports, 'counters').counters.services[0]?.connectionsCurrent === 0);
    await echoing(connectTo(spec.address, spec.port));
  });
});

async function echoing(client: ReturnType<typeof connectTo>): Promise<ReturnType<typeof connectTo>> {
  client.write('ping');
  expect(await nextData(client)).toBe('ping');
  return client;
}

function kinds(test: TestWorker): readonly string[] {
  return test.reports.map((report) => report.kind);
}
