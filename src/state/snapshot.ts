/**
 * A snapshot of tables as a file that people can read: lines of JSON.
 *
 *     {"format":"tandem-state","version":1,"node":"lb1","contents":"sticks","wallMs":1763750000000,...}
 *     ["sticks","web/10.9.0.7","s1",17,"lb1/5f0c...",1799000]
 *     {"end":{"lines":1,"sha256":"9b74..."}}
 *
 * The first line says what it is, and is read first: what another program or a later version has written is known by
 * it. The last line has the checksum of every byte before it: without that line the file is cut off.
 */
import { fail, ok } from '../base/index.ts';
import type { Result } from '../base/index.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Raised when an older program could not read what is written. */
export const snapshotVersion = 1;

export type SnapshotFormat = 'tandem-state' | 'tandem-backup';

export type SnapshotHeader = {
  readonly format: SnapshotFormat;
  /** Who has written it. */
  readonly node: string;
  /** Undefined on a single node. */
  readonly peer: string | undefined;
  /** What is in it: "operator", "sticks", "all". */
  readonly contents: string;
  /** When it was written: milliseconds since 1970. What is left of lives counts from here. */
  readonly wallMs: number;
};

/** One entry of a replicated table. */
export type SnapshotRecord = {
  readonly table: string;
  readonly key: string;
  /** Null: it was deleted, and that is remembered. */
  readonly value: Json;
  readonly counter: number;
  readonly origin: string;
  /** How long it lived on when the snapshot was written; undefined: it does not expire. */
  readonly lifeMs: number | undefined;
};

export type SnapshotLine =
  | { readonly kind: 'record'; readonly record: SnapshotRecord }
  /** Anything else, by its name: the text of a configuration file, a key. */
  | { readonly kind: 'part'; readonly name: string; readonly value: Json };

export type FlawReason =
  'empty' | 'format' | 'version' | 'truncated' | 'malformed' | 'checksum' | 'too-large' | 'foreign' | 'unreadable';

/** Why a file is not read, as a word for programs and as the end of the sentence "it ...". */
export type Flaw = { readonly reason: FlawReason; readonly text: string };

const columns = ['table', 'key', 'value', 'counter', 'origin', 'lifeMs'] as const;
const nameLengthMax = 256;
const keyLengthMax = 512;
const counterMax = 2 ** 48;
/** How every last line begins, and no other one. */
const endStart = '{"end":';

export function headerLine({ format, node, peer = null, contents, wallMs }: OrNull<SnapshotHeader>): string {
  return `${JSON.stringify({ format, version: snapshotVersion, node, peer, contents, wallMs, columns })}\n`;
}

export function recordLine({ table, key, value, counter, origin, lifeMs = null }: OrNull<SnapshotRecord>): string {
  return `${JSON.stringify([table, key, value, counter, origin, lifeMs])}\n`;
}

export function partLine(name: string, value: Json): string {
  return `${JSON.stringify({ [name]: value })}\n`;
}

/** `lines`: those between the first and this one; `sha256`: of all bytes before it, in hexadecimal. */
export function endLine(lines: number, sha256: string): string {
  return `${endStart}${JSON.stringify({ lines, sha256 })}}\n`;
}

export function isEndLine(text: string): boolean {
  return text.startsWith(endStart);
}

/** Reads the first line, without its end. */
export function parseHeader(text: string, format: SnapshotFormat): Result<SnapshotHeader, Flaw> {
  const fields = parseJson(text);
  if (!isFields(fields) || fields['format'] !== format) return flaw('format', `is no ${format} file`);
  const { version, node, peer, contents, wallMs } = fields;
  if (version !== snapshotVersion) {
    return flaw('version', `has version ${JSON.stringify(version)} of its format, and this program reads 1`);
  }
  const isSound = isName(node) && (peer === null || isName(peer)) && isName(contents) && isTime(wallMs);
  if (!isSound) return flaw('malformed', 'has a first line that cannot be read');
  return ok({ format, node, peer: peer ?? undefined, contents, wallMs });
}

/** Reads a line between the first and the last one, without its end. */
export function parseLine(text: string): Result<SnapshotLine, Flaw> {
  const value = parseJson(text);
  if (Array.isArray(value)) {
    const record = recordOf(value);
    return record === undefined ? malformed() : ok({ kind: 'record', record });
  }
  if (!isFields(value)) return malformed();
  const [part, ...others] = Object.entries(value);
  if (part === undefined || others.length > 0) return malformed();
  return ok({ kind: 'part', name: part[0], value: part[1] });
}

/** What is left of a life when the snapshot is read, in milliseconds. A clock that went back since prolongs nothing. */
export function remainingMs(lifeMs: number | undefined, writtenWallMs: number, nowWallMs: number): number {
  return lifeMs === undefined ? Infinity : lifeMs - Math.max(0, nowWallMs - writtenWallMs);
}

export function flaw(reason: FlawReason, text: string): Result<never, Flaw> {
  return fail({ reason, text });
}

/** A value that may be absent, as callers have it, and as JSON has it. */
type OrNull<Type> = { readonly [Key in keyof Type]: undefined extends Type[Key] ? Type[Key] | null : Type[Key] };

function recordOf(row: readonly unknown[]): SnapshotRecord | undefined {
  const [table, key, value, counter, origin, lifeMs] = row;
  if (row.length !== columns.length || !isName(table) || !isName(origin) || !isKey(key)) return undefined;
  if (typeof counter !== 'number' || !Number.isInteger(counter) || counter < 1 || counter > counterMax)
    return undefined;
  if (lifeMs !== null && !isTime(lifeMs)) return undefined;
  return { table, key, value: value as Json, counter, origin, lifeMs: lifeMs ?? undefined };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function malformed(): Result<never, Flaw> {
  return flaw('malformed', 'has a line that cannot be read');
}

function isFields(value: unknown): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= nameLengthMax;
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= keyLengthMax;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
