import { closeSync } from 'node:fs';
import { SharedCounts, createSharedMemory } from '../proxy/io/index.ts';
import { errnoName } from '../runtime/index.ts';
import type { Clock, Logger, Native } from '../runtime/index.ts';
import type {
  AccessLogDestination,
  ServerFailures,
  StickClaim,
  StickAssignment,
  WorkerCommand,
  WorkerCounters,
  WorkerReport,
  WorkerService,
} from '../proxy/index.ts';
import { Child } from './child.ts';
import type { EventLog } from './events.ts';
import type { ProcessStatus } from './status-document.ts';

export type ListenFailure = { readonly service: string; readonly error: string };

export type WorkerPoolPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly native: Native;
  readonly events: EventLog;
  /** What the workers serve, as it is now. */
  readonly services: () => readonly WorkerService[];
  readonly accessLog: () => AccessLogDestination | undefined;
  /** The slots of shared memory that are in use. */
  readonly usedSlots: () => Iterable<number>;
  /** A worker has started and knows its services: it may be told of sticky sources. */
  readonly onWorkerStarted: (worker: number) => void;
  readonly onStickClaims: (worker: number, claims: readonly StickClaim[]) => void;
  /** What a worker has seen of servers whose connections fail. */
  readonly onServerFailures: (worker: number, servers: readonly ServerFailures[]) => void;
  readonly onStickTouched: (entries: readonly { service: string; source: string; server: string }[]) => void;
};

const stopTimeoutMs = 3_000;
const countersTimeoutMs = 1_000;
const configureTimeoutMs = 5_000;

/** The proxy workers, one per core, as one. */
export class WorkerPool {
  readonly #ports: WorkerPoolPorts;
  readonly #workers: readonly Child<WorkerCommand, WorkerReport>[];
  readonly #failures = new Map<number, readonly ListenFailure[]>();
  readonly #counterRequests = new Map<string, (counters: WorkerCounters | undefined) => void>();
  readonly #configured = Promise.withResolvers<undefined>();
  readonly #counts: SharedCounts;
  /** Descriptors that every worker inherits: the shared memory, and for each worker the bell that wakes it. */
  readonly #shared: readonly number[];
  /** By worker: the last revision that it said it has. */
  readonly #revisions = new Map<number, number>();
  readonly #revisionWaiters = new Set<() => void>();
  #configureScheduled = false;
  #revision = 0;
  #lastRequestId = 0;

  constructor(count: number, ports: WorkerPoolPorts) {
    const { native } = ports;
    this.#ports = ports;
    const memory = createSharedMemory(native, count);
    this.#counts = new SharedCounts(native, memory);
    this.#shared = [memory.fd, ...Array.from({ length: count }, () => openBell(native))];
    this.#workers = Array.from({ length: count }, (_, index) => this.#createWorker(index, count));
  }

  get processes(): readonly ProcessStatus[] {
    return this.#workers.map(({ name, pid, restarts }) => ({ name, pid, restarts }));
  }

  /** Services that a worker cannot listen for, each once. */
  get failures(): readonly ListenFailure[] {
    const byService = new Map<string, ListenFailure>();
    for (const failures of this.#failures.values()) {
      for (const failure of failures) byService.set(failure.service, failure);
    }
    return [...byService.values()];
  }

  /** Resolves when every worker has tried to listen; `failures` tells of what did not work. */
  async start(): Promise<void> {
    for (const worker of this.#workers) worker.start();
    await this.#configured.promise;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop({ kind: 'stop' })));
    for (const fd of this.#shared) closeSync(fd);
  }

  /** Something about the services has changed: the workers are told at the end of this turn, once. */
  reconfigure(): void {
    if (this.#configureScheduled) return;
    this.#configureScheduled = true;
    this.#ports.clock.afterPoll(() => {
      this.#configureScheduled = false;
      this.#revision++;
      for (const worker of this.#workers) this.#configure(worker);
    });
  }

  /**
   * Tells the workers now. Resolves when those that run have done what they are told; one that is being started again
   * will begin with it. False if one of them has not answered in time.
   */
  async reconfigureNow(): Promise<boolean> {
    const revision = ++this.#revision;
    for (const worker of this.#workers) this.#configure(worker);
    const { clock } = this.#ports;
    const deadlineMs = clock.nowMs() + configureTimeoutMs;
    const isDone = (): boolean =>
      this.#workers.every(({ pid }, index) => pid === undefined || (this.#revisions.get(index) ?? 0) >= revision);
    while (!isDone()) {
      if (clock.nowMs() >= deadlineMs) return false;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          timer.cancel();
          this.#revisionWaiters.delete(wake);
          resolve();
        };
        const timer = clock.after(deadlineMs - clock.nowMs(), wake);
        this.#revisionWaiters.add(wake);
      });
    }
    return true;
  }

