/**
 * What client and server of the bench `connections` say to each other: a request with a number, a response with the
 * same number, both of a known length and content.
 */

import { pattern } from '../lab/pattern.ts';

export const requestBytes = 100;
export const responseBytes = 1_000;

const numberBytes = 4;
const contents: ReadonlyMap<number, Uint8Array> = new Map(
  [requestBytes, responseBytes].map((length) => [length, pattern(length, 0, length)]),
);

/** The message of this length, `requestBytes` or `responseBytes`, with a number of 32 bits. */
export function makeMessage(length: number, number: number): Uint8Array {
  const message = new Uint8Array(contentOf(length));
  new DataView(message.buffer).setUint32(0, number);
  return message;
}

export function numberIn(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(0);
}

/** Whether it is, byte for byte, what `makeMessage` makes of its length and that number. */
export function isMessage(message: Uint8Array, number: number): boolean {
  const content = contentOf(message.length).subarray(numberBytes);
  return numberIn(message) === number && Buffer.compare(message.subarray(numberBytes), content) === 0;
}

export type Cut = {
  /** Complete ones; parts of the bytes given, so valid only as long as these. */
  readonly messages: readonly Uint8Array[];
  /** The begin of the next one, a copy; undefined where there is none. */
  readonly rest: Uint8Array | undefined;
};

/** Cuts what has arrived on a connection, after the rest of before, into messages of one length. */
export function cutMessages(rest: Uint8Array | undefined, arrived: Uint8Array, length: number): Cut {
  const bytes = rest === undefined ? arrived : Buffer.concat([rest, arrived]);
  const count = Math.floor(bytes.length / length);
  return {
    messages: Array.from({ length: count }, (_, index) => bytes.subarray(index * length, (index + 1) * length)),
    rest: bytes.length === count * length ? undefined : bytes.slice(count * length),
  };
}

function contentOf(length: number): Uint8Array {
  const content = contents.get(length);
  if (content === undefined) throw new Error(`no message is ${length} bytes long`);
  return content;
}
