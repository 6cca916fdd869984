/**
 * Replaces a file as a whole: at every moment, and after a power cut at any moment, its path holds the old content or
 * the new one. The order matters: the new bytes are on the disk before they get the name, and the name is before this
 * says so.
 */
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/** O_NOFOLLOW: a link that stands in the way is refused, not followed. */
const openFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/**
 * Writes the pieces, made one by one when the one before is written, mode 0600. Answers how many bytes. Throws the file
 * system's errors: the old content is there then.
 */
export async function replaceFile(path: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
  const temporary = `${path}.tmp`;
  let bytes: number;
  try {
    bytes = await writeNew(temporary, pieces);
    await rename(temporary, path);
  } catch (error) {
    // On a full disk it would hold the room that the next attempt needs.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
  return bytes;
}

/** What was renamed in it is so after a power cut as well. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function writeNew(path: string, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(path, openFlags, 0o600);
  try {
    // One that an earlier life left behind may have had another mode.
    await file.chmod(0o600);
    let bytes = 0;
    for await (const piece of pieces) bytes += await writeAll(file, piece);
    await file.sync();
    return bytes;
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, piece: Uint8Array): Promise<number> {
  for (let offset = 0; offset < piece.length;) {
    const { bytesWritten } = await file.write(piece, offset);
    offset += bytesWritten;
  }
  return piece.length;
}
