import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makeFullPipe } from './full-pipe.ts';

describe('the log of a program', () => {
  it('is JSON lines, with every character, from the level that is worth writing', async () => {
    const child = runProgram(
      `log.debug({}, 'unheard');
       log.child({ service: 'wéb' }).warn({ server: '名前' }, 'naïve');
       log.setLevel('debug');
       log.debug({}, 'heard');
       await log.close(1_000);`,
      'pipe',
    );
    const time = expect.stringMatching(/Z$/) as string;
    expect(lines(await outputOf(child))).toEqual([
      { level: 40, time, node: 'lb1', service: 'wéb', server: '名前', msg: 'naïve' },
      { level: 20, time, node: 'lb1', msg: 'heard' },
    ]);
    expect(child.exitCode).toBe(0);
  });

  it('neither fills the memory nor keeps the program from ending when nobody reads it', async () => {
    const pipe = fullPipe();
    const child = runProgram(
      `const before = process.memoryUsage().rss;
       const line = 'x'.repeat(1_000);
       for (let turn = 0; turn < 100; turn++) {
         for (let i = 0; i < 1_000; i++) log.info({}, line);
         await systemClock.sleep(1);
       }
       process.stderr.write(String(process.memoryUsage().rss - before));
       await log.close(200);`,
      pipe,
    );
    const grownBytes = text(child.stderr ?? Readable.from([]));
    expect(await once(child, 'exit')).toEqual([0, null]);
    // Of 100 MB.
    expect(Number(await grownBytes)).toBeLessThan(60_000_000);
  });

  it('says when it cannot be closed, because nobody reads a socket that others write to as well', async () => {
    const child = runProgram(
      `for (let i = 0; i < 2_000; i++) log.info({ i }, 'x'.repeat(1_000));
       if (!(await log.close(200))) process.kill(process.pid, 'SIGTERM');`,
      'pipe',
    );
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
  });

  it('says how many lines were lost where it goes on', async () => {
    const child = runProgram(
      `for (let i = 0; i < 2_000; i++) log.info({ i }, 'x'.repeat(1_000));
       await log.close(10_000);`,
      'pipe',
    );
    const written = lines(await outputOf(child));
    const [last] = written.slice(-1);
    expect(last).toMatchObject({ level: 40, node: 'lb1', droppedLines: 2_000 - (written.length - 1) });
    expect(written.length).toBeLessThan(1_100);
  });

  it('that was never written to keeps no program from ending', async () => {
    expect(await once(runProgram('', 'pipe'), 'exit')).toEqual([0, null]);
  });
});

/** Another process that has `log` and does what it is told. */
function runProgram(program: string, stdout: 'pipe' | number): ChildProcess {
  const script = `
    import { createLogger, systemClock } from '${new URL('../../../src/runtime/index.ts', import.meta.url).href}';
    const log = createLogger({ level: 'info', fields: { node: 'lb1' } }, { clock: systemClock });
    ${program}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', stdout, 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function outputOf(child: ChildProcess): Promise<string> {
  const [output] = await Promise.all([text(child.stdout ?? Readable.from([])), once(child, 'exit')]);
  return output;
}

function lines(output: string): readonly Record<string, unknown>[] {
  return output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** With a reader that does not read. */
function fullPipe(): number {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-log-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return makeFullPipe(join(directory, 'fifo'));
}
