import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, toHex } from '../../../src/base/index.ts';
import { encodeFrame, FrameDecoder } from '../../../src/sync/frame.ts';
import { frameBytesMax } from '../../../src/sync/limits.ts';
import type { Message } from '../../../src/sync/message.ts';
import { decodeMessage } from '../../../src/sync/message.ts';

const messages: readonly Message[] = [
  { type: 'heartbeat' },
  { type: 'ack', seq: 7 },
  { type: 'notice', name: 'epoch', body: { epoch: 3, bytes: new Uint8Array([1, 2, 3]) } },
  { type: 'snapshot-begin', seq: 1, table: 'stick' },
];
const stream = concatBytes(...messages.map(encodeFrame));

/** What comes out of the decoder when the bytes arrive in these pieces. */
function read(...pieces: readonly Uint8Array[]): unknown[] {
  const decoder = new FrameDecoder();
  return pieces.flatMap((piece) =>
    Array.from(decoder.push(piece), (payload) => {
      if (!payload.ok) return payload.reason;
      const message = decodeMessage(payload.value);
      return message.ok ? message.value : message.reason;
    }),
  );
}

describe('FrameDecoder', () => {
  it('lays a frame out as four bytes of big-endian length and the payload', () => {
    const payload = 'de0002' + 'a474797065' + 'a361636b' + 'a3736571' + '01';
    expect(toHex(encodeFrame({ type: 'ack', seq: 1 }))).toBe(`00000011${payload}`);
  });

  it('reads the same messages however a stream is cut in two', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      expect(read(stream.subarray(0, cut), stream.subarray(cut))).toEqual(messages);
    }
  });

  it('reads the same messages byte by byte', () => {
    expect(read(...Array.from(stream, (byte) => Uint8Array.of(byte)))).toEqual(messages);
  });

  it('reads the same messages however a stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 12 }), (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const pieces = edges.slice(1).map((edge, index) => stream.subarray(edges[index], edge));
        expect(read(...pieces)).toEqual(messages);
      }),
    );
  });

  it('waits for the rest of a truncated frame', () => {
    expect(read(stream.subarray(0, stream.length - 1))).toEqual(messages.slice(0, -1));
  });

  it('refuses a length above the limit when the header is complete, and then reads nothing more', () => {
    const tooLong = new Uint8Array(4);
    new DataView(tooLong.buffer).setUint32(0, frameBytesMax + 1);
    expect(read(tooLong, stream)).toEqual(['frame-too-long']);
    expect(read(tooLong.subarray(0, 3))).toEqual([]);
    expect(read(fromHex('ffffffff'))).toEqual(['frame-too-long']);
  });

  it('refuses an empty frame', () => {
    expect(read(fromHex('00000000'), stream)).toEqual(['empty-frame']);
  });

  it('takes a frame of exactly the limit', () => {
    const frame = new Uint8Array(4 + frameBytesMax);
    new DataView(frame.buffer).setUint32(0, frameBytesMax);
    const payloads = [...new FrameDecoder().push(frame)];
    expect(payloads.map((payload) => payload.ok && payload.value.length)).toEqual([frameBytesMax]);
  });

  it('answers any bytes with messages or named faults', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (pieces) => {
        for (const outcome of read(...pieces)) expect(['string', 'object']).toContain(typeof outcome);
      }),
    );
  });
});
