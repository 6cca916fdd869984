import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { WorkerServer, WorkerService } from '../../../../src/proxy/index.ts';
import { SharedCounts, createSharedMemory } from '../../../../src/proxy/io/index.ts';
import { seededRandom } from '../../../../src/runtime/index.ts';
import {
  connectTo,
  deadServer,
  last,
  native,
  nextData,
  nextError,
  serviceSpec,
  startNamedServer,
  startProxy,
  startWorker,
  turn,
  until,
} from './harness.ts';
import type { TestWorker } from './harness.ts';

const queue = { length: 10, timeoutMs: 4_000, slot: undefined };
const queueSlot = 1;
const serverSlot = 2;

describe('a server that is full', () => {
  it('gets no more connections; clients wait and are served in the order in which they came', async () => {
    const proxy = await startProxy([limited(await startNamedServer('a'), 1)], { service: { queue } });
    const first = proxy.connect();
    await nextData(first);
    const [second, third] = [await waiting(proxy, 1), await waiting(proxy, 2)];
    const served: string[] = [];
    second.on('data', () => served.push('second'));
    third.on('data', () => served.push('third'));
    await turns();
    expect(served).toEqual([]);
    expect(proxy.service().servers[0]?.connectionsCurrent).toBe(1);
    first.resetAndDestroy();
    await until(() => served.length === 1);
    await turns();
    expect(served).toEqual(['second']);
    second.resetAndDestroy();
    await until(() => served.length === 2);
    expect(served).toEqual(['second', 'third']);
    expect(proxy.service()).toMatchObject({ queued: 0, queuedMax: 2, connectionsTotal: 3, redispatches: 0 });
  });

  it('is passed over as long as another one has room', async () => {
    const servers = [limited(await startNamedServer('a'), 1), await startNamedServer('b')];
    const proxy = await startProxy(servers, { service: { queue } });
    const names = [];
    for (let i = 0; i < 4; i++) names.push(await nextData(proxy.connect()));
    expect(names.sort()).toEqual(['a', 'b', 'b', 'b']);
    expect(proxy.service().queuedMax).toBe(0);
  });

  it('gives back the place of a connect that fails', async () => {
    const proxy = await startProxy([limited(deadServer('a'), 1)], { service: { queue } });
    for (let i = 0; i < 3; i++) expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service().refused).toMatchObject({ 'connect-failed': 3, 'queue-full': 0, 'queue-timeout': 0 });
  });

  it('takes in those who wait when its limit is raised, and when another server comes up', async () => {
    const [a, b] = [limited(await startNamedServer('a'), 1), limited(await startNamedServer('b'), 1)];
    const proxy = await startProxy([a, { ...b, health: 'down' }], { service: { queue } });
    await nextData(proxy.connect());
    const [second, third] = [nextData(await waiting(proxy, 1)), nextData(await waiting(proxy, 2))];
    proxy.configure({
      ...proxy.spec,
      servers: [
        { ...a, maxconn: 2 },
        { ...b, health: 'down' },
      ],
    });
    expect(await second).toBe('a');
    proxy.configure({ ...proxy.spec, servers: [{ ...a, maxconn: 2 }, b] });
    expect(await third).toBe('b');
  });

  it('keeps its connections when its limit becomes lower than what it has', async () => {
    const a = await startNamedServer('a');
    const proxy = await startProxy([limited(a, 2)], { service: { queue } });
    const clients = [proxy.connect(), proxy.connect()];
    await Promise.all(clients.map(nextData));
    proxy.configure({ ...proxy.spec, servers: [limited(a, 1)] });
    const third = nextData(await waiting(proxy, 1));
    clients[0]?.resetAndDestroy();
    await until(() => proxy.service().connectionsCurrent === 2);
    expect(proxy.service().queued).toBe(1);
    clients[1]?.resetAndDestroy();
    expect(await third).toBe('a');
  });
});

