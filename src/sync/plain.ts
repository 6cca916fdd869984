/** Data that msgpack carries as it is: what tables hold and what notices and requests transport. */

import { valueDepthMax } from './limits.ts';

export type Plain =
  null | boolean | number | string | Uint8Array | readonly Plain[] | { readonly [key: string]: Plain };

/**
 * The most bytes that the value takes in msgpack, or undefined if it is not plain: undefined, a bigint, a Date, an
 * instance of a class, or nested deeper than `valueDepthMax`. The count stops soon after it exceeds `bytesMax`.
 */
export function plainBytes(value: unknown, bytesMax: number): number | undefined {
  return countBytes(value, bytesMax, valueDepthMax);
}

/** Whether the value is plain and takes at most so many bytes. */
export function isPlain(value: unknown, bytesMax: number): value is Plain {
  const bytes = plainBytes(value, bytesMax);
  return bytes !== undefined && bytes <= bytesMax;
}

/** The most bytes of a string in UTF-8, with its msgpack header. Only characters beyond U+FFFF are overestimated. */
export function stringBytes(text: string): number {
  let bytes = 5 + text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) bytes += unit > 0x7ff ? 2 : 1;
  }
  return bytes;
}

function countBytes(value: unknown, bytesMax: number, depth: number): number | undefined {
  switch (typeof value) {
    case 'boolean':
      return 1;
    case 'number':
      return 9;
    case 'string':
      // The length is a lower bound: a text that is too long in any case need not be walked through.
      return value.length > bytesMax ? value.length : stringBytes(value);
    case 'object':
      if (value === null) return 1;
      if (value instanceof Uint8Array) return 5 + value.length;
      if (depth === 0) return undefined;
      return Array.isArray(value) ? listBytes(value, bytesMax, depth) : mapBytes(value, bytesMax, depth);
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      return undefined;
  }
}

function listBytes(list: readonly unknown[], bytesMax: number, depth: number): number | undefined {
  let bytes = 5;
  for (const item of list) {
    const itemBytes = countBytes(item, bytesMax, depth - 1);
    if (itemBytes === undefined) return undefined;
    bytes += itemBytes;
    if (bytes > bytesMax) break;
  }
  return bytes;
}

function mapBytes(map: object, bytesMax: number, depth: number): number | undefined {
  const prototype: unknown = Object.getPrototypeOf(map);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  let bytes = 5;
  for (const key of Object.keys(map)) {
    // The decoder renames this key, so it would not arrive as it was sent.
    if (key === '__proto__') return undefined;
    const itemBytes = countBytes((map as Readonly<Record<string, unknown>>)[key], bytesMax, depth - 1);
    if (itemBytes === undefined) return undefined;
    bytes += stringBytes(key) + itemBytes;
    if (bytes > bytesMax) break;
  }
  return bytes;
}
