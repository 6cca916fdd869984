/** The files with the keys that the two nodes share: what is wrong with them, and their bytes. */

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { fail, ok } from '../../base/index.ts';
import type { Result } from '../../base/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { Config, Path } from '../index.ts';
import { explainFileError } from './file-error.ts';
import type { Flaw } from './file-error.ts';
import { readAtMost } from './read.ts';

/** The one that is used, and the one that replaces it or was replaced. */
const keysMax = 2;
const keyBytesMin = 32;
/** What TLS takes as a pre-shared key (OpenSSL: 512), with room to spare. */
const keyBytesMax = 256;

/**
 * The key: the file's bytes without white space around them, 32 to 256. Throws OperatorError `KEY_FILE` when the file
 * is absent, readable for others than its owner, or of the wrong length.
 */
export async function readKey(path: string): Promise<Uint8Array> {
  const key = await examine(path);
  if (key.ok) return key.value;
  throw new OperatorError('KEY_FILE', `key file ${path}: ${key.reason.what}`, key.reason.mend);
}

/** The same of each `keyFile` of a configuration. */
export async function keyFileFlaws(config: Config): Promise<readonly (Flaw & { readonly path: Path })[]> {
  const flaws = await Promise.all(
    keyFilesOf(config).map(async ({ path, keyFile }) => {
      const key = await (path[0] === 'sync' ? examineSyncKeys(keyFile) : examine(keyFile));
      return key.ok ? [] : [{ path, what: `key file ${keyFile}: ${key.reason.what}`, mend: key.reason.mend }];
    }),
  );
  return flaws.flat();
}

/**
 * The keys of the sync link: one per line of a text, the first is the one to use; of a file that is no text, its bytes
 * are one key. Throws OperatorError `KEY_FILE` as `readKey`, and for more than two.
 */
export async function readSyncKeys(path: string): Promise<readonly [Uint8Array, ...Uint8Array[]]> {
  const keys = await examineSyncKeys(path);
  if (keys.ok) return keys.value;
  throw new OperatorError('KEY_FILE', `key file ${path}: ${keys.reason.what}`, keys.reason.mend);
}

/** Every key file that the configuration names, and where. */
export function keyFilesOf(config: Config): readonly { readonly path: Path; readonly keyFile: string }[] {
  const ofRouters = config.virtualRouters.flatMap(({ hmac }, router) =>
    (hmac?.keys ?? []).map(({ keyFile }, key) => ({
      path: ['virtualRouters', router, 'hmac', 'keys', key, 'keyFile'],
      keyFile,
    })),
  );
  return [
    ...(config.sync === undefined ? [] : [{ path: ['sync', 'keyFile'], keyFile: config.sync.keyFile }]),
    ...ofRouters,
  ];
}

async function examineSyncKeys(path: string): Promise<Result<readonly [Uint8Array, ...Uint8Array[]], Flaw>> {
  const content = await examine(path, keysMax * (keyBytesMax + 2));
  if (!content.ok) return content;
  const lines = isText(content.value) ? linesOf(content.value) : [content.value];
  const [first = content.value, ...others] = lines;
  if (others.length === 0 && first.length > keyBytesMax) return fail(tooLong(path, keyBytesMax));
  const wrong = lines.findIndex(({ length }) => length < keyBytesMin || length > keyBytesMax);
  if (wrong >= 0) {
    const what = `its key ${wrong + 1} has ${lines[wrong]?.length ?? 0} bytes, not ${keyBytesMin} to ${keyBytesMax}`;
    return fail({ what, mend: 'write one key per line, made with openssl rand -hex 32' });
  }
  if (lines.length <= keysMax) return ok([first, ...others]);
  const what = `it has ${lines.length} keys, one per line, and ${keysMax} can be used`;
  return fail({ what, mend: 'take out those that no node uses any more' });
}

async function examine(path: string, bytesMax = keyBytesMax): Promise<Result<Uint8Array, Flaw>> {
  const make = makeIt(path);
  let file: FileHandle;
  try {
    // Non-blocking: a pipe without a writer would hold the opening for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return fail(explainFileError(error, make));
  }
  try {
    return await examineOpen(file, path, bytesMax);
  } catch (error) {
    return fail(explainFileError(error, make));
  } finally {
    await file.close();
  }
}

/** Looks at the open file, not at its path, so that what is checked is what is read. */
async function examineOpen(file: FileHandle, path: string, bytesMax: number): Promise<Result<Uint8Array, Flaw>> {
  const status = await file.stat();
  if (!status.isFile()) return fail({ what: 'is no regular file', mend: 'name a regular file' });
  if ((status.mode & 0o077) !== 0) {
    const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
    return fail({ what: `others than its owner may use it (mode ${mode})`, mend: `chmod 600 ${path}` });
  }
  const key = trimmed(await readAtMost(file, bytesMax + 2));
  if (key.length > bytesMax) return fail(tooLong(path, bytesMax));
  if (key.length < keyBytesMin) {
    return fail({ what: `has ${key.length} bytes, too few for a key (${keyBytesMin})`, mend: makeIt(path) });
  }
  return ok(key);
}

function tooLong(path: string, bytesMax: number): Flaw {
  return { what: `is longer than ${bytesMax} bytes`, mend: makeIt(path) };
}

function makeIt(path: string): string {
  return `make it: openssl rand -hex 32 > ${path} && chmod 600 ${path}; the same on both nodes`;
}

/** Printable ASCII and white space. */
function isText(bytes: Uint8Array): boolean {
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || (byte >= 9 && byte <= 13));
}

function linesOf(bytes: Uint8Array): readonly Uint8Array[] {
  const lines = new TextDecoder().decode(bytes).split('\n');
  return lines.map((line) => new TextEncoder().encode(line.trim())).filter(({ length }) => length > 0);
}

function trimmed(bytes: Uint8Array): Uint8Array {
  const isSpace = (byte: number | undefined): boolean =>
    byte === 0x20 || (byte !== undefined && byte >= 9 && byte <= 13);
  let start = 0;
  let end = bytes.length;
  while (isSpace(bytes[start])) start++;
  while (end > start && isSpace(bytes[end - 1])) end--;
  return bytes.slice(start, end);
}