describe('the queue', () => {
  it('refuses a client for which it has no room, at once and counted', async () => {
    const server = limited(await startNamedServer('a'), 1);
    const proxy = await startProxy([server], { service: { queue: { ...queue, length: 1 } } });
    await nextData(proxy.connect());
    await waiting(proxy, 1);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service()).toMatchObject({
      queued: 1,
      refused: { 'queue-full': 1, 'queue-timeout': 0, 'no-server': 0 },
    });
  });

  it('refuses a client that has waited for too long, and not before', async () => {
    const proxy = await startProxy([limited(await startNamedServer('a'), 1)], { service: { queue } });
    await nextData(proxy.connect());
    const second = await waiting(proxy, 1);
    proxy.clock.advance(3_900);
    expect(proxy.service()).toMatchObject({ queued: 1, refused: { 'queue-timeout': 0 } });
    const error = nextError(second);
    proxy.clock.advance(200);
    expect(await error).toBe('ECONNRESET');
    expect(proxy.service()).toMatchObject({ queued: 0, refused: { 'queue-timeout': 1, 'queue-full': 0 } });
  });

  it('is left by a client that goes away, whose turn then is the next one’s', async () => {
    const proxy = await startProxy([limited(await startNamedServer('a'), 1)], { service: { queue } });
    const first = proxy.connect();
    await nextData(first);
    const second = await waiting(proxy, 1);
    const third = nextData(await waiting(proxy, 2));
    second.resetAndDestroy();
    await until(() => proxy.service().queued === 1);
    expect(proxy.service().ended['client-gone']).toBe(1);
    first.resetAndDestroy();
    expect(await third).toBe('a');
  });

  it('keeps what a client has sent while it waited, also its end', async () => {
    const proxy = await startProxy([limited(await startNamedServer('a'), 1)], { service: { queue } });
    const first = proxy.connect();
    await nextData(first);
    const second = await waiting(proxy, 1);
    second.end('for you');
    await turns();
    const answer = nextData(second);
    first.resetAndDestroy();
    expect(await answer).toBe('a');
    await until(() => proxy.service().bytesIn === 'for you'.length);
  });

  it('is served by a server that is up again, and holds nobody when all are down', async () => {
    const server = limited(await startNamedServer('a'), 1);
    const proxy = await startProxy([server], { service: { queue } });
    const first = proxy.connect();
    await nextData(first);
    const second = nextData(await waiting(proxy, 1));
    proxy.configure({ ...proxy.spec, servers: [{ ...server, health: 'down' }] });
    first.resetAndDestroy();
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service()).toMatchObject({ queued: 1, refused: { 'no-server': 1 } });
    proxy.configure(proxy.spec);
    expect(await second).toBe('a');
  });
});

