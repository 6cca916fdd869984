import { describe, expect, it } from 'vitest';
import type { StickClaim, WorkerReport, WorkerServer, WorkerService } from '../../../../src/proxy/index.ts';
import {
  connectTo,
  deadServer,
  last,
  nextData,
  nextError,
  serviceSpec,
  startNamedServer,
  startProxy,
  startWorker,
  until,
} from './harness.ts';
import type { TestWorker } from './harness.ts';

const stick = { ttlMs: 60_000, entriesMax: 1000, prefix: { ipv4: 32, ipv6: 128 } };

describe('stickiness', () => {
  it('sends a source to one server, whichever of two workers it meets and however close together', async () => {
    const pair = await startPair(await threeServers(), new Map<string, string>());
    const clients = Array.from({ length: 40 }, () => connectTo(pair.spec.address, pair.spec.port));
    const names = await Promise.all(clients.map(nextData));
    expect(new Set(names).size).toBe(1);
    expect(pair.claimants.size).toBe(2);
  });

  it('spreads different sources', async () => {
    const pair = await startPair(await threeServers(), new Map<string, string>());
    const names = new Set<string>();
    for (let i = 1; i <= 12; i++) names.add(await nextData(pair.connectFrom(`127.0.1.${i}`)));
    expect([...names].sort()).toEqual(['a', 'b', 'c']);
  });

  it('claims a source once, and then finds it in its own table', async () => {
    const proxy = await startArbitrated(await threeServers());
    const first = await nextData(proxy.connect());
    for (let i = 0; i < 5; i++) expect(await nextData(proxy.connect())).toBe(first);
    expect(proxy.service()).toMatchObject({ stickClaims: 1, stickHits: 5 });
  });

  it('makes one claim for connections that come together', async () => {
    const proxy = await startProxy(await threeServers(), { service: { stick } });
    const clients = Array.from({ length: 5 }, () => proxy.connect());
    await until(() => proxy.service().connectionsCurrent === 5);
    await until(() => proxy.reports.some((report) => report.kind === 'stick-claims'));
    answer(proxy, 'b');
    expect(await Promise.all(clients.map(nextData))).toEqual(['b', 'b', 'b', 'b', 'b']);
    expect(proxy.service().stickClaims).toBe(1);
  });

  it('goes on with its own pick when no answer has come for a second', async () => {
    const proxy = await startProxy(await threeServers(), { service: { stick } });
    const client = proxy.connect();
    await until(() => proxy.reports.some((report) => report.kind === 'stick-claims'));
    proxy.clock.advance(900);
    expect(proxy.service().stickClaimTimeouts).toBe(0);
    proxy.clock.advance(200);
    expect(await nextData(client)).toBe(last(proxy.reports, 'stick-claims').claims[0]?.server);
    expect(proxy.service().stickClaimTimeouts).toBe(1);
    // A late answer is still what counts from now on.
    answer(proxy, 'c');
    expect(await nextData(proxy.connect())).toBe('c');
  });

  it('tells of use at most every tenth of the time to live', async () => {
    const proxy = await startArbitrated(await threeServers());
    const name = await nextData(proxy.connect());
    await nextData(proxy.connect());
    expect(touched(proxy)).toEqual([]);
    proxy.clock.advance(stick.ttlMs / 10);
    await nextData(proxy.connect());
    await nextData(proxy.connect());
    expect(touched(proxy)).toEqual([{ service: 'web', source: '127.0.0.1', server: name }]);
  });

  it('uses entries that it is told, and forgets those that are cleared', async () => {
    const proxy = await startArbitrated(await threeServers());
    const learn = (source: string): void =>
      proxy.worker.handle({ kind: 'stick-learned', service: 'web', entries: [{ source, server: 'c', ageMs: 0 }] });
    learn('127.0.2.1');
    learn('127.0.2.2');
    expect(await nextData(proxy.connect({ localAddress: '127.0.2.1' }))).toBe('c');
    expect(proxy.service().stickClaims).toBe(0);
    proxy.worker.handle({ kind: 'stick-cleared', service: 'web', sources: ['127.0.2.1'] });
    await nextData(proxy.connect({ localAddress: '127.0.2.1' }));
    await nextData(proxy.connect({ localAddress: '127.0.2.2' }));
    expect(proxy.service()).toMatchObject({ stickClaims: 1, stickHits: 2 });
    proxy.worker.handle({ kind: 'stick-cleared', service: 'web', sources: 'all' });
    await nextData(proxy.connect({ localAddress: '127.0.2.2' }));
    expect(proxy.service().stickClaims).toBe(2);
  });
});

