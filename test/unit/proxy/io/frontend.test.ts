/** Who is admitted, with real sockets: by address, by source, and as many as a service may have. */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SharedCounts, createSharedMemory } from '../../../../src/proxy/io/index.ts';
import { openDoor } from '../../../../src/proxy/index.ts';
import type { FrontDoor, WorkerService } from '../../../../src/proxy/index.ts';
import {
  connectTo,
  native,
  nextData,
  nextError,
  ownAddress,
  serviceSpec,
  startNamedServer,
  startProxy,
  startWorker,
  until,
} from './harness.ts';
import type { TestWorker } from './harness.ts';

const lastOctet = Number(ownAddress.split('.').at(-1));
/** Where clients of loopback come from unless told otherwise, and other addresses to come from. */
const clientAddress = '127.0.0.1';
const sources = [2, 3, 4, 5, 6, 7, 8, 9].map((last) => ownAddress.replace(/\d+$/, String(lastOctet + last)));
const [otherSource = ''] = sources;

describe('admission', () => {
  it('closes with RST who is denied or not among those allowed', async () => {
    const server = await startNamedServer('s1');
    const proxy = await startProxy([server], { service: { frontDoor: door({ allow: [`${clientAddress}/32`] }) } });
    expect(await nextError(proxy.connect({ localAddress: otherSource }))).toBe('ECONNRESET');
    expect(await nextData(proxy.connect())).toBe('s1');
    const { connectionsTotal, connectionsCurrent, ended, refused } = proxy.service();
    expect({ connectionsTotal, refused }).toMatchObject({ connectionsTotal: 1, refused: { denied: 1 } });
    const endedTotal = Object.values(ended).reduce((a, b) => a + b);
    expect(connectionsCurrent + endedTotal).toBe(connectionsTotal);
  });

  it('does not take a place from others for who is denied', async () => {
    const proxy = await startProxy([await startNamedServer('s1')], {
      service: { frontDoor: door({ connectionsMax: 1, deny: [`${otherSource}/32`] }) },
    });
    await nextData(proxy.connect());
    expect(await nextError(proxy.connect({ localAddress: otherSource }))).toBe('ECONNRESET');
    expect(proxy.service().refused).toMatchObject({ denied: 1 });
    expect(proxy.service().refused.maxconn).toBeUndefined();
  });

  it('lets a source have its connections at once, whose end makes room', async () => {
    const perSource = { connectionsMax: 1, rate: undefined, ipv6PrefixLength: 64 };
    const proxy = await startProxy([await startNamedServer('s1')], { service: { frontDoor: door({ perSource }) } });
    const first = proxy.connect();
    await nextData(first);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(await nextData(proxy.connect({ localAddress: otherSource }))).toBe('s1');
    first.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 1);
    expect(await nextData(proxy.connect())).toBe('s1');
    expect(proxy.service().refused).toMatchObject({ 'source-connections': 1 });
  });

  it('counts a source on through a change of the configuration', async () => {
    const perSource = { connectionsMax: 1, rate: undefined, ipv6PrefixLength: 64 };
    const proxy = await startProxy([await startNamedServer('s1')], { service: { frontDoor: door({ perSource }) } });
    const first = proxy.connect();
    await nextData(first);
    proxy.configure({ ...proxy.spec, frontDoor: door({ perSource, deny: ['192.0.2.0/24'] }) });
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    first.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 0);
    expect(await nextData(proxy.connect())).toBe('s1');
  });

  it('lets a source open so many in a period', async () => {
    const perSource = { connectionsMax: undefined, rate: { connections: 2, periodMs: 10_000 }, ipv6PrefixLength: 64 };
    const proxy = await startProxy([await startNamedServer('s1')], { service: { frontDoor: door({ perSource }) } });
    for (let i = 0; i < 2; i++) expect(await nextData(proxy.connect())).toBe('s1');
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    proxy.clock.advance(5_000);
    expect(await nextData(proxy.connect())).toBe('s1');
    expect(proxy.service().refused).toMatchObject({ 'source-rate': 1 });
  });

  it('lets a service have its clients at once', async () => {
    const proxy = await startProxy([await startNamedServer('s1')], {
      service: { frontDoor: door({ connectionsMax: 2 }) },
    });
    const [first] = [proxy.connect(), proxy.connect()];
    await until(() => proxy.service().connectionsCurrent === 2);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    first.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 1);
    expect(await nextData(proxy.connect())).toBe('s1');
    expect(proxy.service().refused).toMatchObject({ maxconn: 1 });
  });
});

