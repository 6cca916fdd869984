import { describe, expect, it } from 'vitest';
import { readPcap } from '../../lab/capture.ts';

/** A file of libpcap with frames of these bytes, at whole seconds from 100 on and 250 µs past them. */
function pcap(frames: readonly Uint8Array[], isLittleEndian = true): Buffer {
  const words = (...values: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(values.length * 4);
    values.forEach((value, i) =>
      isLittleEndian ? bytes.writeUInt32LE(value, i * 4) : bytes.writeUInt32BE(value, i * 4),
    );
    return bytes;
  };
  const header = words(0xa1b2c3d4, 0x0004_0002, 0, 0, 262_144, 1);
  return Buffer.concat([
    header,
    ...frames.flatMap((frame, i) => [words(100 + i, 250, frame.length, frame.length), frame]),
  ]);
}

describe('a capture file', () => {
  const frames = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)];

  it.each([true, false])('is read in either byte order (little-endian: %s)', (isLittleEndian) => {
    const read = readPcap(pcap(frames, isLittleEndian));
    expect(read.map(({ atMs, bytes }) => [atMs, [...bytes]])).toEqual([
      [100_000.25, [1, 2, 3]],
      [101_000.25, [4, 5]],
    ]);
  });

  it('ends with the last frame that is all there', () => {
    const file = pcap(frames);
    for (const missing of [1, 2, 17]) expect(readPcap(file.subarray(0, -missing))).toHaveLength(1);
    expect(readPcap(file.subarray(0, 24))).toEqual([]);
  });

  it('is not anything else', () => {
    expect(() => readPcap(Buffer.alloc(24))).toThrow('no pcap file');
  });
});
