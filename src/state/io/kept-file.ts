/**
 * One file that follows what changes in memory: written as a whole some time after a change, never twice at once. A
 * disk that fails costs nothing but the writing, which is tried again until it works; what was written before stays. A
 * file that is not to be read is set aside, before anything is written in its place.
 */
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fail } from '../../base/index.ts';
import type { Result } from '../../base/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import { flaw } from '../index.ts';
import type { Flaw, SnapshotHeader } from '../index.ts';
import { replaceFile } from './replace-file.ts';
import { listSetAside, setAside } from './set-aside.ts';
import { readSnapshot, snapshotPieces } from './snapshot-bytes.ts';
import type { Snapshot } from './snapshot-bytes.ts';

export type KeptFileOptions = {
  readonly path: string;
  /** Of what is written, and must be of what is read, but for the time. */
  readonly header: Omit<SnapshotHeader, 'wallMs'>;
  /** From the end of one writing to the begin of the next one at the soonest. */
  readonly pauseMs: number;
  /** What is to be written, for a snapshot of now. */
  readonly lines: () => Iterable<string>;
};

export type KeptFileEvents = {
  /** It could not be read or was not to be; `path` is where it is now, undefined while it could not be renamed. */
  readonly onSetAside: (why: string, path: string | undefined) => void;
  /** An error of the file system, as its name: ENOSPC. Called when it begins, or becomes another one. */
  readonly onTrouble: (trouble: string) => void;
  /** Written again after a trouble. */
  readonly onRecovered: () => void;
};

export type KeptFileStatus = {
  readonly path: string;
  /** Why it could not be written the last time ("ENOSPC"); it is tried again. Undefined: it could. */
  readonly trouble: string | undefined;
  /** Since it was written; undefined: not yet by this process. */
  readonly writtenForMs: number | undefined;
  readonly bytes: number | undefined;
  /** How long writing it took. */
  readonly durationMs: number | undefined;
  /** Files that were set aside and were there still the last time that anybody asked. */
  readonly setAside: readonly string[];
};

/** A disk that is full is not filled to its last byte all the time. */
const retryMs = { min: 5_000, max: 60_000 } as const;
/** A disk that has not answered for so long does not. */
const stuckMs = 30_000;

export class KeptFile {
  readonly #options: KeptFileOptions;
  readonly #clock: Clock;
  readonly #events: KeptFileEvents;
  /** Why what is there is not to be overwritten before it was set aside. */
  #unread: string | undefined;
  #isDirty = false;
  #timer: Timer | undefined;
  #writing: { readonly sinceMs: number; readonly done: Promise<void> } | undefined;
  #trouble: string | undefined;
  #endedAtMs: number;
  #written: { readonly atMs: number; readonly bytes: number; readonly durationMs: number } | undefined;
  #setAside: readonly string[] = [];
  #isClosed = false;

  constructor(options: KeptFileOptions, dependencies: { readonly clock: Clock; readonly events: KeptFileEvents }) {
    this.#options = options;
    this.#clock = dependencies.clock;
    this.#events = dependencies.events;
    this.#endedAtMs = this.#clock.nowMs();
  }