describe('two workers of a service with maxconn', () => {
  it('have so many clients together, and lose none of the places that the other one gives back', async () => {
    const limit = 5;
    const memory = createSharedMemory(native, 2);
    onTestFinished(() => closeSync(memory.fd));
    const counts = new SharedCounts(native, memory);
    const server = await startNamedServer('s1');
    const group = await Promise.all(
      [0, 1].map((worker) =>
        startProxy([server], {
          peers: { counts, worker, bells: [] },
          service: { frontDoor: door({ connectionsMax: limit, slot: 1, workers: 2 }) },
        }),
      ),
    );
    const served = async (): Promise<readonly Socket[]> => {
      const sockets = Array.from({ length: 20 }, (_, index) => group[index % 2]?.connect()).filter(
        (one) => one !== undefined,
      );
      const ends = await Promise.all(sockets.map((socket) => Promise.race([nextData(socket), nextError(socket)])));
      return sockets.filter((_, index) => ends[index] === 's1');
    };
    const first = await served();
    expect(first).toHaveLength(limit);
    expect(counts.slot(1, 0).held).toBe(limit);
    for (const socket of first) socket.resetAndDestroy();
    await until(() => counts.slot(1, 0).held === 0);
    expect(await served()).toHaveLength(limit);
    const refused = group.map((proxy) => proxy.service().refused.maxconn ?? 0);
    expect(refused.reduce((a, b) => a + b)).toBe(40 - 2 * limit);
  });

  it('count those as well who came before there was a limit', async () => {
    const proxy = await startProxy([await startNamedServer('s1')]);
    await nextData(proxy.connect());
    proxy.configure({ ...proxy.spec, frontDoor: door({ connectionsMax: 1 }) });
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service()).toMatchObject({ connectionsTotal: 1, connectionsCurrent: 1, refused: { maxconn: 1 } });
  });
});

describe('two workers with limits for each source', () => {
  const perSource = { connectionsMax: 3, rate: undefined, ipv6PrefixLength: 64 };

  it.each([
    ['IPv4', ownAddress, sources],
    ['IPv6', '::1', ['::1']],
  ])('get all connections of a source in one of them: %s', async (_family, address, from) => {
    const { workers, port } = await startTwo(address, door({ perSource, workers: 2 }));
    for (const localAddress of from) {
      const sockets = Array.from({ length: 12 }, () => connectTo(address, port, { localAddress }));
      const ends = await Promise.all(sockets.map((socket) => Promise.race([nextData(socket), nextError(socket)])));
      expect(ends.filter((end) => end === 's1')).toHaveLength(3);
      expect(ends.filter((end) => end === 'ECONNRESET')).toHaveLength(9);
    }
    const totals = workers.map((worker) => worker.service().connectionsTotal);
    expect(totals.reduce((a, b) => a + b)).toBe(3 * from.length);
    expect(totals.every((total) => total % 3 === 0)).toBe(true);
    // Eight neighbours in the network are shared out, if not evenly.
    if (from.length > 1) expect(Math.min(...totals)).toBeGreaterThan(0);
  });

  it('serve all sources while one of them is down, and limit them exactly when another one has come', async () => {
    const { workers, spec, port } = await startTwo(ownAddress, door({ perSource, workers: 2 }));
    await workers[0]?.worker.stop();
    const clients = sources.map((localAddress) => connectTo(ownAddress, port, { localAddress }));
    expect(new Set(await Promise.all(clients.map(nextData)))).toEqual(new Set(['s1']));
    for (const socket of clients) socket.resetAndDestroy();
    await until(() => workers[1]?.service().connectionsCurrent === 0);
    const third = await startWorker();
    third.configure(spec);
    for (const localAddress of sources) {
      const sockets = Array.from({ length: 6 }, () => connectTo(ownAddress, port, { localAddress }));
      const ends = await Promise.all(sockets.map((socket) => Promise.race([nextData(socket), nextError(socket)])));
      expect(ends.filter((one) => one === 's1')).toHaveLength(3);
    }
    expect(third.service().connectionsTotal).toBeGreaterThan(0);
  });

  it('share connections as the kernel likes once no source is limited any more', async () => {
    const { workers, spec, port } = await startTwo(ownAddress, door({ perSource, workers: 2 }));
    for (const worker of workers) worker.configure({ ...spec, frontDoor: door({ workers: 2 }) });
    for (let i = 0; i < 64; i++) await nextData(connectTo(ownAddress, port));
    expect(Math.min(...workers.map((worker) => worker.service().connectionsTotal))).toBeGreaterThan(0);
  });
});

async function startTwo(
  address: string,
  frontDoor: FrontDoor,
): Promise<{ workers: readonly TestWorker[]; spec: WorkerService; port: number }> {
  const server = await startNamedServer('s1');
  const spec = serviceSpec({ address, servers: [server], frontDoor });
  const workers = [await startWorker(), await startWorker()];
  for (const worker of workers) expect(worker.configure(spec).failures).toEqual([]);
  return { workers, spec, port: spec.port };
}

function door(given: Partial<FrontDoor>): FrontDoor {
  return { ...openDoor, ...given };
}
