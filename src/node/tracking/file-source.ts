import { constants, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock, Timer } from '../../runtime/index.ts';
import type { Observation, Observe, Source } from './observation.ts';

/** More than any number needs; a large file is none. */
const contentBytesMax = 64;
/** inotify says nothing of what happens behind a bind mount or on another host's file system. */
const pollMs = 2_000;
/** A shell that writes a file empties it first. */
const emptyGraceMs = 50;

/** Follows the number in a file; by inotify on its directory, because a file that is replaced is another one. */
export class FileSource implements Source {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #observe: Observe;
  #watcher: FSWatcher | undefined;
  #poll: Timer | undefined;
  #reading: Promise<void> | undefined;
  #isStale = false;
  #isStopped = false;

  constructor(path: string, dependencies: { clock: Clock; observe: Observe }) {
    this.#path = path;
    this.#clock = dependencies.clock;
    this.#observe = dependencies.observe;
  }

  async start(): Promise<void> {
    this.#watch();
    this.#poll = this.#clock.every(pollMs, () => {
      this.#watch();
      void this.#look();
    });
    await this.#look();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#poll?.cancel();
    this.#watcher?.close();
    await this.#reading;
  }

  /** Where the directory does not exist (yet), the poll tries again. */
  #watch(): void {
    if (this.#watcher !== undefined) return;
    const forget = (): void => {
      this.#watcher?.close();
      this.#watcher = undefined;
    };
    try {
      this.#watcher = watch(dirname(this.#path), { persistent: false }, (_event, name) => {
        if (name === null || name === basename(this.#path)) void this.#look();
      });
      this.#watcher.on('error', forget);
    } catch {
      forget();
    }
  }

  /** One reading at a time; what changes meanwhile is read again after it. */
  #look(): Promise<void> {
    if (this.#reading !== undefined) {
      this.#isStale = true;
      return this.#reading;
    }
    this.#isStale = false;
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
      if (this.#isStale && !this.#isStopped) void this.#look();
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    let content = await readBeginning(this.#path);
    if (content === '') {
      await this.#clock.sleep(emptyGraceMs);
      content = await readBeginning(this.#path);
    }
    if (!this.#isStopped) this.#observe(judge(content));
  }
}

function judge(content: string | undefined): Observation {
  if (content === undefined) return { verdict: 'down', detail: 'is not there, or cannot be read' };
  const [, digits] = /^\s*([+-]?\d{1,9})\s*$/.exec(content) ?? [];
  if (digits === undefined) return { verdict: 'down', detail: 'holds no whole number' };
  return { verdict: 'up', value: Number(digits), detail: `holds ${Number(digits)}` };
}

async function readBeginning(path: string): Promise<string | undefined> {
  try {
    // Non-blocking: a pipe without a writer would hold the opening for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(contentBytesMax), 0, contentBytesMax, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
