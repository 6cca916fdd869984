import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pattern } from '../../lab/pattern.ts';
import { StreamChecker } from '../../lab/stream-checker.ts';
import type { StreamFault } from '../../lab/stream-checker.ts';

const seed = 7;
const length = 300_000;
const sent = pattern(seed, 0, length);

/** What the checker says of these bytes, received in chunks of this size. */
function check(received: Uint8Array, chunkBytes = 1460): { faults: readonly StreamFault[]; checker: StreamChecker } {
  const checker = new StreamChecker(seed);
  for (let at = 0; at < received.length; at += chunkBytes) checker.push(received.subarray(at, at + chunkBytes));
  return { faults: checker.finish(), checker };
}

function part(from: number, to: number): Uint8Array {
  return sent.subarray(from, to);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

describe('the pattern', () => {
  test('is the same wherever one enters it', () => {
    fc.assert(
      fc.property(fc.nat(length - 1), fc.nat(5000), (offset, count) => {
        const bytes = pattern(seed, offset, Math.min(count, length - offset));
        expect(Buffer.compare(bytes, part(offset, offset + bytes.length))).toBe(0);
      }),
    );
  });

  test('differs from seed to seed, and before and after 16 GiB', () => {
    expect(pattern(seed + 1, 0, 64)).not.toEqual(part(0, 64));
    expect(pattern(seed, 2 ** 34, 64)).not.toEqual(part(0, 64));
  });

  test('has no four aligned bytes twice', () => {
    const words = new Uint32Array(sent.slice().buffer);
    expect(new Set(words).size).toBe(words.length);
  });
});

describe('a stream that arrived as it was sent', () => {
  test('has no faults, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 30 }), (sizes) => {
        const checker = new StreamChecker(seed);
        let at = 0;
        for (const size of sizes) {
          checker.push(part(at, at + size));
          at = Math.min(length, at + size);
        }
        expect(checker.finish()).toEqual([]);
        expect(checker.verified).toBe(at);
      }),
      { numRuns: 30 },
    );
  });

  test('is not called faulty for bytes that have not come', () => {
    const { faults, checker } = check(part(0, 1000));
    expect(faults).toEqual([]);
    expect(checker.frontier).toBe(1000);
  });
});

describe.each([1, 7, 1460, length])('a fault in chunks of %i bytes is told with its kind and place', (chunkBytes) => {
  // With one byte per call every search is made with the fewest bytes; the short stream keeps that quick.
  const end = chunkBytes === 1 ? 9000 : length;

  test.each([1, 5, 16, 100, 3000])('%i bytes lost', (bytes) => {
    const { faults, checker } = check(join(part(0, 4321), part(4321 + bytes, end)), chunkBytes);
    expect(faults).toEqual([{ kind: 'lost', offset: 4321, bytes }]);
    expect(checker.verified).toBe(end - bytes);
  });

  test.each([1, 5, 16, 100, 3000])('%i bytes repeated', (bytes) => {
    const { faults, checker } = check(join(part(0, 4321), part(4321 - bytes, end)), chunkBytes);
    expect(faults).toEqual([{ kind: 'duplicated', offset: 4321 - bytes, bytes }]);
    expect(checker.verified).toBe(end);
  });

  test('two large pieces exchanged: the first came late', () => {
    const received = join(part(0, 4000), part(4100, 4700), part(4000, 4100), part(4700, end));
    expect(check(received, chunkBytes).faults).toEqual([{ kind: 'reordered', offset: 4000, bytes: 100 }]);
  });

  test('two neighbouring bytes exchanged', () => {
    const received = join(part(0, 4000), part(4001, 4002), part(4000, 4001), part(4002, end));
    expect(check(received, chunkBytes).faults).toEqual([{ kind: 'reordered', offset: 4000, bytes: 2 }]);
  });

  test('bytes changed in their place', () => {
    const received = Uint8Array.from(part(0, end));
    for (let i = 4000; i < 4003; i++) received[i] = (received[i] ?? 0) ^ 0x55;
    const { faults, checker } = check(received, chunkBytes);
    expect(faults).toEqual([{ kind: 'altered', offset: 4000, bytes: 3 }]);
    expect(checker.verified).toBe(end - 3);
  });

  test('bytes of another stream in between', () => {
    const received = join(part(0, 4000), pattern(seed + 1, 0, 200), part(4000, end));
    expect(check(received, chunkBytes).faults).toEqual([{ kind: 'foreign', offset: 4000, bytes: 200 }]);
  });
});

describe('harder cases', () => {
  test('a megabyte is lost, and later another one', () => {
    const checker = new StreamChecker(seed);
    const megabyte = 1 << 20;
    for (const from of [0, 3 * megabyte, 8 * megabyte]) checker.push(pattern(seed, from, megabyte));
    expect(checker.finish()).toEqual([
      { kind: 'lost', offset: megabyte, bytes: 2 * megabyte },
      { kind: 'lost', offset: 4 * megabyte, bytes: 4 * megabyte },
    ]);
  });

  test('everything comes again from the start', () => {
    const { faults } = check(join(part(0, 50_000), part(0, 70_000)));
    expect(faults).toEqual([{ kind: 'duplicated', offset: 0, bytes: 50_000 }]);
  });

  test('a piece that was skipped comes late in two halves, and its middle never', () => {
    const received = join(part(0, 1000), part(2000, 3000), part(1000, 1400), part(1600, 2000), part(3000, 5000));
    expect(check(received).faults).toEqual([
      { kind: 'reordered', offset: 1000, bytes: 400 },
      { kind: 'lost', offset: 1400, bytes: 200 },
      { kind: 'reordered', offset: 1600, bytes: 400 },
    ]);
  });

  test('the last bytes of a stream follow a loss', () => {
    const { faults } = check(join(part(0, 1000), part(1010, 1016)));
    expect(faults).toEqual([{ kind: 'lost', offset: 1000, bytes: 10 }]);
  });

  test('a stream of other bytes is nothing but altered, and is taken without end', () => {
    const { faults, checker } = check(pattern(seed + 1, 0, 100_000));
    expect(faults.every((fault) => fault.kind === 'altered')).toBe(true);
    expect(checker.verified).toBeLessThan(1000);
  });

  test('bytes are accounted for: sent is verified, lost and altered together', () => {
    const cut = fc.tuple(fc.nat(length), fc.nat(length));
    fc.assert(
      fc.property(fc.array(cut, { maxLength: 4 }), (cuts) => {
        const edges = cuts.flat().sort((a, b) => a - b);
        const kept = [0, ...edges, length];
        const pieces: Uint8Array[] = [];
        for (let i = 0; i + 1 < kept.length; i += 2) pieces.push(part(kept[i] ?? 0, kept[i + 1] ?? 0));
        const received = join(...pieces);
        const { faults, checker } = check(received);
        const missing = faults.reduce((sum, fault) => sum + (fault.kind === 'foreign' ? 0 : fault.bytes), 0);
        expect(checker.verified + missing).toBe(checker.frontier);
        expect(faults.length === 0).toBe(Buffer.compare(received, part(0, received.length)) === 0);
      }),
      { numRuns: 60, seed: 1 },
    );
  });
});
