/** Backups as files of the operator's: writing one, and taking configuration and keys out of it without a node. */
import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { parseConfig } from '../../config/index.ts';
import { keyFilesOf } from '../../config/io/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import { readSnapshot, replaceFile } from '../../state/io/index.ts';
import type { Snapshot } from '../../state/io/index.ts';
import { backupParts } from './backup.ts';

export type FileOptions = {
  readonly path: string;
  /** May be there already. */
  readonly force: boolean;
};

/** Mode 0600, whole or not at all. Answers its size. Throws OperatorError: it is there already, or the disk refuses. */
export async function saveBackup(ask: () => Promise<Readable>, { path, force }: FileOptions): Promise<number> {
  if (!force) await refuseExisting(path);
  const pieces = await ask();
  try {
    return await replaceOrExplain(path, pieces);
  } finally {
    // A file that could not be opened has read nothing of it.
    pieces.destroy();
  }
}

/**
 * Writes the configuration of a backup to a file, and the keys, if the backup has them, to where that says. Answers the
 * paths. Throws OperatorError when the backup is none, and when one of the files is there already.
 */
export async function extractConfig(backup: string, { path, force }: FileOptions): Promise<readonly string[]> {
  const { parts } = await readBackup(backup);
  const text = parts.filter(({ name }) => name === backupParts.config).map(({ value }) => textOf(value, 'text'))[0];
  const config = text === undefined ? undefined : parseConfig(text, path);
  if (text === undefined || config?.ok !== true) {
    throw new OperatorError('BAD_BACKUP', `${backup} has no configuration that this version can read`, 'use another');
  }
  const known = new Set(keyFilesOf(config.value).map(({ keyFile }) => keyFile));
  const keys = parts
    .filter(({ name }) => name === backupParts.key)
    .map(({ value }) => ({ file: textOf(value, 'file') ?? '', base64: textOf(value, 'base64') ?? '' }))
    .filter(({ file }) => known.has(file));
  const files = [
    { path, bytes: Buffer.from(text) },
    ...keys.map(({ file, base64 }) => ({ path: file, bytes: Buffer.from(base64, 'base64') })),
  ];
  if (!force) for (const file of files) await refuseExisting(file.path);
  for (const file of files) await replaceOrExplain(file.path, [file.bytes]);
  return files.map((file) => file.path);
}

async function readBackup(path: string): Promise<Snapshot> {
  const read = await readSnapshot(createReadStream(path), 'tandem-backup').catch((cause: unknown) => {
    throw fileError(path, cause);
  });
  if (read.ok) return read.value;
  throw new OperatorError('BAD_BACKUP', `${path} ${read.reason.text}`, 'choose another backup');
}

async function refuseExisting(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  throw new OperatorError('FILE_EXISTS', `${path} is there already`, 'name another file, or add --force');
}

async function replaceOrExplain(path: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
  try {
    return await replaceFile(path, pieces);
  } catch (cause) {
    throw fileError(path, cause);
  }
}

function fileError(path: string, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (cause instanceof OperatorError || code === undefined) return cause;
  return new OperatorError('FILE', `${path}: ${code}`, 'name a file in a directory that you may use', { cause });
}

function textOf(value: unknown, field: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const text = (value as Readonly<Record<string, unknown>>)[field];
  return typeof text === 'string' ? text : undefined;
}
