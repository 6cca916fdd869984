import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { encodeProxyHeader, openDoor } from '../../../../src/proxy/index.ts';
import type { FrontDoor, WorkerServer, WorkerService } from '../../../../src/proxy/index.ts';
import {
  RealTimeClock,
  deadServer,
  exchange,
  nextError,
  noInactivityLimits,
  startEchoServer,
  startProxy,
  startServer,
  startSilentServer,
  until,
} from './harness.ts';

type LogRecord = Readonly<Record<string, unknown>>;
type Test = Awaited<ReturnType<typeof startLogged>>;

const acceptProxy: FrontDoor['acceptProxy'] = { from: ['127.0.0.0/8'], timeoutMs: 3_000 };
const header = encodeProxyHeader('v2', {
  source: { ip: Uint8Array.of(192, 0, 2, 7), port: 4711 },
  destination: { ip: Uint8Array.of(198, 51, 100, 1), port: 80 },
});

describe('a record', () => {
  it('tells of a connection that was served', async () => {
    const { proxy, records } = await startLogged([await startEchoServer('s1')]);
    const client = proxy.connect();
    await exchange(client, 'hello');
    const { localAddress = '', localPort = 0 } = client;
    client.end();
    await until(() => records().length === 1);
    const [record = {}] = records();
    expect(record).toMatchObject({
      ...{ service: 'web', server: 's1', bytesIn: 5, bytesOut: 5, termination: '--', cause: 'completed', retries: 0 },
      ...{ workerConnections: 1, serviceConnections: 1, serverConnections: 1 },
    });
    expect(String(record['client'])).toBe(`${localAddress}:${localPort}`);
    expect(new Date(String(record['accepted'])).toISOString()).toBe(record['accepted']);
    for (const name of ['waitMs', 'connectMs', 'totalMs']) expect(record[name]).toBeGreaterThanOrEqual(0);
    expect(record['type']).toBe('connection');
  });

  it.each<{
    ending: string;
    servers: () => Promise<WorkerServer[]>;
    service?: Partial<WorkerService>;
    then?: (test: Test & { readonly client: Socket }) => Promise<void>;
    record: LogRecord;
  }>([
    {
      ending: 'no server',
      servers: () => Promise.resolve([]),
      record: { termination: 'SC', cause: 'no-server', bytesIn: 0, retries: 0 },
    },
    {
      ending: 'servers that refuse',
      servers: () => Promise.resolve([deadServer('a'), deadServer('b')]),
      record: { termination: 'SC', cause: 'connect-failed', server: 'b', retries: 2 },
    },
    {
      ending: 'a server that does not answer',
      servers: async () => [await startSilentServer('silent')],
      service: { connectTimeoutMs: 100 },
      record: { termination: 'sC', cause: 'connect-timeout', server: 'silent', retries: 1 },
    },
    {
      ending: 'a client that leaves while it waits',
      servers: async () => [await startSilentServer('silent')],
      then: async ({ proxy, client }) => {
        await until(() => proxy.service().connectionsCurrent === 1);
        client.resetAndDestroy();
      },
      record: { termination: 'CC', cause: 'client-gone', server: 'silent' },
    },
    {
      ending: 'a client that resets',
      servers: async () => [await startEchoServer('s1')],
      then: async ({ client }) => {
        await exchange(client, 'x');
        client.resetAndDestroy();
      },
      record: { termination: 'CD', cause: 'client-reset', server: 's1', bytesIn: 1, bytesOut: 1 },
    },
    {
      ending: 'a server that resets',
      servers: async () => [await startServer('s1', (socket) => socket.once('data', () => socket.resetAndDestroy()))],
      then: ({ client }) => Promise.resolve(void client.write('x')),
      record: { termination: 'SD', cause: 'server-reset', server: 's1', bytesIn: 1, bytesOut: 0 },
    },
    {
      ending: 'a silent client',
      servers: async () => [await startEchoServer('s1')],
      service: { inactivity: { ...noInactivityLimits, clientMs: 100 } },
      record: { termination: 'cD', cause: 'client-timeout', server: 's1' },
    },
    {
      ending: 'a silent server',
      servers: async () => [await startEchoServer('s1')],
      service: { inactivity: { ...noInactivityLimits, serverMs: 100 } },
      record: { termination: 'sD', cause: 'server-timeout', server: 's1' },
    },
    {
      ending: 'a hand-over',
      servers: async () => [await startEchoServer('s1')],
      then: async ({ proxy, client }) => {
        await exchange(client, 'x');
        proxy.worker.handle({ kind: 'reset-connections', services: ['web'] });
      },
      record: { termination: 'KD', cause: 'handed-over', server: 's1' },
    },
  ])('of $ending has its code', async ({ servers, service = {}, then, record }) => {
    const test = await startLogged(await servers(), service);
    const client = test.proxy.connect();
    const ended = nextError(client);
    await then?.({ ...test, client });
    await until(() => test.records().length === 1);
    expect(test.records()[0]).toMatchObject(record);
    if (!client.destroyed) await ended;
    const { ended: counted } = test.proxy.service();
    expect(Object.entries(counted).filter(([, count]) => count > 0)).toEqual([[record['cause'], 1]]);
  });

  it.each<{ name: string; frontDoor: Partial<FrontDoor>; sent?: Uint8Array; record: LogRecord }>([
    {
      name: 'is denied',
      frontDoor: { deny: ['127.0.0.0/8'] },
      record: { termination: 'PR', cause: 'denied', bytesIn: 0, bytesOut: 0, workerConnections: 0 },
    },
    {
      name: 'says nothing',
      frontDoor: { acceptProxy: { from: ['127.0.0.0/8'], timeoutMs: 100 } },
      record: { termination: 'cR', cause: 'proxy-timeout' },
    },
    {
      name: 'is denied by the address that a proxy has given',
      frontDoor: { acceptProxy, deny: ['192.0.2.0/24'] },
      sent: header,
      record: { termination: 'PR', cause: 'denied', client: '192.0.2.7:4711' },
    },
  ])('tells of a client that was refused at the door: $name', async ({ frontDoor, sent, record }) => {
    const { proxy, records } = await startLogged([], { frontDoor: { ...openDoor, ...frontDoor } });
    const client = proxy.connect();
    if (sent !== undefined) client.write(sent);
    await nextError(client);
    await until(() => records().length === 1);
    expect(records()).toMatchObject([{ service: 'web', ...record }]);
    expect(proxy.service().connectionsTotal).toBe(0);
  });

  it('names the client that a proxy has named', async () => {
    const { proxy, records } = await startLogged([await startEchoServer('s1')], {
      frontDoor: { ...openDoor, acceptProxy },
    });
    proxy.connect().end(header);
    await until(() => records().length === 1);
    expect(records()).toMatchObject([{ client: '192.0.2.7:4711', cause: 'completed', bytesIn: 0 }]);
  });

  it('is written for connections that are ended by stopping, before the worker has stopped', async () => {
    const { proxy, records } = await startLogged([await startEchoServer()]);
    const client = proxy.connect();
    await exchange(client, 'x');
    await proxy.worker.stop();
    expect(records()).toMatchObject([{ termination: 'KD', cause: 'stopped' }]);
  });

  it('is not written without an access log', async () => {
    const { proxy, path, records } = await startLogged([await startEchoServer()]);
    proxy.worker.handle({ kind: 'configure', revision: 2, services: [proxy.spec] });
    const client = proxy.connect();
    client.end('x');
    await until(() => proxy.service().ended.completed === 1);
    expect(existsSync(path) ? records() : []).toEqual([]);
  });
});

