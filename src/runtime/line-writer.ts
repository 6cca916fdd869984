/**
 * Lines to a file, a FIFO or standard output, which never make the program wait: they are kept up to a bound, and what
 * does not fit is dropped and counted. A disk that is full or a pipe that nobody reads costs lines, and nothing else.
 *
 * Descriptors are opened with O_NONBLOCK: a thread of Node's pool that waits in open or write for a pipe would keep the
 * process from ending.
 */
import { close, constants, fstat, open, stat, write } from 'node:fs';
import type { Stats } from 'node:fs';
import type { Clock, Timer } from './clock.ts';

export type LineWriterOptions = {
  /** A path, or standard output. */
  readonly destination: string | { readonly descriptor: number };
  /** Most that waits to be written. */
  readonly pendingBytesMax: number;
  /** The line, with its end, that stands where so many have been dropped. */
  readonly gapLine: (droppedLines: number) => string;
};

const openFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
/** How often it is looked whether the file was moved away (logrotate), or can be written again. */
const checkPeriodMs = 1_000;
const retryDelayMs = 20;
/** Several processes may write to one pipe: up to PIPE_BUF a write stays in one piece (pipe(7)). */
const pipeWriteBytesMax = 4_096;
const fileWriteBytesMax = 65_536;

export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #clock: Clock;
  readonly #timer: Timer;
  #lines: string[] = [];
  #pendingBytes = 0;
  /** What is being written; its first line may be written in part. */
  #chunk: Buffer = Buffer.alloc(0);
  #droppedLines = 0;
  #toldDroppedLines = 0;
  #trouble: string | undefined;
  /** At the last check something waited to be written, and nothing has been since. */
  #isStuck = false;
  #fd = -1;
  #file: Stats | undefined;
  #isBusy = false;
  #isClosing = false;
  readonly #closed = Promise.withResolvers<undefined>();

  constructor(options: LineWriterOptions, dependencies: { readonly clock: Clock }) {
    this.#options = options;
    this.#clock = dependencies.clock;
    this.#timer = dependencies.clock.every(checkPeriodMs, () => this.#check());
    this.#open();
  }

  /** Since the start. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /**
   * Why the destination takes nothing now, an errno's name: "ENOSPC", "EACCES", "EAGAIN" (a pipe is full for a second
   * or longer), "ENXIO" (a FIFO has no reader). Undefined as long as it takes what it gets.
   */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** A line with its end, a character for each byte. */
  write(line: string): void {
    if (this.#pendingBytes + line.length > this.#options.pendingBytesMax) {
      this.#droppedLines++;
      return;
    }
    this.#tellGap();
    this.#keep(line);
    this.#writeOn();
  }

  /**
   * Resolves when all is written, or fails to be, or after so long: a reader that lags gets its lines within that. To
   * false if a write waits even then, as one to a socket does: its thread keeps the process from ending in order.
   */
  async close(timeoutMs: number): Promise<boolean> {
    this.#isClosing = true;
    this.#timer.cancel();
    this.#tellGap();
    const deadline = this.#clock.after(timeoutMs, () => this.#giveUp());
    this.#writeOn();
    await this.#closed.promise;
    deadline.cancel();
    return !this.#isBusy || this.#isOwn();
  }

  /** Whether the descriptor was opened here, so that no write to it waits. */
  #isOwn(): boolean {
    const { destination } = this.#options;
    return typeof destination === 'string' || this.#fd !== destination.descriptor;
  }

  #tellGap(): void {
    if (this.#droppedLines === this.#toldDroppedLines) return;
    this.#keep(this.#options.gapLine(this.#droppedLines - this.#toldDroppedLines));
    this.#toldDroppedLines = this.#droppedLines;
  }

  #keep(line: string): void {
    this.#lines.push(line);
    this.#pendingBytes += line.length;
  }

  #writeOn(): void {
    if (this.#isBusy) return;
    if (this.#fd >= 0 && this.#chunk.length === 0) this.#chunk = this.#nextChunk();
    if (this.#fd >= 0 && this.#chunk.length > 0) {
      this.#isBusy = true;
      write(this.#fd, this.#chunk, 0, this.#chunk.length, null, (error, written) => this.#onWritten(error, written));
    } else if (this.#isClosing) {
      this.#finish();
    }
  }

  #finish(): void {
    this.#closeFile();
    this.#closed.resolve(undefined);
  }

  /** A write that is under way needs its descriptor to its end, which may never come. */
  #giveUp(): void {
    this.#lines = [];
    this.#chunk = Buffer.alloc(0);
    if (this.#isBusy) this.#closed.resolve(undefined);
    else this.#finish();
  }

  #nextChunk(): Buffer {
    const bytesMax = this.#file?.isFile() === true ? fileWriteBytesMax : pipeWriteBytesMax;
    let count = 0;
    for (let bytes = 0; count < this.#lines.length; count++) {
      bytes += this.#lines[count]?.length ?? 0;
      if (bytes > bytesMax && count > 0) break;
    }
    return Buffer.from(this.#lines.splice(0, count).join(''), 'latin1');
  }

  #onWritten(error: NodeJS.ErrnoException | null, written: number): void {
    this.#isBusy = false;
    if (error === null) {
      this.#trouble = undefined;
      this.#isStuck = false;
      this.#chunk = this.#chunk.subarray(written);
      this.#pendingBytes -= written;
      this.#writeOn();
    } else if (error.code === 'EAGAIN') {
      this.#clock.after(retryDelayMs, () => this.#writeOn());
    } else if (this.#isClosing) {
      this.#finish();
    } else {
      // A full disk, a pipe without a reader: tried again with the next line or check.
      this.#trouble = error.code;
    }
  }

  #check(): void {
    // A pipe that is full for a moment is none of an operator's business.
    if (this.#isStuck) this.#trouble ??= 'EAGAIN';
    this.#isStuck = this.#chunk.length > 0 && !this.#isBusy;
    const { destination } = this.#options;
    if (typeof destination !== 'string' || this.#isBusy) {
      this.#writeOn();
      return;
    }
    stat(destination, (_error, found: Stats | undefined) => {
      if (this.#isClosing || this.#isBusy) return;
      const isSame = this.#fd >= 0 && found?.ino === this.#file?.ino && found?.dev === this.#file?.dev;
      if (isSame) {
        this.#writeOn();
        return;
      }
      this.#closeFile();
      this.#open();
    });
  }

  #open(): void {
    const { destination } = this.#options;
    this.#isBusy = true;
    if (typeof destination === 'string') this.#openPath(destination);
    else fstat(destination.descriptor, (_error, file: Stats | undefined) => this.#openStandard(destination, file));
  }

  /**
   * A pipe or a terminal that others have as well gets a description of its own, so that O_NONBLOCK is not set for all
   * of them. A file needs none, and must have its position in common with the others; a socket cannot be opened.
   */
  #openStandard({ descriptor }: { readonly descriptor: number }, file: Stats | undefined): void {
    const mayBlock = file?.isFIFO() === true || file?.isCharacterDevice() === true;
    if (mayBlock) this.#openPath(`/proc/self/fd/${descriptor}`, descriptor);
    else this.#use(descriptor);
  }

  /** Where another user's pipe may be written but not opened, `otherwise` is better than no lines. */
  #openPath(path: string, otherwise?: number): void {
    open(path, openFlags, 0o640, (error, fd) => {
      if (error === null) {
        this.#use(fd);
        return;
      }
      if (error.code === 'EACCES' && otherwise !== undefined) {
        this.#use(otherwise);
        return;
      }
      this.#isBusy = false;
      this.#trouble = error.code;
      this.#writeOn();
    });
  }

  #use(fd: number): void {
    fstat(fd, (_error, file: Stats | undefined) => {
      this.#isBusy = false;
      this.#trouble = undefined;
      this.#fd = fd;
      this.#file = file;
      this.#dropPartOfLine();
      this.#writeOn();
    });
  }

  /** The rest of a line whose begin is in the file before. */
  #dropPartOfLine(): void {
    if (this.#chunk.length === 0) return;
    const end = this.#chunk.indexOf(0x0a) + 1;
    this.#pendingBytes -= end;
    this.#droppedLines++;
    this.#chunk = this.#chunk.subarray(end);
  }

  #closeFile(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd > 2) close(fd, () => undefined);
  }
}
