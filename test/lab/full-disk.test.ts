/** A log on a file system that is really full, and has room again. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { LineWriter, systemClock } from '../../src/runtime/index.ts';
import { waitUntil } from './time.ts';

it('a log on a full disk loses lines, and goes on with whole ones where it left off', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-disk-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
  const path = join(directory, 'log');
  const linesOf = (): string[] => readFileSync(path, 'latin1').split('\n').slice(0, -1);
  const options = { destination: path, pendingBytesMax: 10_000, gapLine: (lines: number) => `dropped ${lines}\n` };
  const writer = new LineWriter(options, { clock: systemClock });
  onTestFinished(async () => {
    await writer.close(1_000);
  });
  await waitUntil(() => existsSync(path), { timeoutMs: 5_000, what: 'the file is there' });

  // All that is left goes to another file.
  const ballast = join(directory, 'ballast');
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${ballast} bs=1k 2>/dev/null; true`]);
  for (let i = 0; i < 5_000; i++) writer.write(`line ${i}\n`);
  expect(writer.droppedLines).toBeGreaterThan(3_000);
  rmSync(ballast);
  await waitUntil(
    () => {
      writer.write('after\n');
      return linesOf().at(-1) === 'after';
    },
    { timeoutMs: 5_000, what: 'it goes on' },
  );
  const lines = linesOf();
  expect(lines.filter((line) => !/^(line \d+|after|dropped \d+)$/.test(line))).toEqual([]);
  expect(lines.find((line) => line.startsWith('dropped'))).toBe(`dropped ${writer.droppedLines}`);
});
