/**
 * What loopback hides of how connections end, because there every byte has arrived when it was sent: a slow link
 * between the relay and its peers, and peers that vanish. One worker without a node around it.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServiceCounters, WorkerCommand, WorkerReport, WorkerService } from '../../src/proxy/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import { monotonicMs, waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const listenAddress = '10.9.0.11';
const serverAddress = '10.9.0.21';
const port = 9000;
const bytes = 500_000;
/** 500 kB take some 0.4 s. */
const slowLink = ['rate', '10mbit', 'burst', '10kb', 'limit', '1mb'];

describe('a relay', () => {
  let lab: Lab;

  beforeEach(async () => {
    lab = await createLab();
  });

  afterEach(() => lab.destroy());

  it.each([
    ['server', 'client'],
    ['client', 'server'],
  ] as const)('brings all that a %s sent before its RST to a %s behind a slow link', async (near, far) => {
    const slow = ['tc', 'qdisc', 'add', 'dev', 'lan0', 'root', 'tbf', ...slowLink];
    expect(await lab.host('lb1').exec(slow)).toMatchObject({ code: 0, stderr: '' });
    const worker = await startWorker(lab);
    const modes = { [near]: ['send-reset', String(bytes)], [far]: ['read'] };
    const ends = await startEnds(lab, modes['client'] ?? [], modes['server'] ?? []);
    expect(await ended(ends[far])).toEqual({ event: 'ended', received: bytes, ending: 'ECONNRESET' });
    await waitUntil(() => endingsOf(worker)[`${near}-reset`] === 1, { timeoutMs: 5_000, what: 'the end is counted' });
  });

  it.each(['client', 's1'] as const)(
    'notices by keepalive that %s has vanished, and resets the other side',
    async (host) => {
      const keepalive = { idleS: 1, intervalS: 1, count: 2 };
      const worker = await startWorker(lab, { tcp: { noDelay: true, keepalive, userTimeoutMs: 0 } });
      const ends = await startEnds(lab, ['read'], ['read']);
      // The server's socket gets its options with the first sweep that meets the connection.
      await waitUntil(() => serviceOf(worker)?.connectionsCurrent === 1, { timeoutMs: 5_000, what: 'it is connected' });
      await lab.cut(host, 'lan');
      const cutMs = monotonicMs();
      const [left, cause] =
        host === 'client' ? ([ends.server, 'client-reset'] as const) : ([ends.client, 'server-reset'] as const);
      expect(await ended(left)).toMatchObject({ ending: 'ECONNRESET' });
      expect(monotonicMs() - cutMs).toBeLessThan(8_000);
      await waitUntil(() => endingsOf(worker)[cause] === 1, { timeoutMs: 5_000, what: 'the end is counted' });
    },
  );

  it('notices by its user time-out that a client has vanished to which bytes were on the way', async () => {
    const worker = await startWorker(lab, { tcp: { noDelay: true, keepalive: undefined, userTimeoutMs: 2_000 } });
    const ends = await startEnds(lab, ['read'], ['send-on']);
    await waitUntil(() => (serviceOf(worker)?.bytesOut ?? 0) > bytes, { timeoutMs: 5_000, what: 'bytes flow' });
    await lab.cut('client', 'lan');
    const cutMs = monotonicMs();
    expect((await ended(ends.server)).ending).toMatch(/ECONNRESET|EPIPE/);
    expect(monotonicMs() - cutMs).toBeLessThan(10_000);
    await waitUntil(() => endingsOf(worker)['client-reset'] === 1, { timeoutMs: 5_000, what: 'the end is counted' });
  });
});

