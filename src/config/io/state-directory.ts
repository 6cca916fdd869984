/** Where a node keeps its state: what stands in the way of the directory, on this host. */

import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config, Path } from '../index.ts';
import type { Flaw } from './file-error.ts';

/**
 * What can never be a directory is a mistake in the file. A disk that is full, read-only or not there yet is none: a
 * node runs without it.
 */
export async function impossibleStateDirectory({
  state,
}: Config): Promise<readonly (Flaw & { readonly path: Path })[]> {
  if (state === undefined) return [];
  const found = await nearest(state.directory);
  if (found.isDirectory) return [];
  const what = `${state.directory}: ${found.path} is no directory`;
  return [{ path: ['state', 'directory'], what, mend: 'name a directory, or one to be made' }];
}

/** Why this process could not keep files there now; undefined: it can. */
export async function stateDirectoryFlaw(directory: string): Promise<Flaw | undefined> {
  const found = await nearest(directory);
  if (!found.isDirectory) return { what: `${found.path} is no directory`, mend: 'name another in state.directory' };
  if (found.path === directory && (found.mode & 0o022) !== 0) {
    return { what: `others than its owner may write to ${directory}`, mend: `chmod 700 ${directory}` };
  }
  try {
    await access(found.path, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    const what = `${found.path} cannot be written (${code}): a restart of both nodes would forget what operators set`;
    return { what, mend: 'give the node a directory that it may write to, or set state: false' };
  }
}

/** The path itself, or the part of it that is there. */
async function nearest(wanted: string): Promise<{ path: string; isDirectory: boolean; mode: number }> {
  try {
    const found = await stat(wanted);
    return { path: wanted, isDirectory: found.isDirectory(), mode: found.mode };
  } catch {
    const parent = dirname(wanted);
    return parent === wanted ? { path: wanted, isDirectory: true, mode: 0 } : nearest(parent);
  }
}
