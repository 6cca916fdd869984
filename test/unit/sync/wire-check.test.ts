import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex } from '../../../src/base/index.ts';
import { FrameDecoder } from '../../../src/sync/frame.ts';
import { frameBytesMax } from '../../../src/sync/limits.ts';
import { decodeMessage } from '../../../src/sync/message.ts';
import { isWholeValue } from '../../../src/sync/wire-check.ts';

const packr = new Packr({ useRecords: false });
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 8, withCrossShrink: true },
    fc.constantFrom(null, true, false, ''),
    fc.integer(),
    fc.double(),
    fc.string({ maxLength: 70_000, size: 'medium' }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 20 }),
  ),
})).value;

const small = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, ''),
    fc.integer(),
    fc.string({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), { maxKeys: 4 }),
  ),
})).value;

describe('isWholeValue', () => {
  it('lets every plain value pass, and no part of one, and nothing behind one', () => {
    fc.assert(
      fc.property(plain, fc.double({ min: 0, max: 0.999, noNaN: true }), (value, share) => {
        const bytes = Uint8Array.from(packr.pack(value));
        expect(isWholeValue(bytes)).toBe(true);
        expect(isWholeValue(bytes.subarray(0, Math.floor(bytes.length * share)))).toBe(false);
        expect(isWholeValue(concatBytes(bytes, Uint8Array.of(0xc0)))).toBe(false);
      }),
    );
  });

  it.each([
    ['a list of 4,294,967,295', 'ddffffffff'],
    ['a list of 33,554,431 in a list of as many', 'dd01ffffffdd01ffffff'],
    ['a list of 65,535', 'dcffff00'],
    ['a map of 4,294,967,295', 'dfffffffff'],
    ['a map of 65,535', 'deffffa161'],
    ['a map of 2 that has three values', '82a16101a162'],
    ['a text of 4,294,967,295 bytes', 'dbffffffff61'],
    ['a text of 31 bytes', 'bf61'],
    ['a binary of 4,294,967,295 bytes', 'c6ffffffff00'],
    ['a number of 8 bytes that has 7', 'cb00000000000000'],
    ['a length that is not there', 'dd0000'],
    ['nothing', ''],
    ['the byte that msgpack never uses', 'c1'],
    ['an extension of 1 byte', 'd40100'],
    ['half of the extension that stands for nothing', 'd400'],
    ['an extension of any length', 'c7020001ff'],
  ])('refuses %s', (_, hex) => {
    expect(isWholeValue(fromHex(hex))).toBe(false);
  });

  it('refuses what is nested deeper than a message can be', () => {
    const nested = (depth: number): Uint8Array => concatBytes(new Uint8Array(depth).fill(0x91), Uint8Array.of(0xc0));
    expect(isWholeValue(nested(11))).toBe(true);
    expect(isWholeValue(nested(12))).toBe(false);
    expect(isWholeValue(nested(frameBytesMax - 1))).toBe(false);
  });
});

describe('a payload that announces more than it has', () => {
  it('is refused before memory is taken for it', () => {
    // Each list is announced to hold the next one and 30 million more: 240 MB each, if they were made.
    const bomb = concatBytes(...Array.from({ length: 10 }, () => fromHex('dd01c9c380')));
    const before = process.memoryUsage();
    for (let i = 0; i < 100; i++) expect(decodeMessage(bomb)).toEqual({ ok: false, reason: 'not-msgpack' });
    const after = process.memoryUsage();
    expect(after.heapTotal + after.external - before.heapTotal - before.external).toBeLessThan(64 * 1024 * 1024);
  });
});

describe('the frame decoder', () => {
  /** What a stream looks like that was meant to harm: real begins, lengths of all sizes, random bytes. */
  const harmful = fc.oneof(
    fc.uint8Array({ maxLength: 48 }),
    fc
      .tuple(fc.constantFrom(0xdd, 0xdf, 0xdb, 0xc6, 0xc9), fc.nat(0xffffffff), fc.uint8Array({ maxLength: 8 }))
      .map(([code, length, rest]) => framed(concatBytes(Uint8Array.of(code), uint32(length), rest))),
    fc.tuple(fc.nat(0xffffffff), fc.uint8Array({ maxLength: 8 })).map(([n, rest]) => concatBytes(uint32(n), rest)),
    small.map((value) => framed(Uint8Array.from(packr.pack({ type: 'notice', name: 'n', body: value })))),
    fc
      .tuple(small, fc.nat(), fc.nat(255))
      .map(([value, place, byte]) => damaged(framed(Uint8Array.from(packr.pack(value))), place, byte)),
  );

  it(
    'answers 100,000 streams with messages or named faults, and keeps no more than one frame',
    { timeout: 120_000 },
    () => {
      let largest = 0;
      const outcomes = new Set<string>();
      const before = process.memoryUsage();
      fc.assert(
        fc.property(fc.array(harmful, { minLength: 1, maxLength: 3 }), (pieces) => {
          const decoder = new FrameDecoder();
          for (const payload of pieces.flatMap((piece) => [...decoder.push(piece)])) {
            const outcome = payload.ok ? decodeMessage(payload.value) : payload;
            if (payload.ok) largest = Math.max(largest, payload.value.buffer.byteLength);
            outcomes.add(outcome.ok ? outcome.value.type : outcome.reason);
          }
        }),
        { numRuns: 100_000 },
      );
      expect(largest).toBeLessThanOrEqual(frameBytesMax);
      const known = ['empty-frame', 'frame-too-long', 'no-type', 'not-msgpack', 'notice'];
      expect([...outcomes]).toEqual(expect.arrayContaining(known));
      const after = process.memoryUsage();
      expect(after.heapTotal + after.external - before.heapTotal - before.external).toBeLessThan(256 * 1024 * 1024);
    },
  );
});

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function framed(payload: Uint8Array): Uint8Array {
  return concatBytes(uint32(payload.length), payload);
}

function damaged(bytes: Uint8Array, place: number, byte: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[place % copy.length] = byte;
  return copy;
}
