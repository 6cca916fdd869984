import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  connectTo,
  freePort,
  listening,
  nextData,
  nextError,
  serviceSpec,
  startEchoServer,
  startNamedServer,
  startProxy,
  startTwoServers,
  startWorker,
  until,
} from './harness.ts';

describe('the services of a worker', () => {
  it('opens an address that is not this host’s', async () => {
    const test = await startWorker();
    expect(test.configure(serviceSpec({ address: '192.0.2.1' })).failures).toEqual([]);
    expect(test.configure(serviceSpec({ address: '2001:db8::1' })).failures).toEqual([]);
  });

  it('names service and errno of a port that is taken, opens the others, and tries again later', async () => {
    const taken = createServer();
    const port = freePort();
    await listening(taken, port);
    const server = await startNamedServer('s1');
    const test = await startWorker();
    const services = [
      serviceSpec({ name: 'taken', port, servers: [server] }),
      serviceSpec({ name: 'free', servers: [server] }),
    ] as const;
    expect(test.configure(...services).failures).toEqual([{ service: 'taken', error: 'EADDRINUSE' }]);
    expect(await nextData(connectTo(services[1].address, services[1].port))).toBe('s1');
    taken.close();
    await once(taken, 'close');
    expect(test.configure(...services).failures).toEqual([]);
    expect(await nextData(connectTo(services[0].address, port))).toBe('s1');
  });
});

describe('configuring', () => {
  it('closes the listener of a service that is gone; its connections go on', async () => {
    const proxy = await startProxy([await startEchoServer()]);
    const client = await echoing(proxy.connect());
    proxy.configure();
    expect(await nextError(proxy.connect())).toBe('ECONNREFUSED');
    await echoing(client);
    expect(proxy.service().connectionsCurrent).toBe(1);
    client.resetAndDestroy();
    await until(() => proxy.counters().services.length === 0);
  });

  it('gives a port from one service to another in one step', async () => {
    const [a, b] = await startTwoServers();
    const proxy = await startProxy([a]);
    const { port } = proxy.spec;
    const moved = { ...proxy.spec, port: freePort() };
    expect(proxy.configure(serviceSpec({ name: 'other', port, servers: [b] }), moved).failures).toEqual([]);
    expect(await nextData(connectTo(moved.address, port))).toBe('b');
    expect(await nextData(connectTo(moved.address, moved.port))).toBe('a');
  });

  it('closes nothing as long as something cannot be opened', async () => {
    const taken = createServer();
    const takenPort = freePort();
    await listening(taken, takenPort);
    const proxy = await startProxy([await startNamedServer('a')]);
    const { port } = proxy.spec;
    const moved = { ...proxy.spec, port: freePort() };
    const wanted = [moved, serviceSpec({ name: 'taken', port: takenPort })];
    expect(proxy.configure(...wanted).failures).toEqual([{ service: 'taken', error: 'EADDRINUSE' }]);
    const client = connectTo(moved.address, port);
    expect(await nextData(client)).toBe('a');
    expect(await nextError(connectTo(moved.address, moved.port))).toBe('ECONNREFUSED');
    client.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 0);
    // What was wanted last is gone as well, and yet its listener has clients.
    expect(proxy.configure(serviceSpec({ name: 'taken', port: takenPort })).failures).toHaveLength(1);
    expect(await nextData(connectTo(moved.address, port))).toBe('a');
    taken.close();
    await once(taken, 'close');
    expect(proxy.configure(...wanted).failures).toEqual([]);
    expect(await nextData(connectTo(moved.address, moved.port))).toBe('a');
    expect(await nextError(connectTo(moved.address, port))).toBe('ECONNREFUSED');
  });

  it('uses changed servers for the next connection and leaves those of a removed one alone', async () => {
    const [a, b] = [await startEchoServer('a'), await startEchoServer('b')];
    const proxy = await startProxy([a]);
    const client = await echoing(proxy.connect());
    proxy.configure({ ...proxy.spec, servers: [b] });
    await echoing(proxy.connect());
    await echoing(client);
    expect(proxy.service().servers.map(({ server, connectionsCurrent }) => [server, connectionsCurrent])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  it('keeps counting where it was when a service comes back', async () => {
    const proxy = await startProxy([await startEchoServer()]);
    await echoing(proxy.connect());
    proxy.configure();
    proxy.configure(proxy.spec);
    await echoing(proxy.connect());
    expect(proxy.service()).toMatchObject({ connectionsTotal: 2, connectionsCurrent: 2 });
  });
});

async function echoing(client: ReturnType<typeof connectTo>): Promise<ReturnType<typeof connectTo>> {
  client.write('ping');
  expect(await nextData(client)).toBe('ping');
  return client;
}
