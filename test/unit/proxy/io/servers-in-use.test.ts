import { describe, expect, it } from 'vitest';
import { deadServer, nextData, nextError, startNamedServer, startProxy, startTwoServers, until } from './harness.ts';
import type { TestProxy } from './harness.ts';

describe('a backup server', () => {
  it('gets connections only when no other server is eligible, and none when one is again', async () => {
    const [a, b] = await startTwoServers();
    const proxy = await startProxy([{ ...b, backup: true }, a]);
    expect(await names(proxy, 4)).toEqual(['a', 'a', 'a', 'a']);
    proxy.configure({
      ...proxy.spec,
      servers: [
        { ...b, backup: true },
        { ...a, admin: 'drain' },
      ],
    });
    expect(await names(proxy, 2)).toEqual(['b', 'b']);
    proxy.configure(proxy.spec);
    expect(await names(proxy, 2)).toEqual(['a', 'a']);
  });

  it('does not help out when the others are full: clients wait', async () => {
    const [a, b] = await startTwoServers();
    const queue = { length: 10, timeoutMs: 4_000, slot: undefined };
    const proxy = await startProxy(
      [
        { ...a, maxconn: 1 },
        { ...b, backup: true },
      ],
      { service: { queue } },
    );
    await nextData(proxy.connect());
    proxy.connect();
    await until(() => proxy.service().queued === 1);
  });

  it('does not take over single connections that others have refused, as long as those count as up', async () => {
    const b = await startNamedServer('b');
    const proxy = await startProxy([deadServer('a'), { ...b, backup: true }]);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service().refused['connect-failed']).toBe(1);
  });

  it('is the first one alone, or all of them where that is asked for', async () => {
    const servers = (await Promise.all(['b', 'c'].map(startNamedServer))).map((one) => ({ ...one, backup: true }));
    const proxy = await startProxy([{ ...deadServer('a'), health: 'down' }, ...servers]);
    expect(await names(proxy, 4)).toEqual(['b', 'b', 'b', 'b']);
    proxy.configure({ ...proxy.spec, allBackups: true });
    expect((await names(proxy, 4)).sort()).toEqual(['b', 'b', 'c', 'c']);
  });
});

describe('slow start', () => {
  const slow = { slowStartMs: 10_000, balance: 'roundrobin' } as const;

  it('gives a server that has come up a tenth of its share, more with time, and then all of it', async () => {
    const [a, b] = await startTwoServers();
    const proxy = await startProxy([a, { ...b, health: 'down' }], { service: slow });
    proxy.configure({ ...proxy.spec, servers: [a, b] });
    expect(await share(proxy, 'b', 22)).toBe(2);
    proxy.clock.advance(10_000);
    expect(await share(proxy, 'b', 22)).toBe(11);
  });

  it('is for servers that are set ready again, and for those that are added', async () => {
    const [a, b] = await startTwoServers();
    const proxy = await startProxy([a, { ...b, admin: 'maint' }], { service: slow });
    proxy.configure({ ...proxy.spec, servers: [a, b] });
    expect(await share(proxy, 'b', 11)).toBe(1);
    proxy.configure({ ...proxy.spec, servers: [b, await startNamedServer('c')] });
    proxy.clock.advance(20_000);
    proxy.configure({ ...proxy.spec, servers: [a, b] });
    expect(await share(proxy, 'a', 11)).toBe(1);
  });

  it('is not for servers that are there when the worker starts', async () => {
    const proxy = await startProxy(await startTwoServers(), { service: slow });
    expect(await share(proxy, 'b', 10)).toBe(5);
  });

  it.each(['source', 'maglev'] as const)('(%s) moves no source to and fro', async (balance) => {
    const servers = [await startNamedServer('a'), await startNamedServer('b'), await startNamedServer('c')];
    const proxy = await startProxy(servers, { service: { ...slow, balance } });
    const before = await byHash(proxy);
    proxy.configure({
      ...proxy.spec,
      servers: servers.map((one) => (one.name === 'b' ? { ...one, health: 'down' } : one)),
    });
    proxy.configure(proxy.spec);
    expect(await byHash(proxy)).toEqual(before);
  });
});

async function names(proxy: TestProxy, count: number): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < count; i++) answers.push(await nextData(proxy.connect()));
  return answers;
}

async function share(proxy: TestProxy, name: string, count: number): Promise<number> {
  return (await names(proxy, count)).filter((one) => one === name).length;
}

/** Who serves each of some sources. */
async function byHash(proxy: TestProxy): Promise<readonly string[]> {
  const answers: string[] = [];
  for (let i = 1; i <= 20; i++) answers.push(await nextData(proxy.connect({ localAddress: `127.0.7.${i}` })));
  return answers;
}