describe('a relay on a virtual address', () => {
  it.each([
    ['IPv4', virtualAddress, '32'],
    ['IPv6', '2001:db8:9::100', '128'],
  ])('resets its %s clients also when the address has left before', async (_family, address, prefixLength) => {
    await using lab = await createLab();
    const lb1 = lab.host('lb1');
    for (const host of [lb1, lab.host('client')]) {
      const own = `2001:db8:9::${host === lb1 ? 11 : 10}/64`;
      expect(await host.exec(['ip', 'addr', 'add', own, 'dev', 'lan0', 'nodad'])).toMatchObject({ code: 0 });
    }
    const change = (how: 'add' | 'del'): Promise<unknown> =>
      lb1.exec(['ip', 'addr', how, `${address}/${prefixLength}`, 'dev', 'lan0', ...(how === 'add' ? ['nodad'] : [])]);
    expect(await change('add')).toMatchObject({ code: 0 });
    const worker = await startWorker(lab, { address });
    const { client } = await startEnds(lab, ['read'], ['read'], address);
    await waitUntil(() => serviceOf(worker)?.connectionsCurrent === 1, { timeoutMs: 5_000, what: 'it is connected' });
    expect(await change('del')).toMatchObject({ code: 0 });
    worker.tell(JSON.stringify({ kind: 'reset-connections', services: ['web'] } satisfies WorkerCommand));
    expect(await ended(client)).toEqual({ event: 'ended', received: 0, ending: 'ECONNRESET' });
  });

  it('listens as well without the privileges that this takes', async () => {
    await using lab = await createLab();
    const worker = await startWorker(lab, {}, ['setpriv', '--bounding-set=-net_admin,-net_raw']);
    await startEnds(lab, ['read'], ['read']);
    await waitUntil(() => serviceOf(worker)?.connectionsCurrent === 1, { timeoutMs: 5_000, what: 'it is connected' });
  });
});

async function startWorker(
  lab: Lab,
  changes: Partial<WorkerService> = {},
  wrapper: readonly string[] = [],
): Promise<LabProcess> {
  const server = { name: 's1', address: serverAddress, port, weight: 1, admin: 'ready', health: 'up' } as const;
  const none = { tunnelMs: undefined, clientFinMs: undefined, serverFinMs: undefined };
  const spec: WorkerService = {
    name: 'web',
    address: listenAddress,
    port,
    balance: 'roundrobin',
    servers: [server],
    retries: 0,
    connectTimeoutMs: 1_000,
    inactivity: { clientMs: 0, serverMs: 0, ...none },
    tcp: { noDelay: true, keepalive: undefined, userTimeoutMs: 0 },
    source: undefined,
    stick: undefined,
    ...changes,
  };
  const program = new URL('../unit/proxy/io/fixtures/worker-process.ts', import.meta.url).pathname;
  const worker = lab.host('lb1').spawn([...wrapper, process.execPath, program, JSON.stringify(spec)]);
  await worker.waitForLine(/"kind":"counters"/, 10_000);
  return worker;
}

/** A server, and then a client that is connected to it through the worker. */
async function startEnds(
  lab: Lab,
  clientMode: readonly string[],
  serverMode: readonly string[],
  address = listenAddress,
) {
  const program = [process.execPath, new URL('end.ts', import.meta.url).pathname];
  const server = lab.host('s1').spawn([...program, 'listen', `${serverAddress}:${port}`, ...serverMode]);
  await server.waitForLine(/"ready"/, 10_000);
  const target = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const client = lab.host('client').spawn([...program, 'connect', target, ...clientMode]);
  await server.waitForLine(/"connected"/, 10_000);
  return { client, server };
}

async function ended(end: LabProcess): Promise<{ received: number; ending: string }> {
  return JSON.parse(await end.waitForLine(/"ended"/, 15_000)) as { received: number; ending: string };
}

function serviceOf(worker: LabProcess): ServiceCounters | undefined {
  const line = worker.stdout.findLast((text) => text.includes('"kind":"counters"')) ?? '';
  return (JSON.parse(line) as WorkerReport & { kind: 'counters' }).counters.services[0];
}

function endingsOf(worker: LabProcess): Partial<ServiceCounters['ended']> {
  return serviceOf(worker)?.ended ?? {};
}
