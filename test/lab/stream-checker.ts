/**
 * Says of a received byte stream where it differs from the one that was sent, and how.
 *
 * Every byte has one place in the sent stream. As long as the bytes fit, only a cursor moves. When they do not, the
 * next bytes are looked up in the sent stream around the cursor: they continue further on (something was skipped),
 * further back (something comes again), or nowhere (something is altered). What was skipped and comes later was
 * reordered, what never comes was lost, so the verdict over skipped bytes waits for the end.
 */

import { fillPattern, pattern } from './pattern.ts';

/**
 * lost: sent and never received. duplicated: received again. reordered: received after bytes that were sent later,
 * or the same bytes in another order. altered: other bytes in their place. foreign: bytes between those that were
 * sent.
 */
export type StreamFaultKind = 'lost' | 'duplicated' | 'reordered' | 'altered' | 'foreign';

/** `offset` counts bytes of the sent stream; for foreign bytes it is the offset that they stand before. */
export type StreamFault = { readonly kind: StreamFaultKind; readonly offset: number; readonly bytes: number };

type Span = { readonly start: number; readonly end: number };
/** `at` counts pending bytes, `offset` those of the sent stream. */
type Place = { readonly at: number; readonly offset: number };

/** So many bytes in a row name their place beyond doubt. */
const windowBytes = 16;
/** Bytes that fit nowhere are kept up to here in the hope that those behind them fit. */
const pendingBytesMax = 32 * 1024;
/** How far from the cursor a place is looked for, first and at last: buffers between two ends hold some megabytes. */
const nearBytes = 1 << 20;
const farBytes = 1 << 25;
/** A run of unknown bytes is overstepped by strides. */
const strideBytes = 256;
/** Findings beyond this number are no longer listed. */
const faultsMax = 1000;

export class StreamChecker {
  readonly #seed: number;
  /** Where in the sent stream the next byte is expected. */
  #cursor = 0;
  /** The end of the furthest byte received. */
  #frontier = 0;
  #received = 0;
  /** What was skipped before the frontier and has not come yet, in order. */
  #holes: Span[] = [];
  #pending: Uint8Array = new Uint8Array(0);
  /** The number of pending bytes at which the next search is worth while. */
  #searchAtBytes = windowBytes;
  #strays: { offset: number; content: Uint8Array }[] = [];
  readonly #faults: StreamFault[] = [];
  #expected = new Uint8Array(64 * 1024);

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Bytes received up to now, whatever they were. */
  get received(): number {
    return this.#received;
  }

  /** Up to which offset the sent stream has been received, holes disregarded. */
  get frontier(): number {
    return this.#frontier;
  }

  /** Distinct bytes of the sent stream that came as they were sent. */
  get verified(): number {
    const missing = this.#holes.reduce((sum, hole) => sum + hole.end - hole.start, 0);
    const altered = this.#faults.reduce((sum, fault) => sum + (fault.kind === 'altered' ? fault.bytes : 0), 0);
    return this.#frontier - missing - altered;
  }

  /** Whether something was found already; what was skipped counts although it may still come. */
  get faulty(): boolean {
    return this.#faults.length > 0 || this.#holes.length > 0 || this.#strays.length > 0 || this.#pending.length > 0;
  }

