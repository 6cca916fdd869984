/**
 * Who owns a lab, and what becomes of it when the owner is gone. A lab's name holds its owner's pid and start time
 * (a pid alone is soon another's), so that anybody can tell a lab in use from one that was left behind.
 */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from './time.ts';

const reaperPath = new URL('reap.sh', import.meta.url).pathname;
const namePattern = /^tandem-lab-(\d+)-(\d+)-\d+(?=-|$)/;
const labsMax = 1000;
const reapTimeoutMs = 20_000;

export type Claim = { readonly name: string; readonly directory: string };

/** A name that nobody else has, and its directory, which is the proof: making it succeeds only once. */
export function claimName(): Claim {
  const owner = `tandem-lab-${process.pid}-${startTicks(process.pid) ?? 0}`;
  for (let n = 0; n < labsMax; n++) {
    const directory = join(tmpdir(), `${owner}-${n}`);
    try {
      mkdirSync(directory, { mode: 0o700 });
      return { name: `${owner}-${n}`, directory };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  throw new Error(`process ${process.pid} has ${labsMax} labs already`);
}

/** Removes the lab when it is told to, or when this process ends, however it ends. */
export class Reaper {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number>;
  #complaint = '';

  constructor(claim: Claim) {
    // Detached: a Ctrl-C for the tests must not reach it. It does not keep this process from ending.
    this.#child = spawn(reaperPath, [claim.name, claim.directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.#child.stderr?.on('data', (bytes: Buffer) => (this.#complaint += bytes.toString()));
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#exited = promise;
    this.#exited.catch(() => undefined);
    this.#child.on('error', reject);
    this.#child.on('close', (code) => resolve(code ?? 1));
    this.#child.unref();
  }

  async reap(): Promise<void> {
    this.#child.ref();
    this.#child.stdin?.end();
    const code = await within(reapTimeoutMs, 'the lab is removed', this.#exited);
    if (code !== 0) throw new Error(`the lab could not be removed: ${this.#complaint}`);
  }
}

/** Removes labs whose owners have ended and whose reapers did not live to do it. Returns their names. */
export async function sweepStaleLabs(): Promise<string[]> {
  const stale = new Set(
    [...list('/run/netns'), ...list(tmpdir()).filter((name) => isOurs(join(tmpdir(), name)))].flatMap((entry) => {
      const [name, pid, ticks] = namePattern.exec(entry) ?? [];
      return name === undefined || startTicks(Number(pid)) === Number(ticks) ? [] : [name];
    }),
  );
  await Promise.all([...stale].map((name) => new Reaper({ name, directory: join(tmpdir(), name) }).reap()));
  return [...stale];
}

/** When a process started, in clock ticks since boot (proc(5), field 22 of stat); undefined if there is none. */
function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold anything, blanks included.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return undefined;
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Labs in a user namespace show their owners under other numbers; they are not ours to judge. */
function isOurs(path: string): boolean {
  try {
    return statSync(path).uid === process.getuid?.();
  } catch {
    return false;
  }
}
