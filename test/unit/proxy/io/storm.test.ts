/** Many connections in a short time, and servers that come and go meanwhile. */
import { describe, expect, it } from 'vitest';
import type { ServiceCounters } from '../../../../src/proxy/index.ts';
import { connectTo, freePort, ownAddress, serverSpec, serviceSpec, turn, until } from './harness.ts';
import { startServerProcess, startWorkerProcess } from './processes.ts';
import type { WorkerProcess } from './processes.ts';

const connectionsPerRound = 1000;

describe('storms of 1,000 connections', () => {
  it('while a server crashes and comes back leave no descriptor and no connection behind, and add up', async () => {
    const port = freePort();
    const spec = serviceSpec({ servers: [serverSpec('s1', port)], retries: 0, connectTimeoutMs: 1000 });
    const worker = await startWorkerProcess(spec);
    let server = await startServerProcess(ownAddress, port);
    await storm(spec.port, 50);
    await settled(worker);
    const before = worker.openDescriptors();

    let accepted = worker.service().connectionsTotal;
    for (let round = 0; round < 12; round++) {
      const ended = storm(spec.port, connectionsPerRound);
      if (round % 2 === 1) {
        const half = accepted + connectionsPerRound / 2;
        await until(() => worker.service().connectionsTotal >= half);
        await server.kill();
        await ended;
        await storm(spec.port, connectionsPerRound);
        server = await startServerProcess(ownAddress, port);
      }
      await ended;
      await settled(worker);
      accepted = worker.service().connectionsTotal;
    }

    const service = worker.service();
    expect(service.connectionsTotal).toBe(50 + 18 * connectionsPerRound);
    expect(sum(service.ended)).toBe(service.connectionsTotal);
    expect(service.ended['completed']).toBeGreaterThan(2 * connectionsPerRound);
    expect(service.ended['connect-failed']).toBeGreaterThan(connectionsPerRound);
    expect(service.unsentBytes).toBe(0);
    expect(service.servers[0]?.connectionsCurrent).toBe(0);
    await until(() => worker.openDescriptors() <= before);
  }, 120_000);
});

/** So many clients at once that send a line each, and end: by FIN, by RST, at once or after the answer. */
async function storm(port: number, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, index) => visit(port, index % 4)));
}

function visit(port: number, manner: number): Promise<void> {
  return new Promise((resolve) => {
    const client = connectTo(ownAddress, port, { allowHalfOpen: false });
    client.once('close', () => resolve());
    client.once('connect', () => {
      client.write('question\n');
      if (manner === 2) client.resetAndDestroy();
      if (manner === 3) client.end();
    });
    client.once('data', () => {
      if (manner === 1) client.resetAndDestroy();
      else client.end();
    });
  });
}

async function settled(worker: WorkerProcess): Promise<void> {
  await until(() => worker.service().connectionsCurrent === 0);
  // A report that was on its way may have been older than the last connection.
  const total = worker.service().connectionsTotal;
  for (let i = 0; i < 100; i++) await turn();
  expect(worker.service().connectionsTotal).toBe(total);
}

function sum(ended: ServiceCounters['ended']): number {
  return Object.values(ended).reduce((total, count) => total + count, 0);
}
