import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LineWriter, systemClock } from '../../../src/runtime/index.ts';

describe('lines to a file', () => {
  it('arrive in their order, and behind what is there already', async () => {
    const path = join(scratch(), 'log');
    appendFileSync(path, 'old\n');
    const writer = start(path);
    for (let i = 0; i < 20_000; i++) writer.write(`line ${i}\n`);
    await until(() => linesOf(path).length === 20_001);
    expect(linesOf(path)).toEqual(['old', ...Array.from({ length: 20_000 }, (_, i) => `line ${i}`)]);
    expect(writer.droppedLines).toBe(0);
  });

  it('go on in a new file when the old one was moved away, and none is lost', async () => {
    const path = join(scratch(), 'log');
    const writer = start(path);
    writer.write('one\n');
    await until(() => existsSync(path) && linesOf(path).length === 1);
    renameSync(path, `${path}.1`);
    let count = 0;
    await until(() => {
      writer.write(`${++count}\n`);
      return existsSync(path) && linesOf(path).length > 0;
    });
    await until(() => linesOf(`${path}.1`).length + linesOf(path).length === count + 1);
    const [, ...numbers] = [...linesOf(`${path}.1`), ...linesOf(path)];
    expect(numbers).toEqual(Array.from({ length: count }, (_, i) => `${i + 1}`));
  });

  it('go on in the file that somebody has put in the place of the old one', async () => {
    const path = join(scratch(), 'log');
    const writer = start(path);
    writer.write('one\n');
    await until(() => existsSync(path) && linesOf(path).length === 1);
    renameSync(path, `${path}.1`);
    appendFileSync(path, 'new\n');
    await until(() => {
      writer.write('more\n');
      return linesOf(path).length > 1;
    });
    expect(linesOf(path).slice(0, 2)).toEqual(['new', 'more']);
  });

  it('are all there after closing', async () => {
    const path = join(scratch(), 'log');
    const writer = start(path);
    for (let i = 0; i < 10_000; i++) writer.write(`line ${i}\n`);
    await writer.close();
    expect(linesOf(path).length).toBe(10_000);
  });

  it('on a full disk are dropped and counted, and go on when there is a file that takes them', async () => {
    const path = join(scratch(), 'log');
    symlinkSync('/dev/full', path);
    const writer = start(path, 10_000);
    for (let i = 0; i < 5_000; i++) writer.write(`line ${i}\n`);
    expect(writer.droppedLines).toBeGreaterThan(3_000);
    rmSync(path);
    await until(() => existsSync(path) && linesOf(path).length > 0);
    writer.write('after\n');
    await until(() => linesOf(path).at(-1) === 'after');
    expect(linesOf(path).slice(-3, -1)).toEqual([
      expect.stringMatching(/^line \d+$/),
      `dropped ${writer.droppedLines}`,
    ]);
  });
});

describe('lines to a pipe', () => {
  it('that nobody reads are dropped beyond the bound; those before come when somebody reads', async () => {
    const path = fifo();
    const writer = start(path, 1000);
    for (let i = 0; i < 1000; i++) writer.write(`line ${i}\n`);
    expect(writer.droppedLines).toBeGreaterThan(800);
    const reader = spawn('cat', [path]);
    onTestFinished(() => void reader.kill());
    let text = '';
    reader.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
    await until(() => text.includes('line 50\n'));
    expect(text.startsWith('line 0\nline 1\n')).toBe(true);
    writer.write('more\n');
    await until(() => text.endsWith(`dropped ${writer.droppedLines}\nmore\n`));
  });

  it('that is full wait without holding up the process, and none is torn by another writer', async () => {
    const path = fifo();
    // Open for both directions, so that the pipe has a reader who does not read.
    const reading = openSync(path, 'r+');
    const writers = ['a', 'b'].map(() => start(path, 1_000_000));
    for (let i = 0; i < 20_000; i++) for (const [index, writer] of writers.entries()) writer.write(`${index} ${i}\n`);
    await systemClock.sleep(200);
    const reader = spawn('cat', [], { stdio: [reading, 'pipe', 'inherit'] });
    onTestFinished(() => void reader.kill());
    let text = '';
    reader.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()));
    await until(() => text.split('\n').length > 40_000);
    expect(text.split('\n').filter((line) => !/^[01] \d+$/.test(line))).toEqual(['']);
    expect(writers.map((writer) => writer.droppedLines)).toEqual([0, 0]);
  });

  it.each(['a FIFO without a reader', 'a full pipe'])('%s does not keep a process from ending', async (kind) => {
    const destination = kind.startsWith('a FIFO') ? `'${fifo()}'` : '{ descriptor: 1 }';
    const script = `
      import { LineWriter, systemClock } from '${new URL('../../../src/runtime/index.ts', import.meta.url).href}';
      const options = { destination: ${destination}, pendingBytesMax: 1e6, gapLine: () => '' };
      const writer = new LineWriter(options, { clock: systemClock });
      for (let i = 0; i < 100_000; i++) writer.write('xxxxxxxxx\\n');
      systemClock.after(300, () => process.exit(7));`;
    const pipe = openSync(fifo(), 'r+');
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', pipe, 2] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(7);
  });
});

function start(destination: string, pendingBytesMax = 1_000_000): LineWriter {
  const options = { destination, pendingBytesMax, gapLine: (lines: number) => `dropped ${lines}\n` };
  const writer = new LineWriter(options, { clock: systemClock });
  onTestFinished(() => writer.close());
  return writer;
}

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-lines-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function fifo(): string {
  const path = join(scratch(), 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'latin1').split('\n').slice(0, -1);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5);
}
