/** The real process of a worker, with few descriptors. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createSharedMemory } from '../../../src/proxy/io/index.ts';
import type { WorkerCommand, WorkerCounters, WorkerReport } from '../../../src/proxy/index.ts';
import { connectTo, native, serviceSpec, startNamedServer, until } from '../proxy/io/harness.ts';

describe('a worker that may have few descriptors', () => {
  it.each([
    ['keeps 128 of them in reserve', 300, 86],
    ['keeps half of them where they are fewer', 100, 25],
  ])(
    '%s, never runs out of them, and takes waiting clients when there is room',
    async (_what, limit, connectionsMax) => {
      const spec = serviceSpec({ servers: [await startNamedServer('s1')] });
      const worker = startWorkerProcess(limit);
      const warned = worker.next('warning');
      await worker.tell({ kind: 'configure', revision: 1, services: [spec] }, 'configured');
      const count = 3 * connectionsMax;
      const served = new Set<number>();
      const clients = Array.from({ length: count }, (_, index) =>
        connectTo(spec.address, spec.port).on('data', () => served.add(index)),
      );
      await until(() => served.size >= connectionsMax);
      const counters = await worker.counters();
      expect(counters).toMatchObject({ acceptPauses: 0, services: [{ connectionsCurrent: connectionsMax }] });
      expect(counters.connectionLimitHits).toBeGreaterThan(0);
      expect(served.size).toBe(connectionsMax);
      expect(await warned).toMatchObject({ message: 'as many connections as its descriptors allow: new clients wait' });
      // Each that ends makes room for another one, until all have had their turn.
      while (served.size < count) {
        const before = served.size;
        for (const index of [...served]) clients[index]?.resetAndDestroy();
        await until(() => served.size > before);
      }
      expect(await worker.counters()).toMatchObject({ acceptPauses: 0 });
    },
  );
});

type WorkerProcess = {
  tell(command: WorkerCommand, answer: WorkerReport['kind']): Promise<WorkerReport>;
  /** The next report of this kind. */
  next(kind: WorkerReport['kind']): Promise<WorkerReport>;
  counters(): Promise<WorkerCounters>;
};

function startWorkerProcess(descriptors: number): WorkerProcess {
  const program = new URL('../../../src/node/worker-process.ts', import.meta.url).pathname;
  const argv = ['-c', 'ulimit -n "$0" && exec "$@"', String(descriptors), process.execPath, program];
  const memory = createSharedMemory(native, 1);
  const bell = native.eventOpen();
  onTestFinished(() => [memory.fd, bell].forEach((fd) => closeSync(fd)));
  const child: ChildProcess = spawn('sh', argv, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', memory.fd, bell],
    serialization: 'advanced',
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const next = (kind: WorkerReport['kind']): Promise<WorkerReport> =>
    new Promise((resolve) => {
      const listen = (report: WorkerReport): void => {
        if (report.kind !== kind) return;
        child.off('message', listen);
        resolve(report);
      };
      child.on('message', listen);
    });
  const tell = (command: WorkerCommand, answer: WorkerReport['kind']): Promise<WorkerReport> => {
    const answered = next(answer);
    child.send(command);
    return answered;
  };
  return {
    next,
    tell,
    async counters() {
      const report = await tell({ kind: 'report-counters', requestId: 1 }, 'counters');
      if (report.kind !== 'counters') throw new Error(report.kind);
      return report.counters;
    },
  };
}
