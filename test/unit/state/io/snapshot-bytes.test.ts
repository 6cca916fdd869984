import { describe, expect, it } from 'vitest';
import { partLine, recordLine } from '../../../../src/state/index.ts';
import type { SnapshotHeader, SnapshotRecord } from '../../../../src/state/index.ts';
import { readSnapshot, snapshotPieces } from '../../../../src/state/io/index.ts';
import { systemClock } from '../../../../src/runtime/index.ts';

const header: SnapshotHeader = { format: 'tandem-state', node: 'lb1', peer: 'lb2', contents: 'sticks', wallMs: 5 };

function recordOf(index: number): SnapshotRecord {
  return { table: 'sticks', key: `web/10.0.0.${index}é`, value: 's1', counter: index + 1, origin: 'o', lifeMs: 1_000 };
}

async function piecesOf(lines: Iterable<string>): Promise<readonly Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of snapshotPieces(header, lines, { clock: systemClock })) pieces.push(piece);
  return pieces;
}

async function bytesOf(lines: Iterable<string>): Promise<Buffer> {
  return Buffer.concat(await piecesOf(lines));
}

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

function read(bytes: Uint8Array, size = 65_536) {
  return readSnapshot(cut(bytes, size), 'tandem-state');
}

describe('a snapshot', () => {
  it('is read as it was written, in whatever pieces it comes', async () => {
    const records = Array.from({ length: 20 }, (_, index) => recordOf(index));
    const bytes = await bytesOf([...records.map(recordLine), '', partLine('config', 'text')]);
    for (const size of [1, 2, 7, 100, bytes.length]) {
      expect(await read(bytes, size)).toEqual({
        ok: true,
        value: { header, records, parts: [{ kind: 'part', name: 'config', value: 'text' }], bytes: bytes.length },
      });
    }
  });

  it('is made in bounded pieces, also where most of the lines are left out', async () => {
    const many = Array.from({ length: 20_000 }, (_, index) => (index % 4 === 0 ? recordLine(recordOf(index)) : ''));
    const pieces = await piecesOf(many);
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(66_500);
    expect(pieces.length).toBeGreaterThan(10);
    expect(await read(Buffer.concat(pieces))).toMatchObject({ ok: true, value: { records: { length: 5_000 } } });
  });

  it('that ends at any byte but its last is not read', async () => {
    const bytes = await bytesOf([0, 1, 2].map(recordOf).map(recordLine));
    for (let length = 0; length < bytes.length; length++) {
      const { ok } = await read(bytes.subarray(0, length));
      expect({ length, ok }).toEqual({ length, ok: false });
    }
    expect(await read(Buffer.alloc(0))).toMatchObject({ reason: { reason: 'empty' } });
    expect(await read(bytes.subarray(0, 10))).toMatchObject({ reason: { reason: 'format' } });
    expect(await read(bytes.subarray(0, -1))).toMatchObject({ reason: { reason: 'truncated' } });
  });

  it('with any byte changed is not read', async () => {
    const bytes = await bytesOf([0, 1, 2].map(recordOf).map(recordLine));
    for (let offset = 0; offset < bytes.length; offset++) {
      for (const bit of [0x01, 0x02, 0x10, 0x20, 0x80]) {
        const changed = Buffer.from(bytes);
        changed[offset] = (changed[offset] ?? 0) ^ bit;
        const { ok } = await read(changed);
        expect({ offset, bit, ok }).toEqual({ offset, bit, ok: false });
      }
    }
  });

  it('with a line taken out, put twice or put after its end is not read', async () => {
    const lines = (await bytesOf([0, 1, 2].map(recordOf).map(recordLine))).toString().split(/(?<=\n)/);
    const [first = '', second = '', ...others] = lines;
    const reasonOf = async (text: string): Promise<unknown> => {
      const result = await read(Buffer.from(text));
      return result.ok ? 'none' : result.reason.reason;
    };
    expect(await reasonOf(lines.join(''))).toBe('none');
    expect(await reasonOf([first, ...others].join(''))).toBe('checksum');
    expect(await reasonOf([first, second, second, ...others].join(''))).toBe('checksum');
    expect(await reasonOf([...lines, second].join(''))).toBe('malformed');
    expect(await reasonOf([...lines, lines.at(-1)].join(''))).toBe('malformed');
    expect(await reasonOf(`${lines.join('')}x`)).toBe('truncated');
  });

  it('without an end of a line for megabytes is not kept in memory', async () => {
    const start = Buffer.from(`${(await bytesOf([])).toString().split('\n')[0] ?? ''}\n`);
    const endless = Buffer.concat([start, Buffer.alloc(9 * 1024 * 1024, 'x')]);
    expect(await read(endless)).toMatchObject({ ok: false, reason: { reason: 'too-large' } });
  });
});
