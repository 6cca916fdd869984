/** A file that is not to be read is kept for people to look at: it is renamed, never loaded, never overwritten. */
import { readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncDirectory } from './replace-file.ts';

/** So many of each file are kept; when there is one more, the oldest goes. */
const keptMax = 8;

/**
 * Answers the new path, which ends with the time; undefined: there is no such file any more. Throws the file system's
 * errors.
 */
export async function setAside(path: string, wallMs: number): Promise<string | undefined> {
  const before = await listSetAside(path);
  let aside = `${path}.bad-${new Date(wallMs).toISOString().replaceAll(/[-:]/g, '')}`;
  // The clock may have been put back.
  while (before.includes(aside)) aside += '+';
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  await syncDirectory(dirname(path));
  const excess = Math.max(0, before.length + 1 - keptMax);
  for (const name of before.slice(0, excess)) await rm(name, { force: true });
  return aside;
}

/** Those that were set aside of a file, the oldest first; none where the directory cannot be read. */
export async function listSetAside(path: string): Promise<readonly string[]> {
  const names = await readdir(dirname(path)).catch(() => []);
  const found = names.filter((name) => name.startsWith(`${basename(path)}.bad-`));
  return found.toSorted().map((name) => join(dirname(path), name));
}
