/** The configuration file on disk. */

import { fail } from '../../base/index.ts';
import type { Result } from '../../base/index.ts';
import { parseConfig } from '../index.ts';
import type { Config, Problem } from '../index.ts';
import { explainFileError } from './file-error.ts';
import { readAtMost } from './read.ts';

const fileBytesMax = 1024 * 1024;

/** Reads and checks a configuration file of at most 1 MiB, or a pipe; the files that it names are not looked at. */
export async function loadConfig(path: string): Promise<Result<Config, readonly Problem[]>> {
  let bytes: Uint8Array;
  try {
    bytes = await readAtMost(path, fileBytesMax + 1);
  } catch (error) {
    return refuse(
      path,
      explainFileError(error, 'name it with -c FILE; deploy/examples/pair.yaml is one to start from'),
    );
  }
  if (bytes.length > fileBytesMax) return refuse(path, { what: 'it is larger than 1 MiB', mend: 'write less' });
  const text = decode(bytes);
  if (text === undefined) return refuse(path, { what: 'it is not UTF-8 text', mend: 'save it as UTF-8' });
  return parseConfig(text, path);
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function refuse(file: string, flaw: { what: string; mend: string }): Result<Config, readonly Problem[]> {
  return fail([{ file, line: 1, column: 1, path: '', ...flaw }]);
}