describe('an access log that takes nothing', () => {
  it('holds up no connection; what is lost is counted', async () => {
    const path = join(scratch(), 'fifo');
    execFileSync('mkfifo', [path]);
    const proxy = await startProxy([], { clock: new RealTimeClock() });
    proxy.worker.handle({ kind: 'configure', revision: 2, services: [proxy.spec], accessLog: { file: path } });
    for (let round = 0; round < 50; round++) {
      await Promise.all(Array.from({ length: 100 }, () => nextError(proxy.connect())));
    }
    expect(proxy.service().ended['no-server']).toBe(5000);
    const { accessRecordsDropped, accessLogTrouble } = proxy.counters();
    expect(accessLogTrouble).toBe('ENXIO');
    // 1 MiB holds some thousands.
    expect(accessRecordsDropped).toBeGreaterThan(100);
    expect(accessRecordsDropped).toBeLessThan(4000);
  });
});

async function startLogged(servers: readonly WorkerServer[], service: Partial<WorkerService> = {}) {
  const path = join(scratch(), 'access.log');
  const proxy = await startProxy(servers, { clock: new RealTimeClock(), service });
  proxy.worker.handle({ kind: 'configure', revision: 2, services: [proxy.spec], accessLog: { file: path } });
  const records = (): LogRecord[] =>
    existsSync(path)
      ? readFileSync(path, 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as LogRecord)
      : [];
  return { proxy, path, records };
}

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-access-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
