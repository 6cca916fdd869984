import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
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
    await writer.close(10_000);
    expect(linesOf(path).length).toBe(10_000);
  });

  it('on a full disk are dropped and counted, and go on when there is a file that takes them', async () => {
    const path = join(scratch(), 'log');
    symlinkSync('/dev/full', path);
    const writer = start(path, 10_000);
    for (let i = 0; i < 5_000; i++) writer.write(`line ${i}\n`);
    expect(writer.droppedLines).toBeGreaterThan(3_000);
    await until(() => writer.trouble === 'ENOSPC');
    rmSync(path);
    await until(() => existsSync(path) && linesOf(path).length > 0);
    writer.write('after\n');
    await until(() => linesOf(path).at(-1) === 'after');
    expect(writer.trouble).toBeUndefined();
    expect(linesOf(path).slice(-3, -1)).toEqual([
      expect.stringMatching(/^line \d+$/),
      `dropped ${writer.droppedLines}`,
    ]);
  });
});

describe('lines to a file that cannot be opened', () => {
  it('wait, say why, and are written when there is a place for them', async () => {
    const directory = join(scratch(), 'later');
    const writer = start(join(directory, 'log'), 1_000);
    writer.write('early\n');
    await until(() => writer.trouble === 'ENOENT');
    mkdirSync(directory);
    await until(() => existsSync(join(directory, 'log')) && linesOf(join(directory, 'log')).length === 1);
    expect(writer.trouble).toBeUndefined();
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
    const reading = openUnread(path);
    const writers = ['a', 'b'].map(() => start(path, 1_000_000));
    for (let i = 0; i < 20_000; i++) for (const [index, writer] of writers.entries()) writer.write(`${index} ${i}\n`);
    await until(() => writers.every(({ trouble }) => trouble === 'EAGAIN'));
    const text = read(reading);
    await until(() => text().split('\n').length > 40_000);
    expect(
      text()
        .split('\n')
        .filter((line) => !/^[01] \d+$/.test(line)),
    ).toEqual(['']);
    expect(writers.map((writer) => writer.droppedLines)).toEqual([0, 0]);
  });

  it('are written by closing, though the pipe is full when it begins', async () => {
    const path = fifo();
    const reading = openUnread(path);
    const ballast = fill(path);
    const writer = start(path);
    for (let i = 0; i < 20_000; i++) writer.write(`line ${i}\n`);
    const closed = writer.close(10_000);
    const first = await Promise.race([closed.then(() => 'closed'), systemClock.sleep(100).then(() => 'waiting')]);
    expect(first).toBe('waiting');
    const text = read(reading);
    await closed;
    await until(() => text().endsWith('line 19999\n'));
    expect(text()).toBe(ballast + Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''));
  });

  it('that nobody reads are given up by closing when its time is over', async () => {
    const path = fifo();
    openUnread(path);
    fill(path);
    const writer = start(path);
    writer.write('one\n');
    const startedMs = systemClock.nowMs();
    expect(await writer.close(300)).toBe(true);
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(299);
  });

  it('that were dropped before closing are told of', async () => {
    const path = fifo();
    const text = read(openUnread(path));
    const writer = start(path, 20);
    for (let i = 0; i < 10; i++) writer.write(`line ${i}\n`);
    await writer.close(10_000);
    await until(() => text().endsWith('dropped 8\n'));
    expect(text()).toBe('line 0\nline 1\ndropped 8\n');
  });

  it.each(['a FIFO without a reader', 'a full pipe'])('%s does not keep a process from ending', async (kind) => {
    const destination = kind.startsWith('a FIFO') ? `'${fifo()}'` : '{ descriptor: 1 }';
    const pipe = openSync(fifo(), 'r+');
    const child = runWriter(destination, 'systemClock.after(300, () => process.exit(7));', pipe);
    expect(await once(child, 'exit')).toEqual([7, null]);
  });

  it('of a socket, whose writes wait, are given up by closing as well', async () => {
    const child = runWriter(
      '{ descriptor: 1 }',
      "if (!(await writer.close(300))) process.kill(process.pid, 'SIGKILL')",
      'pipe',
    );
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  });
});

/** Another process that writes 1 MB to the destination, and then does what it is told. */
function runWriter(destination: string, then: string, stdout: 'pipe' | number): ChildProcess {
  const script = `
    import { LineWriter, systemClock } from '${new URL('../../../src/runtime/index.ts', import.meta.url).href}';
    const options = { destination: ${destination}, pendingBytesMax: 1e6, gapLine: () => '' };
    const writer = new LineWriter(options, { clock: systemClock });
    for (let i = 0; i < 100_000; i++) writer.write('xxxxxxxxx\\n');
    ${then}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', stdout, 2] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function start(destination: string, pendingBytesMax = 1_000_000): LineWriter {
  const options = { destination, pendingBytesMax, gapLine: (lines: number) => `dropped ${lines}\n` };
  const writer = new LineWriter(options, { clock: systemClock });
  onTestFinished(async () => {
    await writer.close(1_000);
  });
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

/** Open for both directions: a pipe that has a reader, who does not read. */
function openUnread(path: string): number {
  const descriptor = openSync(path, 'r+');
  onTestFinished(() => closeSync(descriptor));
  return descriptor;
}

/** Until the pipe takes no more; returns what it has. */
function fill(path: string): string {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  onTestFinished(() => closeSync(descriptor));
  const line = `${'x'.repeat(4_095)}\n`;
  for (let text = ''; ; text += line) {
    try {
      writeSync(descriptor, line);
    } catch {
      return text;
    }
  }
}

/** Reads the pipe from now on; returns what has come so far. */
function read(pipe: number): () => string {
  const reader = spawn('cat', [], { stdio: [pipe, 'pipe', 'inherit'] });
  onTestFinished(() => void reader.kill());
  let text = '';
  reader.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()));
  return () => text;
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'latin1').split('\n').slice(0, -1);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5);
}
