/** Workers and servers as processes of their own: to look at their descriptors and memory, and to kill them. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { ServiceCounters, WorkerReport, WorkerService } from '../../../../src/proxy/index.ts';
import { last, until } from './harness.ts';

export type WorkerProcess = {
  readonly reports: readonly WorkerReport[];
  /** Of its one service, not older than 50 ms. */
  service(): ServiceCounters;
  openDescriptors(): number;
  /** Resident memory, in bytes. */
  residentBytes(): number;
};

/** A worker that may have so many descriptors; it reports its counters all the time. */
export async function startWorkerProcess(spec: WorkerService, descriptorsMax = 20_000): Promise<WorkerProcess> {
  const program = fixture('worker-process.ts');
  const script = `ulimit -n ${descriptorsMax} && exec "$0" "$@"`;
  const child = start('sh', ['-c', script, process.execPath, program, JSON.stringify(spec)]);
  const reports: WorkerReport[] = [];
  linesOf(child, (line) => {
    reports.push(JSON.parse(line) as WorkerReport);
    if (reports.length > 100) reports.splice(1, 50);
  });
  await until(() => reports.some((report) => report.kind === 'counters'));
  const proc = `/proc/${child.pid ?? 0}`;
  return {
    reports,
    service() {
      const [service] = last(reports, 'counters').counters.services;
      if (service === undefined) throw new Error('the worker has no service');
      return service;
    },
    openDescriptors: () => readdirSync(`${proc}/fd`).length,
    residentBytes: () => 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]),
  };
}

export type ServerProcess = {
  /** As a crash: its kernel resets what it had. Resolves when it is gone. */
  kill(): Promise<void>;
};

/** A server that echoes, on this address and port. */
export async function startServerProcess(address: string, port: number): Promise<ServerProcess> {
  const child = start(process.execPath, [fixture('echo-process.ts'), address, String(port)]);
  const listens = Promise.withResolvers<undefined>();
  linesOf(child, () => listens.resolve(undefined));
  await listens.promise;
  return {
    async kill() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

function fixture(name: string): string {
  return new URL(`fixtures/${name}`, import.meta.url).pathname;
}

function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function linesOf({ stdout }: ChildProcess, onLine: (line: string) => void): void {
  if (stdout !== null) createInterface({ input: stdout }).on('line', onLine);
}
