/** State on real disks: a writer that is killed at any moment, a disk that is full, and one that cannot be written. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { seededRandom, systemClock } from '../../src/runtime/index.ts';
import { recordLine } from '../../src/state/index.ts';
import { KeptFile } from '../../src/state/io/index.ts';
import { sleep, waitUntil } from './time.ts';

const header = { format: 'tandem-state', node: 'lb1', peer: 'lb2', contents: 'sticks' } as const;

it('a writer that is killed at any moment leaves a whole file, and loses nothing that was written before', async () => {
  const path = join(directoryFor(), 'lb1.sticks.state');
  const random = seededRandom(7);
  let last = 0;
  const found: number[] = [];
  for (let kill = 0; kill < 50; kill++) {
    const told = await writeUntilKilled(path, last, random.next() * 40);
    const { file, troubles } = kept(path, () => []);
    const records = (await file.read())?.records ?? [];
    const values = new Set(records.map(({ value }) => Number(value)));
    expect({ kill, troubles, count: records.length, values: values.size }).toEqual({
      ...{ kill, troubles: [], count: 5_000, values: 1 },
    });
    const [value = 0] = values;
    expect(value).toBeGreaterThanOrEqual(told);
    found.push(value);
    last = value;
  }
  expect(found.toSorted((a, b) => a - b)).toEqual(found);
  expect(new Set(found).size).toBeGreaterThan(25);
}, 180_000);

it.each([
  ['full', 'ENOSPC', fill],
  ['read-only', 'EROFS', makeReadOnly],
])(
  'a disk that is %s keeps what it had, is complained of once, and is written again as soon as it can be',
  async (_what, code, spoil) => {
    const directory = directoryFor();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
    onTestFinished(() => void execFileSync('umount', ['-l', directory]));
    const path = join(directory, 'lb1.sticks.state');
    let lines = manyLines('old');
    const { file, troubles } = kept(path, () => lines);
    await file.read();
    file.touch();
    await waitUntil(() => file.status().writtenForMs !== undefined, { timeoutMs: 5_000, what: 'it is written' });
    const before = readFileSync(path);

    const repair = spoil(directory);
    lines = manyLines('new');
    file.touch();
    await waitUntil(() => file.status().trouble === code, { timeoutMs: 5_000, what: `the disk says ${code}` });
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(directory)).not.toContain('lb1.sticks.state.tmp');

    repair();
    await waitUntil(() => file.status().trouble === undefined, { timeoutMs: 15_000, what: 'it is written again' });
    const later = kept(path, () => []);
    const read = await later.file.read();
    expect(new Set(read?.records.map(({ value }) => value))).toEqual(new Set(['new']));
    expect(troubles).toEqual([code, 'recovered']);
  },
);

it('a file that cannot be read or renamed now is not written over when it could be', async () => {
  const directory = directoryFor();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
  const path = join(directory, 'lb1.sticks.state');
  writeFileSync(path, 'precious, though of no use');
  const repair = makeReadOnly(directory);
  const { file, troubles } = kept(path, () => manyLines('new'));
  expect(await file.read()).toBeUndefined();
  repair();
  file.touch();
  await waitUntil(() => file.status().writtenForMs !== undefined, { timeoutMs: 15_000, what: 'it is written' });
  const [aside = ''] = file.status().setAside;
  expect(readFileSync(aside, 'utf8')).toBe('precious, though of no use');
  expect(troubles).toEqual(['EROFS', 'set aside undefined', `set aside ${aside}`, 'recovered']);
});

it("a file that could not be renamed, and that somebody has taken away, is in nobody's way", async () => {
  const directory = directoryFor();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
  const path = join(directory, 'lb1.sticks.state');
  writeFileSync(path, 'of no use');
  const repair = makeReadOnly(directory);
  const { file, troubles } = kept(path, () => manyLines('new'));
  expect(await file.read()).toBeUndefined();
  repair();
  rmSync(path);
  await waitUntil(() => file.status().writtenForMs !== undefined, { timeoutMs: 15_000, what: 'it is written' });
  expect(file.status()).toMatchObject({ trouble: undefined, setAside: [] });
  expect(troubles).toEqual(['EROFS', 'set aside undefined', 'recovered']);
});

it('a disk that is read-only when the node starts is written as soon as it can be, without any change', async () => {
  const directory = directoryFor();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory]);
  onTestFinished(() => void execFileSync('umount', ['-l', directory]));
  const repair = makeReadOnly(directory);
  const { file, troubles } = kept(join(directory, 'state', 'lb1.sticks.state'), () => []);
  expect(await file.read()).toBeUndefined();
  expect(file.status().trouble).toBe('EROFS');
  repair();
  await waitUntil(() => file.status().trouble === undefined, { timeoutMs: 15_000, what: 'it is written' });
  expect(troubles).toEqual(['EROFS', 'recovered']);
});

function directoryFor(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-state-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

function kept(path: string, lines: () => Iterable<string>) {
  const troubles: string[] = [];
  const file = new KeptFile(
    { path, header, pauseMs: 0, lines },
    {
      clock: systemClock,
      events: {
        onSetAside: (_why, aside) => troubles.push(`set aside ${aside}`),
        onTrouble: (trouble) => troubles.push(trouble),
        onRecovered: () => troubles.push('recovered'),
      },
    },
  );
  onTestFinished(() => file.close(5_000));
  return { file, troubles };
}

/** About 60 kB. */
function manyLines(value: string): string[] {
  return Array.from({ length: 1_000 }, (_, index) =>
    recordLine({ table: 't', key: `web/10.1.2.${index}`, value, counter: 1, origin: 'lb1/boot', lifeMs: 60_000 }),
  );
}

/** Answers the number of the last snapshot that the writer has told to be whole. */
async function writeUntilKilled(path: string, first: number, delayMs: number): Promise<number> {
  const program = join(import.meta.dirname, 'state-writer.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, path, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const ended = new Promise((resolve) => child.once('close', resolve));
  await waitUntil(() => output.includes('\n') || child.exitCode !== null, { timeoutMs: 20_000, what: 'it writes' });
  await sleep(delayMs);
  child.kill('SIGKILL');
  await ended;
  return Number(output.split('\n').at(-2));
}

function fill(directory: string): () => void {
  const ballast = join(directory, 'ballast');
  execFileSync('sh', ['-c', `dd if=/dev/zero of=${ballast} bs=1k 2>/dev/null; true`]);
  return () => rmSync(ballast);
}

function makeReadOnly(directory: string): () => void {
  execFileSync('mount', ['-o', 'remount,ro', directory]);
  return () => void execFileSync('mount', ['-o', 'remount,rw', directory]);
}