  broadcast(command: WorkerCommand): void {
    for (const worker of this.#workers) worker.send(command);
  }

  send(worker: number, command: WorkerCommand): void {
    this.#workers[worker]?.send(command);
  }

  assignSticks(worker: number, assignments: readonly StickAssignment[]): void {
    this.send(worker, { kind: 'stick-assigned', assignments });
    const others = this.#workers.filter((_, index) => index !== worker);
    for (const { service, source, server } of assignments) {
      for (const other of others) {
        other.send({ kind: 'stick-learned', service, entries: [{ source, server, ageMs: 0 }] });
      }
    }
  }

  /** The counters of all workers that answer in time. */
  async counters(): Promise<readonly WorkerCounters[]> {
    const requestId = ++this.#lastRequestId;
    const answers = await Promise.all(
      this.#workers.map((worker, index) => this.#askCounters(worker, index, requestId)),
    );
    return answers.filter((answer) => answer !== undefined);
  }

  #createWorker(index: number, count: number): Child<WorkerCommand, WorkerReport> {
    const { clock, logger, events } = this.#ports;
    const name = `worker ${index + 1}`;
    const worker: Child<WorkerCommand, WorkerReport> = new Child(
      {
        ...{ name, entry: './worker-process.ts', stopTimeoutMs, hasStdout: true },
        ...{ args: [String(index), String(count)], descriptors: this.#shared },
      },
      {
        clock,
        logger,
        events: {
          onStarted: () => {
            this.#configure(worker);
            this.#ports.onWorkerStarted(index);
          },
          onReport: (report) => this.#onReport(index, report),
          onDied: (exit, restartInMs) => {
            this.#freePlaces(index);
            const how = exit.signal ?? `exit code ${exit.code ?? 'unknown'}`;
            logger.error({ worker: name, exit }, 'a worker ended and is started again; its connections are lost');
            this.#wake();
            events.add('process', `${name} ended (${how}) with its connections; started again in ${restartInMs} ms`);
          },
        },
      },
    );
    return worker;
  }

  /** What a worker held that has died is free, and whoever waits may have it. */
  #freePlaces(worker: number): void {
    this.#counts.clearRow(worker, this.#ports.usedSlots());
    for (const bell of this.#shared.slice(1)) this.#ports.native.eventSignal(bell);
  }

  #configure(worker: Child<WorkerCommand, WorkerReport>): void {
    const { services, accessLog } = this.#ports;
    worker.send({ kind: 'configure', revision: this.#revision, services: services(), accessLog: accessLog() });
  }

  #onReport(worker: number, report: WorkerReport): void {
    switch (report.kind) {
      case 'configured':
        this.#revisions.set(worker, report.revision);
        this.#onConfigured(worker, report.failures);
        this.#wake();
        return;
      case 'stick-claims':
        this.#ports.onStickClaims(worker, report.claims);
        return;
      case 'stick-touched':
        this.#ports.onStickTouched(report.entries);
        return;
      case 'server-failures':
        this.#ports.onServerFailures(worker, report.servers);
        return;
      case 'counters':
        this.#counterRequests.get(`${worker} ${report.requestId}`)?.(report.counters);
        return;
      case 'warning':
        this.#ports.logger.warn({ worker: `worker ${worker + 1}`, ...report.fields }, report.message);
        this.#ports.events.add('process', `worker ${worker + 1}: ${report.message}`, report.fields);
        return;
      case 'drained':
      case 'stopped':
        return;
    }
  }

  #onConfigured(worker: number, failures: readonly ListenFailure[]): void {
    const known = this.failures;
    this.#failures.set(worker, failures);
    for (const { service, error } of failures) {
      if (known.some((other) => other.service === service && other.error === error)) continue;
      this.#ports.logger.error({ service, error }, 'cannot listen');
      this.#ports.events.add('process', `service ${service} cannot listen: ${error}`, { service, error });
    }
    if (this.#failures.size === this.#workers.length) this.#configured.resolve(undefined);
  }

  #wake(): void {
    for (const wake of [...this.#revisionWaiters]) wake();
  }

  #askCounters(
    worker: Child<WorkerCommand, WorkerReport>,
    index: number,
    requestId: number,
  ): Promise<WorkerCounters | undefined> {
    if (worker.pid === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const key = `${index} ${requestId}`;
      const answer = (counters: WorkerCounters | undefined): void => {
        timer.cancel();
        this.#counterRequests.delete(key);
        resolve(counters);
      };
      const timer = this.#ports.clock.after(countersTimeoutMs, () => answer(undefined));
      this.#counterRequests.set(key, answer);
      worker.send({ kind: 'report-counters', requestId });
    });
  }
}

function openBell(native: Native): number {
  const bell = native.eventOpen();
  if (bell < 0) throw new Error(`eventfd: ${errnoName(bell)}`);
  return bell;
}
