/** A snapshot as bytes, a bounded piece at a time, so that a table of a million entries holds up nobody. */
import { createHash } from 'node:crypto';
import { fail, ok } from '../../base/index.ts';
import type { Result } from '../../base/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { endLine, flaw, headerLine, isEndLine, parseHeader, parseLine } from '../index.ts';
import type { Flaw, Json, SnapshotFormat, SnapshotHeader, SnapshotRecord } from '../index.ts';

/** All that a snapshot has, once its checksum has been found right. */
export type Snapshot = {
  readonly header: SnapshotHeader;
  readonly records: readonly SnapshotRecord[];
  readonly parts: readonly { readonly name: string; readonly value: Json }[];
  readonly bytes: number;
};

/** A piece takes half a millisecond to make. */
const pieceBytes = 32_768;
const visitsMax = 1_000;
/** A configuration file of 1 MiB in which every character is escaped. */
const lineBytesMax = 8 * 1024 * 1024;
/** Twice a full stick table, and tombstones. */
const linesMax = 3_000_000;

/**
 * The pieces of a snapshot with these lines, in order; an empty line is left out. Between two pieces others have their
 * turn, whatever becomes of the pieces.
 */
export async function* snapshotPieces(
  header: SnapshotHeader,
  lines: Iterable<string>,
  { clock }: { readonly clock: Pick<Clock, 'afterPoll'> },
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const piece of makePieces(header, lines)) {
    yield piece;
    await new Promise<void>((resolve) => void clock.afterPoll(resolve));
  }
}

function* makePieces(header: SnapshotHeader, lines: Iterable<string>): Generator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  const hashed = (text: string): Uint8Array => {
    const piece = Buffer.from(text);
    hash.update(piece);
    return piece;
  };
  let text = headerLine(header);
  let visits = 0;
  let count = 0;
  for (const line of lines) {
    text += line;
    if (line !== '') count++;
    if (text.length < pieceBytes && ++visits < visitsMax) continue;
    yield hashed(text);
    text = '';
    visits = 0;
  }
  yield hashed(text);
  yield Buffer.from(endLine(count, hash.digest('hex')));
}

/** Reads a snapshot to its end; nothing of one that is not whole and right is given out. Throws what `pieces` throw. */
export async function readSnapshot(
  pieces: AsyncIterable<Uint8Array>,
  format: SnapshotFormat,
): Promise<Result<Snapshot, Flaw>> {
  const reader = new SnapshotReader(format);
  for await (const piece of pieces) {
    const found = reader.push(piece);
    if (found !== undefined) return fail(found);
  }
  return reader.end();
}

class SnapshotReader {
  readonly #format: SnapshotFormat;
  readonly #hash = createHash('sha256');
  readonly #records: SnapshotRecord[] = [];
  readonly #parts: { name: string; value: Json }[] = [];
  #header: SnapshotHeader | undefined;
  #bytes = 0;
  #lines = 0;
  #isWhole = false;
  /** The begin of a line whose end has not come yet. */
  #rest: Uint8Array = new Uint8Array();

  constructor(format: SnapshotFormat) {
    this.#format = format;
  }

  /** Answers what is wrong, as soon as anything is. */
  push(piece: Uint8Array): Flaw | undefined {
    this.#bytes += piece.length;
    const bytes = Buffer.concat([this.#rest, piece]);
    const end = bytes.lastIndexOf(0x0a) + 1;
    this.#rest = bytes.subarray(end);
    if (this.#rest.length > lineBytesMax) return { reason: 'too-large', text: 'has a line that is too long' };
    return this.#pushLines(bytes.subarray(0, end));
  }

  end(): Result<Snapshot, Flaw> {
    if (this.#bytes === 0) return flaw('empty', 'is empty');
    // Before its first line is whole nobody knows what it is.
    if (this.#header === undefined) return flaw('format', `is no ${this.#format} file`);
    if (!this.#isWhole || this.#rest.length > 0) return flaw('truncated', 'is cut off, or was changed');
    return ok({ header: this.#header, records: this.#records, parts: this.#parts, bytes: this.#bytes });
  }

  #pushLines(bytes: Buffer): Flaw | undefined {
    const lines = bytes.toString().split('\n').slice(0, -1);
    const last = lines.at(-1);
    if (last === undefined) return undefined;
    const isEnd = isEndLine(last);
    const body = isEnd ? lines.slice(0, -1) : lines;
    for (const line of body) {
      const found = this.#pushLine(line);
      if (found !== undefined) return found;
    }
    if (!isEnd) {
      this.#hash.update(bytes);
      return undefined;
    }
    this.#hash.update(bytes.subarray(0, bytes.length - Buffer.byteLength(last) - 1));
    return this.#pushEnd(last);
  }

  #pushLine(line: string): Flaw | undefined {
    if (this.#isWhole || isEndLine(line)) return { reason: 'malformed', text: 'goes on after its end' };
    if (this.#header === undefined) {
      const header = parseHeader(line, this.#format);
      if (header.ok) this.#header = header.value;
      return header.ok ? undefined : header.reason;
    }
    if (++this.#lines > linesMax) return { reason: 'too-large', text: `has more than ${linesMax} lines` };
    const parsed = parseLine(line);
    if (!parsed.ok) return parsed.reason;
    if (parsed.value.kind === 'record') this.#records.push(parsed.value.record);
    else this.#parts.push(parsed.value);
    return undefined;
  }

  #pushEnd(line: string): Flaw | undefined {
    if (this.#isWhole) return { reason: 'malformed', text: 'goes on after its end' };
    if (`${line}\n` !== endLine(this.#lines, this.#hash.digest('hex'))) {
      return { reason: 'checksum', text: 'has another checksum than its content' };
    }
    this.#isWhole = true;
    return undefined;
  }
}
