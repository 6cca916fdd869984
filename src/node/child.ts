import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Clock, Logger, Timer } from '../runtime/index.ts';

export type ChildExit = { readonly code: number | undefined; readonly signal: string | undefined };

export type ChildOptions = {
  /** "vrrp", "worker 1": for logs and status. */
  readonly name: string;
  /** The entry module, a sibling of this file: "vrrp-process.ts". */
  readonly entry: string;
  /** Options of Node and V8 for this process alone. */
  readonly execArgv?: readonly string[];
  readonly args?: readonly string[];
  /** Its standard output is this process's; by default it has none. */
  readonly hasStdout?: boolean;
  /** Descriptors that the process gets, as 4, 5 and so on. */
  readonly descriptors?: readonly number[];
  /** How long stop() waits for an orderly exit before it kills, in milliseconds. */
  readonly stopTimeoutMs: number;
};

export type ChildEvents<Report> = {
  /** A process has been started, for the first time or again: send it all it must know. */
  readonly onStarted: () => void;
  readonly onReport: (report: Report) => void;
  /** It ended although nobody stopped it; it is started again after the delay. */
  readonly onDied: (exit: ChildExit, restartInMs: number) => void;
};

/** A process that dies at once again and again is started ever more slowly, up to this. */
const restartDelayMaxMs = 5_000;
/** One that lived this long has its delay forgiven. */
const healthyAfterMs = 10_000;

/** A child process that is started again when it dies, with typed messages both ways. */
export class Child<Command, Report> {
  readonly name: string;
  readonly #options: ChildOptions;
  readonly #events: ChildEvents<Report>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #process: ChildProcess | undefined;
  #restartTimer: Timer | undefined;
  #restartDelayMs = 0;
  #startedAtMs = 0;
  #stopping = false;
  #restarts = 0;

  constructor(options: ChildOptions, dependencies: { clock: Clock; logger: Logger; events: ChildEvents<Report> }) {
    this.name = options.name;
    this.#options = options;
    this.#events = dependencies.events;
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  start(): void {
    const { entry, args = [], descriptors = [] } = this.#options;
    const child = fork(new URL(entry, import.meta.url).pathname, args, {
      serialization: 'advanced',
      execArgv: [...process.execArgv, ...(this.#options.execArgv ?? [])],
      // Standard output belongs to the logs; a child's crash report goes to standard error as it is.
      stdio: ['ignore', this.#options.hasStdout === true ? 'inherit' : 'ignore', 'inherit', 'ipc', ...descriptors],
    });
    this.#process = child;
    this.#startedAtMs = this.#clock.nowMs();
    child.on('message', (message) => {
      if (this.#process === child) this.#events.onReport(message as Report);
    });
    // Sending to a process that has just died: its exit follows and says so.
    child.on('error', (error) => this.#logger.debug({ child: this.name, err: error }, 'child process error'));
    child.once('exit', (code, signal) => this.#onExit(child, { code: code ?? undefined, signal: signal ?? undefined }));
    this.#events.onStarted();
  }

  /** Messages to a process that is not there are dropped: onStarted() of the next one tells it everything anew. */
  send(command: Command): void {
    if (this.#process?.connected === true) this.#process.send(command as object, () => undefined);
  }

  /** Asks for an orderly end with the command, and kills what has not ended in time. */
  async stop(farewell: Command): Promise<void> {
    this.#stopping = true;
    this.#restartTimer?.cancel();
    const child = this.#process;
    if (child === undefined) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.send(farewell);
    const killer = this.#clock.after(this.#options.stopTimeoutMs, () => {
      this.#logger.warn({ child: this.name }, 'child process did not stop in time and is killed');
      child.kill('SIGKILL');
    });
    await exited;
    killer.cancel();
  }

  #onExit(child: ChildProcess, exit: ChildExit): void {
    if (this.#process !== child) return;
    this.#process = undefined;
    if (this.#stopping) return;
    const lived = this.#clock.nowMs() - this.#startedAtMs;
    this.#restartDelayMs = lived > healthyAfterMs ? 0 : Math.min(restartDelayMaxMs, this.#restartDelayMs * 2 + 100);
    this.#restarts++;
    this.#events.onDied(exit, this.#restartDelayMs);
    this.#restartTimer = this.#clock.after(this.#restartDelayMs, () => this.start());
  }
}