describe('a sticky server', () => {
  it('that drains keeps its sources and gets no new ones', async () => {
    const servers = await threeServers();
    const proxy = await startArbitrated(servers);
    expect(await nextData(proxy.connect({ localAddress: '127.0.3.1' }))).toBe('a');
    proxy.configure({ ...proxy.spec, servers: changed(servers, 'a', { admin: 'drain' }) });
    expect(await nextData(proxy.connect({ localAddress: '127.0.3.1' }))).toBe('a');
    const others = new Set<string>();
    for (let i = 2; i < 8; i++) others.add(await nextData(proxy.connect({ localAddress: `127.0.3.${i}` })));
    expect([...others].sort()).toEqual(['b', 'c']);
  });

  it.each([
    ['in maintenance', { admin: 'maint' } as const],
    ['down', { health: 'down' } as const],
  ])('%s loses its sources: they are claimed for another one', async (_, change) => {
    const servers = await threeServers();
    const proxy = await startArbitrated(servers);
    expect(await nextData(proxy.connect())).toBe('a');
    proxy.configure({ ...proxy.spec, servers: changed(servers, 'a', change) });
    const now = await nextData(proxy.connect());
    expect(['b', 'c']).toContain(now);
    expect(last(proxy.reports, 'stick-claims').claims[0]).toMatchObject({ server: now, replaces: 'a' });
    proxy.configure({ ...proxy.spec, servers });
    expect(await nextData(proxy.connect())).toBe(now);
  });

  it('that refuses to connect is replaced by claiming the next one', async () => {
    const proxy = await startArbitrated([deadServer('dead'), await startNamedServer('alive')]);
    expect(await nextData(proxy.connect())).toBe('alive');
    const claims = proxy.reports.flatMap((report) => (report.kind === 'stick-claims' ? report.claims : []));
    expect(claims.map(({ server, replaces }) => ({ server, replaces }))).toEqual([
      { server: 'dead', replaces: undefined },
      { server: 'alive', replaces: 'dead' },
    ]);
  });

  it('assigned by the main process but of no use here does not cost the client its connection', async () => {
    const servers = changed(await threeServers(), 'b', { health: 'down' });
    const proxy = await startProxy(servers, { service: { stick } });
    const client = proxy.connect();
    await until(() => proxy.reports.some((report) => report.kind === 'stick-claims'));
    answer(proxy, 'b');
    expect(['a', 'c']).toContain(await nextData(client));
  });

  it('of which there is none leaves the client refused', async () => {
    const proxy = await startArbitrated([]);
    expect(await nextError(proxy.connect())).toBe('ECONNRESET');
    expect(proxy.service().refused['no-server']).toBe(1);
  });
});

type Pair = {
  readonly spec: WorkerService;
  /** The workers that have claimed something. */
  readonly claimants: ReadonlySet<number>;
  connectFrom(localAddress: string): ReturnType<typeof connectTo>;
};

/** Two workers on one address and port, and a main process that answers once both have asked or had the time to. */
async function startPair(servers: readonly WorkerServer[], table: Map<string, string>): Promise<Pair> {
  const spec = serviceSpec({ servers, stick });
  const claimants = new Set<number>();
  const workers: TestWorker[] = [];
  for (const index of [0, 1]) {
    const onReport = (report: WorkerReport): void => {
      if (report.kind !== 'stick-claims') return;
      claimants.add(index);
      arbitrate(workers, index, report.claims, table);
    };
    // The second worker's round-robin starts elsewhere, so that its own pick would be another server.
    workers.push(await startWorker({ onReport }));
  }
  workers[0]?.configure(spec);
  workers[1]?.configure({ ...spec, servers: [...servers].reverse() });
  return { spec, claimants, connectFrom: (localAddress) => connectTo(spec.address, spec.port, { localAddress }) };
}

function arbitrate(
  workers: readonly TestWorker[],
  from: number,
  claims: readonly StickClaim[],
  table: Map<string, string>,
): void {
  for (const claim of claims) {
    const { requestId, service, source, replaces } = claim;
    const known = table.get(source);
    const server = known === undefined || known === replaces ? claim.server : known;
    table.set(source, server);
    workers[from]?.worker.handle({ kind: 'stick-assigned', assignments: [{ requestId, service, source, server }] });
    workers[1 - from]?.worker.handle({ kind: 'stick-learned', service, entries: [{ source, server, ageMs: 0 }] });
  }
}

/** One worker and a main process that answers at once. */
async function startArbitrated(servers: readonly WorkerServer[]): ReturnType<typeof startProxy> {
  const table = new Map<string, string>();
  const workers: TestWorker[] = [];
  const onReport = (report: WorkerReport): void => {
    if (report.kind === 'stick-claims') arbitrate(workers, 0, report.claims, table);
  };
  const proxy = await startProxy(servers, { service: { stick }, onReport });
  workers.push(proxy);
  return proxy;
}

/** Answers the last claims. */
function answer(proxy: TestWorker, server: string): void {
  const { claims } = last(proxy.reports, 'stick-claims');
  proxy.worker.handle({ kind: 'stick-assigned', assignments: claims.map((claim) => ({ ...claim, server })) });
}

function touched(proxy: TestWorker): readonly unknown[] {
  return proxy.reports.flatMap((report) => (report.kind === 'stick-touched' ? report.entries : []));
}

function threeServers(): Promise<WorkerServer[]> {
  return Promise.all(['a', 'b', 'c'].map(startNamedServer));
}

function changed(servers: readonly WorkerServer[], name: string, change: Partial<WorkerServer>): WorkerServer[] {
  return servers.map((server) => (server.name === name ? { ...server, ...change } : server));
}
