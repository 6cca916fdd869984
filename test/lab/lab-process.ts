import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { within } from './time.ts';

export type Exit = { readonly code: number | undefined; readonly signal: NodeJS.Signals | undefined };
export type OutputLine = { readonly stream: 'stdout' | 'stderr'; readonly text: string };

export type SpawnOptions = {
  /** Added to the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

/** Of a process that says more, the earlier lines are forgotten. */
const linesMax = 10_000;
/** Enough of what was said last to see in an error message why a process ended. */
const linesTold = 15;

type Waiter = { readonly pattern: RegExp; readonly resolve: (line: string) => void };

/** A process that runs in a host until it ends, is stopped, or the lab is destroyed. */
export class LabProcess {
  readonly exited: Promise<Exit>;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #lines: OutputLine[] = [];
  readonly #waiters = new Set<Waiter>();
  #exit: Exit | undefined;

  /** The first words of `argv` may be a wrapper that replaces itself (as `ip netns exec` does): the pid stays. */
  constructor(name: string, argv: readonly string[], options: SpawnOptions = {}) {
    const [file = '', ...rest] = argv;
    this.#name = name;
    this.#child = spawn(file, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
    });
    this.#collect('stdout');
    this.#collect('stderr');
    // A process that is gone cannot be told anything; that it is gone is said by `exited`.
    this.#child.stdin?.on('error', () => undefined);
    const { promise, resolve, reject } = Promise.withResolvers<Exit>();
    this.exited = promise;
    // Whoever awaits `exited` hears of a program that could not be started; nobody has to.
    this.exited.catch(() => undefined);
    this.#child.on('error', reject);
    this.#child.on('exit', (code, signal) => {
      this.#exit = { code: code ?? undefined, signal: signal ?? undefined };
      resolve(this.#exit);
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} could not be started`);
    return this.#child.pid;
  }

  /** How it ended, or undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** What it has said so far, both streams in the order of arrival, at most the last 10,000 lines. */
  get lines(): readonly OutputLine[] {
    return this.#lines;
  }

  get stdout(): string[] {
    return this.#lines.filter((line) => line.stream === 'stdout').map((line) => line.text);
  }

  get stderr(): string[] {
    return this.#lines.filter((line) => line.stream === 'stderr').map((line) => line.text);
  }

  /** Sends a line to its standard input. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Sends a signal; false if it has ended already. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL if it has not ended `graceMs` later. */
  async stop(graceMs = 5000): Promise<Exit> {
    this.kill('SIGTERM');
    const timer = setTimeout(() => this.kill('SIGKILL'), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The first line that matches, of either stream, said already (from line `from` of `lines` on) or later. */
  async waitForLine(pattern: RegExp, timeoutMs: number, from = 0): Promise<string> {
    const said = this.#lines.slice(from).find((line) => pattern.test(line.text));
    if (said !== undefined) return said.text;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const waiter = { pattern, resolve };
    this.#waiters.add(waiter);
    const onClose = (): void => reject(new Error(this.describe(`ended without saying ${String(pattern)}`)));
    this.#child.once('close', onClose);
    try {
      return await within(timeoutMs, `${this.#name} says ${String(pattern)}`, promise);
    } catch (cause) {
      throw new Error(this.describe(`did not say ${String(pattern)}`), { cause });
    } finally {
      this.#waiters.delete(waiter);
      this.#child.off('close', onClose);
    }
  }

  /** A message about this process, with the last lines it said. */
  describe(what: string): string {
    const said = this.#lines.slice(-linesTold).map((line) => `  ${line.stream}: ${line.text.slice(0, 500)}`);
    return [`${this.#name} ${what}${this.#exit === undefined ? '' : ` (${JSON.stringify(this.#exit)})`}`, ...said].join(
      '\n',
    );
  }

  #collect(stream: 'stdout' | 'stderr'): void {
    const input = this.#child[stream];
    if (input === null) return;
    createInterface({ input, crlfDelay: Infinity }).on('line', (text) => {
      this.#lines.push({ stream, text });
      if (this.#lines.length > linesMax) this.#lines.splice(0, linesMax / 10);
      for (const waiter of this.#waiters) if (waiter.pattern.test(text)) waiter.resolve(text);
    });
  }
}