  /** What is on the disk; undefined: nothing, or nothing that is to be read, which has been said. */
  async read(): Promise<Snapshot | undefined> {
    const snapshot = await this.#read();
    // Whether the disk has recovered shows when it is written.
    this.#isDirty = this.#trouble !== undefined;
    if (this.#isDirty) this.#schedule(this.#retryMs());
    return snapshot;
  }

  /** Something has changed: it is written after a pause, or when the writing that is under way has ended. */
  touch(): void {
    this.#isDirty = true;
    this.#schedule(Math.max(0, this.#endedAtMs + this.#options.pauseMs - this.#clock.nowMs()));
  }

  /** Writes what has changed since, once. Resolves when that is done, or has failed, or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    const giveUp = new AbortController();
    const rest = async (): Promise<void> => {
      await this.#writing?.done;
      if (this.#isDirty) await this.#start();
      giveUp.abort();
    };
    await Promise.race([rest(), this.#clock.sleep(timeoutMs, giveUp.signal)]);
  }

  status(): KeptFileStatus {
    const nowMs = this.#clock.nowMs();
    if (this.#setAside.length > 0) void this.#lookForSetAside();
    const isStuck = this.#writing !== undefined && nowMs - this.#writing.sinceMs > stuckMs;
    return {
      path: this.#options.path,
      trouble: isStuck ? 'the disk does not answer' : this.#trouble,
      writtenForMs: this.#written && nowMs - this.#written.atMs,
      bytes: this.#written?.bytes,
      durationMs: this.#written?.durationMs,
      setAside: this.#setAside,
    };
  }

  async #read(): Promise<Snapshot | undefined> {
    await this.#tryWorld(() => this.#prepareDirectory());
    const { path, header } = this.#options;
    const read = await readFile(path, header);
    await this.#lookForSetAside();
    if (read === undefined || read.ok) return read?.value;
    this.#unread = `it ${read.reason.text}`;
    if (!(await this.#tryWorld(() => this.#moveUnread()))) this.#events.onSetAside(`it ${read.reason.text}`, undefined);
    return undefined;
  }

  #retryMs(): number {
    return Math.min(Math.max(this.#options.pauseMs, retryMs.min), retryMs.max);
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed || this.#timer !== undefined || this.#writing !== undefined) return;
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined;
      void this.#start();
    });
  }

  #start(): Promise<void> {
    const done = this.#write();
    this.#writing = { sinceMs: this.#clock.nowMs(), done };
    return done;
  }

  async #write(): Promise<void> {
    this.#isDirty = false;
    const isWritten = await this.#tryWorld(() => this.#writeFile());
    this.#writing = undefined;
    this.#endedAtMs = this.#clock.nowMs();
    if (!isWritten) this.#isDirty = true;
    if (this.#isDirty) this.#schedule(isWritten ? this.#options.pauseMs : this.#retryMs());
  }

  async #writeFile(): Promise<void> {
    const { path, header, lines } = this.#options;
    const startedAtMs = this.#clock.nowMs();
    await this.#prepareDirectory();
    await this.#moveUnread();
    const wallMs = this.#clock.wallMs();
    const bytes = await replaceFile(path, snapshotPieces({ ...header, wallMs }, lines(), { clock: this.#clock }));
    const atMs = this.#clock.nowMs();
    this.#written = { atMs, bytes, durationMs: atMs - startedAtMs };
  }

  async #prepareDirectory(): Promise<void> {
    await makeDirectory(dirname(this.#options.path));
  }

  async #moveUnread(): Promise<void> {
    if (this.#unread === undefined) return;
    const path = await setAside(this.#options.path, this.#clock.wallMs());
    // Somebody may have taken it away.
    if (path !== undefined) this.#events.onSetAside(this.#unread, path);
    this.#unread = undefined;
    await this.#lookForSetAside();
  }

  /** Operators take them away. */
  async #lookForSetAside(): Promise<void> {
    this.#setAside = await listSetAside(this.#options.path);
  }

  /** Whether it was done; what the file system refuses is told once. */
  async #tryWorld(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      if (this.#trouble !== undefined) this.#events.onRecovered();
      this.#trouble = undefined;
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      if (this.#trouble !== code) this.#events.onTrouble(code);
      this.#trouble = code;
      return false;
    }
  }
}

/** Alone first: with its parents, Node says ENOENT of a disk that is read-only. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT') throw error;
    await mkdir(path, { recursive: true, mode: 0o700 });
  }
}

/** Undefined: there is no such file. */
async function readFile(
  path: string,
  expected: Omit<SnapshotHeader, 'wallMs'>,
): Promise<Result<Snapshot, Flaw> | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const read = await readSnapshot(file.createReadStream({ highWaterMark: 65_536 }), expected.format);
    return read.ok ? ofThisNode(read.value, expected) : read;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    return fail({ reason: 'unreadable', text: `cannot be read (${code})` });
  }
}

/** A peer that has come or gone with the configuration is none that has been exchanged. */
function ofThisNode(snapshot: Snapshot, expected: Omit<SnapshotHeader, 'wallMs'>): Result<Snapshot, Flaw> {
  const { node, peer, contents } = snapshot.header;
  if (contents !== expected.contents) return flaw('foreign', `holds ${contents}, not ${expected.contents}`);
  if (node !== expected.node) return flaw('foreign', `is of another node, ${node}`);
  if (peer !== undefined && expected.peer !== undefined && peer !== expected.peer) {
    return flaw('foreign', `is of another pair: ${node} with ${peer}`);
  }
  return { ok: true, value: snapshot };
}
