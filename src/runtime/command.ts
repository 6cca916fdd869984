/** Runs other programs: without a shell, for a limited time, keeping the end of what they say. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Clock } from './clock.ts';

export type CommandOptions = {
  /** Then the program is killed, with all that it has started in its process group. */
  readonly timeoutMs: number;
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Kills it as well. */
  readonly signal?: AbortSignal;
};

export type CommandResult = {
  readonly ended:
    | { readonly how: 'exited'; readonly code: number }
    | { readonly how: 'killed'; readonly signal: string }
    | { readonly how: 'timed-out' }
    /** An errno name: the file is not there, or may not be executed. */
    | { readonly how: 'not-started'; readonly error: string };
  /** The last line of both streams that is not empty, at most 200 characters; empty if there is none. */
  readonly lastLine: string;
  readonly durationMs: number;
};

const outputBytesMax = 4_096;
const lastLineCharactersMax = 200;
/** What a program has started in the background may hold its output open for ever: nobody waits for that. */
const outputGraceMs = 100;

/** Resolves when the program has ended, however it did. `words` are the file and its arguments. */
export async function runCommand(
  words: readonly string[],
  options: CommandOptions,
  { clock }: { clock: Clock },
): Promise<CommandResult> {
  const startedMs = clock.nowMs();
  const [file = '', ...args] = words;
  const child = spawn(file, args, {
    // A process group of its own, so that it can be killed with its children.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const output = collect(child);
  const expired = new AbortController();
  const kill = (): void => killGroup(child);
  const timer = clock.after(options.timeoutMs, () => {
    expired.abort();
    kill();
  });
  options.signal?.addEventListener('abort', kill, { once: true });
  if (options.signal?.aborted === true) kill();
  const ended = await untilEnded(child, clock);
  timer.cancel();
  options.signal?.removeEventListener('abort', kill);
  child.stdout.destroy();
  child.stderr.destroy();
  return {
    ended: expired.signal.aborted ? { how: 'timed-out' } : ended,
    lastLine: lastLineOf(output()),
    durationMs: clock.nowMs() - startedMs,
  };
}

/** How it ended, for people: "exit code 1". */
export function describeEnd({ ended, durationMs }: CommandResult): string {
  switch (ended.how) {
    case 'exited':
      return `exit code ${ended.code}`;
    case 'killed':
      return `killed by ${ended.signal}`;
    case 'timed-out':
      return `killed after ${Math.round(durationMs)} ms, its time-out`;
    case 'not-started':
      return `cannot be started: ${ended.error}`;
  }
}

export function isSuccess({ ended }: CommandResult): boolean {
  return ended.how === 'exited' && ended.code === 0;
}

async function untilEnded(child: ChildProcess, clock: Clock): Promise<CommandResult['ended']> {
  const { promise: closed, resolve: close } = Promise.withResolvers<undefined>();
  child.once('close', () => close(undefined));
  const ended = await new Promise<CommandResult['ended']>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve({ how: 'not-started', error: error.code ?? error.message }),
    );
    child.once('exit', (code, signal) =>
      resolve(code === null ? { how: 'killed', signal: signal ?? 'a signal' } : { how: 'exited', code }),
    );
  });
  if (ended.how === 'not-started') return ended;
  const grace = new AbortController();
  await Promise.race([closed.then(() => grace.abort()), clock.sleep(outputGraceMs, grace.signal)]);
  return ended;
}

/** Answers the end of what has been said so far on both streams. */
function collect(child: ChildProcess): () => Buffer {
  let kept = Buffer.alloc(0);
  const keep = (bytes: Buffer): void => {
    kept = Buffer.concat([kept, bytes]).subarray(-outputBytesMax);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return () => kept;
}

function lastLineOf(output: Buffer): string {
  const line = output
    .toString('utf8')
    .split('\n')
    .map((text) => text.trim())
    .findLast((text) => text !== '');
  // It ends in an operator's terminal, which must not obey it.
  return (line ?? '').replace(/[\x00-\x1f\x7f-\x9f]/g, '?').slice(0, lastLineCharactersMax);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}
