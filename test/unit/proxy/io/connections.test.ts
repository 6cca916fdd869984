import { describe, expect, it } from 'vitest';
import {
  nextData,
  server,
  startEchoServer,
  startNamedServer,
  startProxy,
  startTwoServers,
  startSilentServer,
  until,
} from './harness.ts';

describe('a server that goes down', () => {
  it('keeps its connections', async () => {
    const a = await startEchoServer('a');
    const proxy = await startProxy([a]);
    const client = proxy.connect();
    client.write('1');
    await nextData(client);
    proxy.configure({ ...proxy.spec, servers: [{ ...a, health: 'down' }] });
    client.write('2');
    expect(await nextData(client)).toBe('2');
  });

  it('loses them, counted, where that is wanted, and no other server does', async () => {
    const [a, b] = await startTwoServers();
    const proxy = await startProxy([a, b], { service: { onMarkedDown: 'shutdownSessions' } });
    const clients = [proxy.connect(), proxy.connect(), proxy.connect(), proxy.connect()];
    const servers = await Promise.all(clients.map(nextData));
    const errors: string[] = [];
    for (const [index, client] of clients.entries()) client.on('error', () => errors.push(servers[index] ?? ''));
    proxy.configure({ ...proxy.spec, servers: [{ ...a, health: 'down' }, b] });
    await until(() => errors.length === 2);
    expect(errors).toEqual(['a', 'a']);
    expect(server(proxy, 'a')).toMatchObject({ shutdowns: 2, connectionsCurrent: 0 });
    expect(server(proxy, 'b')).toMatchObject({ shutdowns: 0, connectionsCurrent: 2 });
  });

  it('loses those that are still being connected to another server', async () => {
    const [silent, b] = [await startSilentServer('a'), await startNamedServer('b')];
    const proxy = await startProxy([silent, b], { service: { onMarkedDown: 'shutdownSessions' } });
    const client = proxy.connect();
    await until(() => server(proxy, 'a')?.connectionsCurrent === 1);
    proxy.configure({ ...proxy.spec, servers: [{ ...silent, health: 'down' }, b] });
    expect(await nextData(client)).toBe('b');
  });
});

describe('a server that was removed', () => {
  it('loses its connections, for a cause of its own, when an operator wants that', async () => {
    const [a, b] = await startTwoServers();
    const proxy = await startProxy([a, b]);
    const clients = [proxy.connect(), proxy.connect()];
    const servers = await Promise.all(clients.map(nextData));
    const errors: string[] = [];
    for (const [index, client] of clients.entries()) client.on('error', () => errors.push(servers[index] ?? ''));
    proxy.configure({ ...proxy.spec, servers: [b] });
    proxy.worker.handle({ kind: 'close-server-connections', service: proxy.spec.name, server: 'a' });
    await until(() => errors.length > 0);
    expect(errors).toEqual(['a']);
    expect(proxy.counters().services[0]?.ended).toMatchObject({ 'server-removed': 1, stopped: 0 });
    expect(server(proxy, 'b')?.connectionsCurrent).toBe(1);
  });
});