  push(bytes: Uint8Array): void {
    this.#received += bytes.length;
    let rest = bytes;
    if (this.#pending.length > 0) {
      this.#pending = Buffer.concat([this.#pending, bytes]);
      if (this.#pending.length < this.#searchAtBytes) return;
      rest = this.#resynchronise(false);
    }
    while (rest.length > 0) {
      rest = rest.subarray(this.#accept(rest));
      if (rest.length === 0) return;
      this.#pending = Uint8Array.from(rest);
      rest = this.#pending.length < windowBytes ? rest.subarray(rest.length) : this.#resynchronise(false);
    }
  }

  /**
   * All findings in the order of their offsets, each as long as possible; nothing may be pushed afterwards. Bytes
   * that were sent beyond `frontier` are not judged here: whether they should have come only the caller knows.
   */
  finish(): readonly StreamFault[] {
    while (this.#pending.length > 0) {
      const rest = this.#resynchronise(true);
      const accepted = this.#accept(rest);
      this.#pending = Uint8Array.from(rest.subarray(accepted));
    }
    this.#settleStrays();
    for (const hole of this.#holes) this.#report('lost', hole.start, hole.end - hole.start);
    return this.#faults.sort((a, b) => a.offset - b.offset);
  }

  /** Takes as many bytes as fit at the cursor and returns their number. */
  #accept(bytes: Uint8Array): number {
    let accepted = 0;
    while (accepted < bytes.length) {
      const chunk = bytes.subarray(accepted, accepted + this.#expected.length);
      const expected = this.#expected.subarray(0, chunk.length);
      fillPattern(expected, this.#seed, this.#cursor);
      const fitting = commonPrefix(chunk, expected);
      this.#advance(fitting);
      accepted += fitting;
      if (fitting < chunk.length) break;
    }
    return accepted;
  }

  /** Moves the cursor over bytes that came as sent, and notes those of them that lie before the frontier. */
  #advance(bytes: number): void {
    const end = this.#cursor + bytes;
    if (this.#cursor < this.#frontier) this.#revisit({ start: this.#cursor, end: Math.min(end, this.#frontier) });
    this.#cursor = end;
    this.#frontier = Math.max(this.#frontier, end);
  }

  /** Before the frontier, bytes that fill a hole come late; all others have been here before. */
  #revisit(span: Span): void {
    const holes: Span[] = [];
    let reachedOffset = span.start;
    for (const hole of this.#holes) {
      const start = Math.max(hole.start, span.start);
      const end = Math.min(hole.end, span.end);
      if (start >= end) {
        holes.push(hole);
        continue;
      }
      this.#report('duplicated', reachedOffset, start - reachedOffset);
      this.#report('reordered', start, end - start);
      reachedOffset = end;
      if (hole.start < start) holes.push({ start: hole.start, end: start });
      if (end < hole.end) holes.push({ start: end, end: hole.end });
    }
    this.#report('duplicated', reachedOffset, span.end - reachedOffset);
    this.#holes = holes;
  }

  /** Finds out where the pending bytes belong; returns those that fit at the new cursor, or none if more are needed. */
  #resynchronise(isLast: boolean): Uint8Array {
    const pending = this.#pending;
    const found = this.#locate(pending, isLast);
    if (found === undefined && !isLast && pending.length < pendingBytesMax) {
      this.#searchAtBytes = Math.min(pendingBytesMax, pending.length * 4);
      return pending.subarray(pending.length);
    }
    this.#pending = new Uint8Array(0);
    this.#searchAtBytes = windowBytes;
    const strange = pending.subarray(0, found?.at ?? pending.length);
    const offset = found?.offset ?? this.#cursor + strange.length;
    this.#explain(strange.length === 0 ? strange : this.#withdraw(offset, strange), offset);
    return pending.subarray(strange.length);
  }

  /**
   * The first of some strange bytes may have fitted by chance. It did if the stream goes on just before the cursor:
   * then those bytes are taken back and belong to the strange ones.
   */
  #withdraw(offset: number, strange: Uint8Array): Uint8Array {
    const chance = this.#cursor - offset;
    if (chance <= 0 || chance >= windowBytes || this.#frontier !== this.#cursor) return strange;
    this.#cursor = offset;
    this.#frontier = offset;
    return Buffer.concat([pattern(this.#seed, offset, chance), strange]);
  }

  /** The first place in `bytes` from which on they belong to the sent stream, and the offset they have there. */
  #locate(bytes: Uint8Array, isLast: boolean): Place | undefined {
    const near = this.#search(bytes, nearBytes);
    // Far away only the first bytes are looked for: a jump is what takes one there, not damage.
    const isDue = isLast || bytes.length >= pendingBytesMax;
    return near ?? (isDue ? this.#search(bytes.subarray(0, windowBytes), farBytes) : undefined);
  }

  #search(bytes: Uint8Array, reachBytes: number): Place | undefined {
    // At the end of a stream fewer bytes have to do; four are unique but for one case in some thousand.
    const window = Math.min(windowBytes, Math.max(4, bytes.length));
    const start = Math.max(0, this.#cursor - reachBytes);
    const sent = Buffer.from(pattern(this.#seed, start, this.#cursor + reachBytes - start).buffer);
    for (const at of strides(bytes.length - window)) {
      const index = sent.indexOf(bytes.subarray(at, at + window));
      if (index < 0) continue;
      const back = commonSuffix(bytes.subarray(0, at), sent.subarray(0, index));
      return { at: at - back, offset: start + index - back };
    }
    return undefined;
  }

  /** Names what happened between the cursor and `offset`, where instead of the sent bytes `strange` ones came. */
  #explain(strange: Uint8Array, offset: number): void {
    if (strange.length > 0 && offset === this.#cursor + strange.length) {
      const sent = pattern(this.#seed, this.#cursor, strange.length);
      const kind = sameBytes(sent, strange) ? 'reordered' : 'altered';
      this.#report(kind, this.#cursor, strange.length);
      this.#frontier = Math.max(this.#frontier, offset);
    } else if (strange.length > 0) {
      this.#strays.push({ offset: this.#cursor, content: Uint8Array.from(strange) });
    }
    if (offset > this.#frontier) this.#holes.push({ start: this.#frontier, end: offset });
    this.#frontier = Math.max(this.#frontier, offset);
    this.#cursor = offset;
  }

  /** Runs too short to name their place: a repetition of what stood before them, a hole's content, or foreign. */
  #settleStrays(): void {
    for (const { offset, content } of this.#strays) {
      const before = Math.max(0, offset - content.length);
      const hole = this.#holes.find((span) => equals(content, pattern(this.#seed, span.start, span.end - span.start)));
      if (equals(content, pattern(this.#seed, before, content.length))) {
        this.#report('duplicated', before, content.length);
      } else if (hole !== undefined) {
        this.#report('reordered', hole.start, content.length);
        this.#holes = this.#holes.filter((span) => span !== hole);
      } else {
        this.#report('foreign', offset, content.length);
      }
    }
    this.#strays = [];
  }

  #report(kind: StreamFaultKind, offset: number, bytes: number): void {
    if (bytes === 0) return;
    const last = this.#faults.at(-1);
    if (last?.kind === kind && last.offset + last.bytes === offset) {
      this.#faults[this.#faults.length - 1] = { kind, offset: last.offset, bytes: last.bytes + bytes };
    } else if (this.#faults.length < faultsMax) {
      this.#faults.push({ kind, offset, bytes });
    }
  }
}

/** Where in the pending bytes a search starts, the last possible place included. */
function* strides(last: number): Generator<number> {
  for (let at = 0; at < last; at += strideBytes) yield at;
  if (last >= 0) yield last;
}

function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  if (equals(a, b)) return a.length;
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function commonSuffix(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length++;
  return length;
}

function equals(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return equals(Uint8Array.from(a).sort(), Uint8Array.from(b).sort());
}
