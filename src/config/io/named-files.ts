/** What is wrong with the files that a configuration names, as problems at the place where it names them. */

import { formatPath, locate } from '../index.ts';
import type { Config, Problem } from '../index.ts';
import { caFileFlaws } from './ca-file.ts';
import { keyFileFlaws } from './key-file.ts';
import { readAtMost } from './read.ts';
import { impossibleStateDirectory } from './state-directory.ts';

/**
 * Looks at every `keyFile`, `caFile` and the directory for state; what a file holds may change, so this is not part of
 * parsing.
 */
export async function checkNamedFiles(config: Config, configPath: string): Promise<readonly Problem[]> {
  const flaws = [
    ...(await keyFileFlaws(config)),
    ...(await caFileFlaws(config)),
    ...(await impossibleStateDirectory(config)),
  ];
  if (flaws.length === 0) return [];
  const bytes = await readAtMost(configPath, Number.MAX_SAFE_INTEGER).catch(() => new Uint8Array());
  const text = new TextDecoder().decode(bytes);
  return flaws.map(({ path, what, mend }) => ({
    ...{ file: configPath, ...locate(text, path), path: formatPath(path) },
    ...{ what, mend },
  }));
}
