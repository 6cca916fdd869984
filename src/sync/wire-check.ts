/**
 * Looks at a payload before it is decoded, taking no memory: a decoder believes the lengths that msgpack announces, and
 * makes lists of that length first. Five bytes can announce four thousand million items.
 */

import { valueDepthMax } from './limits.ts';

/** A value may stand in a column of a batch of a message. */
const depthMax = valueDepthMax + 3;

/**
 * Whether the bytes are exactly one msgpack value whose lists, maps, strings and binaries are all there, not nested
 * deeper than a message can be, and without extension types, which the protocol does not use; but for the one that
 * stands for a field without a value, which msgpackr writes and which means the same as no such field.
 */
export function isWholeValue(bytes: Uint8Array): boolean {
  /** By depth: how many values are still to come in each list or map that is open. */
  const open = new Float64Array(depthMax + 1);
  open[0] = 1;
  let depth = 0;
  let position = 0;
  for (;;) {
    while ((open[depth] ?? 0) === 0) {
      if (depth === 0) return position === bytes.length;
      depth--;
    }
    open[depth] = (open[depth] ?? 0) - 1;
    const code = bytes[position];
    if (code === undefined) return false;
    position++;
    if (code === 0xd4 && bytes[position] === 0 && position + 2 <= bytes.length) {
      position += 2;
      continue;
    }
    const lengthBytes = lengthBytesOf(code);
    if (lengthBytes < 0 || position + lengthBytes > bytes.length) return false;
    const size = sizeOf(code, bytes, position, lengthBytes);
    position += lengthBytes;
    if (isContainer(code)) {
      // Each item takes a byte at least.
      if (size > bytes.length - position || (size > 0 && depth === depthMax)) return false;
      if (size > 0) open[++depth] = size;
    } else {
      position += size;
      if (position > bytes.length) return false;
    }
  }
}

/** Bytes of the length that follow the first byte; -1: an extension type, or no msgpack. */
function lengthBytesOf(code: number): number {
  if (code < 0xc0 || code >= 0xe0) return 0;
  switch (code) {
    case 0xc4: // bin 8
    case 0xd9: // str 8
      return 1;
    case 0xc5: // bin 16
    case 0xda: // str 16
    case 0xdc: // array 16
    case 0xde: // map 16
      return 2;
    case 0xc6: // bin 32
    case 0xdb: // str 32
    case 0xdd: // array 32
    case 0xdf: // map 32
      return 4;
    case 0xc1: // never used
    case 0xc7: // ext 8, 16, 32
    case 0xc8:
    case 0xc9:
    case 0xd4: // fixext 1, 2, 4, 8, 16
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
      return -1;
    default:
      return 0;
  }
}

function isContainer(code: number): boolean {
  return (code >= 0x80 && code < 0xa0) || (code >= 0xdc && code <= 0xdf);
}

/** Of a list or map the values in it, a key and its value being two; otherwise the bytes that follow. */
function sizeOf(code: number, bytes: Uint8Array, position: number, lengthBytes: number): number {
  if (lengthBytes > 0) {
    const length = readLength(bytes, position, lengthBytes);
    return code >= 0xde ? 2 * length : length;
  }
  if (code < 0x80 || code >= 0xe0) return 0; // the number itself
  if (code < 0x90) return 2 * (code & 0x0f); // map
  if (code < 0xa0) return code & 0x0f; // list
  if (code < 0xc0) return code & 0x1f; // text
  switch (code) {
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      return 4;
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      return 8;
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return 1;
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return 2;
    default:
      return 0; // nil, false, true
  }
}

function readLength(bytes: Uint8Array, position: number, lengthBytes: number): number {
  let length = 0;
  for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[position + i] ?? 0);
  return length;
}
