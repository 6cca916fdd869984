import { concatBytes } from '../../base/index.ts';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** Reads a file, or a pipe, to its end, or until there are `bytesMax` bytes. Throws the file system's errors. */
export async function readAtMost(source: string | FileHandle, bytesMax: number): Promise<Uint8Array> {
  if (typeof source !== 'string') return readHandle(source, bytesMax);
  const file = await open(source);
  try {
    return await readHandle(file, bytesMax);
  } finally {
    await file.close();
  }
}

async function readHandle(file: FileHandle, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < bytesMax) {
    const chunk = new Uint8Array(Math.min(65_536, bytesMax - length));
    const { bytesRead } = await file.read(chunk);
    if (bytesRead === 0) break;
    parts.push(chunk.subarray(0, bytesRead));
    length += bytesRead;
  }
  return concatBytes(...parts);
}
