/** Files that the node writes: one that it cannot write keeps nothing from running, and is easily overlooked. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../../config/index.ts';
import { doubtful, well } from './finding.ts';
import type { Finding } from './finding.ts';

export async function checkAccessLog({ log }: Config): Promise<readonly Finding[]> {
  if (log.access === undefined || log.access === 'stdout') return [];
  const { file } = log.access;
  const error = await refusalOf(file);
  if (error === undefined) return [well('access log', file)];
  return [doubtful('access log', `${file}: ${error}`, 'name a file that can be written, in a directory that is there')];
}

/** The errno's name; undefined if the file can be written, or be made. */
async function refusalOf(file: string): Promise<string | undefined> {
  try {
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory() === true) return 'EISDIR';
    await access(found === undefined ? dirname(file) : file, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown error';
  }
}
