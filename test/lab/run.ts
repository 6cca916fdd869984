import { spawn } from 'node:child_process';

export type RunResult = { readonly stdout: string; readonly stderr: string; readonly code: number };

export type RunOptions = {
  /** Default 10 s; then the process is killed and the call fails. */
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** Runs a command to its end. Fails if it cannot be started, is killed, or takes too long; not for its exit code. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...rest] = argv;
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  const child = spawn(file, rest, { env: { ...process.env, ...options.env } });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const timeoutMs = options.timeoutMs ?? 10_000;
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  child.on('error', reject);
  child.on('close', (code, signal) => {
    clearTimeout(timer);
    const result = { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
    if (code !== null) resolve({ ...result, code });
    else reject(new Error(`${argv.join(' ')}: ended by ${String(signal)} (limit ${timeoutMs} ms)\n${result.stderr}`));
  });
  return promise;
}

/** Like `run`, and fails as well when the exit code is not 0. Returns the standard output. */
export async function runChecked(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr, code } = await run(argv, options);
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit code ${code}\n${stderr.trim()}`);
  return stdout;
}