describe('clients with a server of their own', () => {
  const stick = { ttlMs: 60_000, entriesMax: 100, prefix: { ipv4: 32, ipv6: 128 } };

  it('wait for it while others have room, and go elsewhere when they have waited for too long', async () => {
    const servers = [limited(await startNamedServer('a'), 1), await startNamedServer('b')];
    const proxy = await startProxy(servers, { service: { queue, stick } });
    proxy.worker.handle({
      kind: 'stick-learned',
      service: 'web',
      entries: [{ source: '127.0.0.9', server: 'a', ageMs: 0 }],
    });
    const from = (): Socket => proxy.connect({ localAddress: '127.0.0.9' });
    const first = from();
    expect(await nextData(first)).toBe('a');
    const second = from();
    await until(() => proxy.service().queued === 1);
    expect(proxy.service().servers[0]?.queued).toBe(1);
    const answer = nextData(second);
    proxy.clock.advance(4_100);
    await until(() => proxy.reports.some((report) => report.kind === 'stick-claims'));
    const [claim] = last(proxy.reports, 'stick-claims').claims;
    expect(claim).toMatchObject({ server: 'b', replaces: 'a' });
    proxy.worker.handle({
      kind: 'stick-assigned',
      assignments: [{ requestId: claim?.requestId ?? 0, service: 'web', source: '127.0.0.9', server: 'b' }],
    });
    expect(await answer).toBe('b');
    expect(proxy.service()).toMatchObject({ queued: 0, redispatches: 1, refused: { 'queue-timeout': 0 } });
  });

  it.each(['source', 'maglev'] as const)('(%s) wait for the server of their hash', async (balance) => {
    const servers = [limited(await startNamedServer('a'), 1), limited(await startNamedServer('b'), 1)];
    const proxy = await startProxy(servers, { service: { queue, balance } });
    const first = proxy.connect();
    const name = await nextData(first);
    const second = nextData(await waiting(proxy, 1));
    expect(proxy.service().servers.find(({ server }) => server === name)?.queued).toBe(1);
    first.resetAndDestroy();
    expect(await second).toBe(name);
  });

  it('look for another one when theirs goes down', async () => {
    const servers = [limited(await startNamedServer('a'), 1), limited(await startNamedServer('b'), 1)];
    const proxy = await startProxy(servers, { service: { queue, balance: 'source' } });
    const name = await nextData(proxy.connect());
    const second = nextData(await waiting(proxy, 1));
    const changed = servers.map((one) => (one.name === name ? { ...one, health: 'down' as const } : one));
    proxy.configure({ ...proxy.spec, servers: changed });
    expect(await second).not.toBe(name);
  });
});

describe('several workers', () => {
  it('hold the limit together, and a place that one gives back wakes a client of the other at once', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1));
    const first = group.connect(0);
    await nextData(first);
    const second = group.connect(1);
    await until(() => group.service(1).queued === 1);
    await turns();
    expect(group.service(1).servers[0]?.connectionsCurrent).toBe(0);
    const answer = nextData(second);
    // The clocks stand still: nothing but the bell can tell the other worker.
    first.resetAndDestroy();
    expect(await answer).toBe('a');
  });

  it('serve the client that came first, at whichever of them it waits', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1));
    const clients = [group.connect(0)];
    await nextData(clients[0] as Socket);
    const served: number[] = [];
    for (const [index, worker] of [1, 0, 1, 0].entries()) {
      const client = group.connect(worker);
      client.on('data', () => served.push(index + 1));
      clients.push(client);
      await until(() => group.queued() === index + 1);
    }
    for (let index = 0; index < 4; index++) {
      clients[index]?.resetAndDestroy();
      await until(() => served.length === index + 1);
    }
    expect(served).toEqual([1, 2, 3, 4]);
  });

  it('have one queue, whose length counts for all of them', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1), { length: 2 });
    await nextData(group.connect(0));
    group.connect(0);
    await until(() => group.queued() === 1);
    group.connect(1);
    await until(() => group.queued() === 2);
    expect(await nextError(group.connect(1))).toBe('ECONNRESET');
    expect(group.service(1).refused['queue-full']).toBe(1);
    expect(group.service(1).queuedMax).toBe(2);
  });

  it('let nobody who has just come go before those who wait, at whichever of them', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1));
    group.counts.slot(serverSlot, 2).tellWaiting(1, group.counts.nextTicket());
    group.connect(0);
    await until(() => group.queued() === 1);
    await turns();
    expect(group.held()).toBe(0);
  });

  it('miss no place that becomes free just before the others can see that somebody waits', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1), {
      // Worker 2 gives its place back when it sees nobody waiting yet, and so does not ring.
      onTelling: () => {
        if (group.queued() === 1 && group.held() === 1) elsewhere.release();
      },
    });
    const elsewhere = group.counts.slot(serverSlot, 2);
    elsewhere.add();
    expect(await nextData(group.connect(0))).toBe('a');
    expect(group.service(0).queuedMax).toBe(1);
  });

  it('get back the places of one that has died', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1));
    await nextData(group.connect(0));
    const second = group.connect(1);
    await until(() => group.queued() === 1);
    const answer = nextData(second);
    group.counts.clearRow(0, [queueSlot, serverSlot]);
    native.eventSignal(group.bells[1] ?? -1);
    expect(await answer).toBe('a');
  });

  it('are not held up for longer than a sweep by one that does not answer', async () => {
    const group = await startGroup(limited(await startNamedServer('a'), 1));
    const first = group.connect(0);
    await nextData(first);
    // Somebody waits at a worker that is silent, and has waited for longest.
    group.counts.slot(serverSlot, 2).tellWaiting(1, group.counts.nextTicket());
    const second = group.connect(0);
    await until(() => group.queued() === 1);
    first.resetAndDestroy();
    await until(() => group.service(0).connectionsCurrent === 1);
    await turns();
    expect(group.queued()).toBe(1);
    const answer = nextData(second);
    group.advance(100);
    expect(await answer).toBe('a');
  });

  it('never exceed the limit in a storm of clients that come, wait, give up and go', async () => {
    const limit = 3;
    const group = await startGroup(limited(await startNamedServer('a'), limit), { length: 1_000 });
    const random = seededRandom(4);
    let served = 0;
    const clients = Array.from({ length: 300 }, (_, index) => {
      const client = group.connect(index % 2);
      const patience = Math.floor(random.next() * 40);
      client.once('data', () => {
        served++;
        expect(group.held()).toBeLessThanOrEqual(limit);
        void turns(Math.floor(random.next() * 5)).then(() => client.resetAndDestroy());
      });
      if (index % 10 === 0) void turns(patience).then(() => client.resetAndDestroy());
      return client;
    });
    await until(() => clients.every((client) => client.destroyed));
    await until(() => group.held() === 0);
    expect(served).toBeGreaterThanOrEqual(270);
    expect(group.queued()).toBe(0);
    expect(group.counts.slot(queueSlot, 0).held).toBe(0);
  });
});

