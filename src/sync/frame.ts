/**
 * Frames on the byte stream:
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |               Length of the payload (big-endian)              |
 *   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *   |               Payload: one message in msgpack               ...
 */

import type { Result } from '../base/index.ts';
import { assert, fail, ok, viewOf } from '../base/index.ts';
import { frameBytesMax } from './limits.ts';
import type { Message } from './message.ts';
import { encodeMessage } from './message.ts';

export type FrameFault = 'empty-frame' | 'frame-too-long';

const headerBytes = 4;

/** One message as a frame, ready to be written. */
export function encodeFrame(message: Message): Uint8Array {
  const payload = encodeMessage(message);
  assert(payload.length <= frameBytesMax, `a ${message.type} of ${payload.length} bytes fits into a frame`);
  const frame = new Uint8Array(headerBytes + payload.length);
  viewOf(frame).setUint32(0, payload.length);
  frame.set(payload, headerBytes);
  return frame;
}

/** Cuts a stream of bytes, however it arrives in pieces, into the payloads of its frames. */
export class FrameDecoder {
  readonly #header = new Uint8Array(headerBytes);
  #headerFilled = 0;
  #payload: Uint8Array | undefined;
  #payloadFilled = 0;
  #failed = false;

  /**
   * The payloads that are complete with these bytes; to be read to the end before the next call. The length is checked
   * as soon as the header is there, before memory is taken for the payload. After a fault nothing more comes: where
   * the next frame begins is unknown.
   */
  *push(bytes: Uint8Array): Generator<Result<Uint8Array, FrameFault>, void, undefined> {
    let rest = bytes;
    while (rest.length > 0 && !this.#failed) {
      if (this.#payload === undefined) {
        rest = this.#readHeader(rest);
        if (this.#headerFilled < headerBytes) return;
        const begun = this.#beginPayload(viewOf(this.#header).getUint32(0));
        if (!begun.ok) yield begun;
      } else {
        rest = this.#readPayload(this.#payload, rest);
        if (this.#payloadFilled < this.#payload.length) return;
        yield ok(this.#payload);
        this.#payload = undefined;
      }
    }
  }

  #beginPayload(length: number): Result<undefined, FrameFault> {
    this.#headerFilled = 0;
    this.#payloadFilled = 0;
    this.#failed = length === 0 || length > frameBytesMax;
    if (this.#failed) return fail(length === 0 ? 'empty-frame' : 'frame-too-long');
    this.#payload = new Uint8Array(length);
    return ok(undefined);
  }

  #readHeader(bytes: Uint8Array): Uint8Array {
    const part = bytes.subarray(0, headerBytes - this.#headerFilled);
    this.#header.set(part, this.#headerFilled);
    this.#headerFilled += part.length;
    return bytes.subarray(part.length);
  }

  #readPayload(payload: Uint8Array, bytes: Uint8Array): Uint8Array {
    const part = bytes.subarray(0, payload.length - this.#payloadFilled);
    payload.set(part, this.#payloadFilled);
    this.#payloadFilled += part.length;
    return bytes.subarray(part.length);
  }
}