function limited(server: WorkerServer, maxconn: number): WorkerServer {
  return { ...server, maxconn };
}

/** A client that waits in the queue, as the so-manieth. */
async function waiting(proxy: TestWorker & { connect(): Socket }, count: number): Promise<Socket> {
  const client = proxy.connect();
  await until(() => proxy.service().queued === count);
  return client;
}

async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** Two workers of three, each with a port of its own so that tests can choose, in front of one server. */
async function startGroup(server: WorkerServer, given: { length?: number; onTelling?: () => void } = {}) {
  const { length = 10, onTelling } = given;
  const memory = createSharedMemory(native, 3);
  const telling: typeof native.cellSet = (...args) => {
    onTelling?.();
    return native.cellSet(...args);
  };
  const counts = new SharedCounts({ ...native, cellSet: telling }, memory);
  const bells = [0, 1, 2].map(() => native.eventOpen());
  onTestFinished(() => [memory.fd, ...bells].forEach((fd) => closeSync(fd)));
  const workers = await Promise.all([0, 1].map((worker) => startWorker({ peers: { counts, worker, bells } })));
  const specs = workers.map((worker): WorkerService => {
    const spec = serviceSpec({
      servers: [{ ...server, slot: serverSlot }],
      queue: { ...queue, length, slot: queueSlot },
    });
    worker.configure(spec);
    return spec;
  });
  const service = (index: number) => {
    const found = workers[index]?.service();
    if (found === undefined) throw new Error(`there is no worker ${index}`);
    return found;
  };
  return {
    ...{ counts, bells, service },
    connect: (index: number): Socket => connectTo(specs[index]?.address ?? '', specs[index]?.port ?? 0),
    queued: (): number => service(0).queued + service(1).queued,
    held: (): number => counts.slot(serverSlot, 0).held,
    advance: (ms: number): void => workers.forEach(({ clock }) => clock.advance(ms)),
  };
}
