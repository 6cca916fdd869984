import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeEnd, isSuccess, runCommand, systemClock } from '../../../src/runtime/index.ts';

const dependencies = { clock: systemClock };
const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script];

describe('runCommand', () => {
  it('answers the exit code and the last line of both streams', async () => {
    const result = await runCommand(shell('echo one; echo two >&2; echo; exit 3'), { timeoutMs: 5_000 }, dependencies);
    expect(result).toMatchObject({ ended: { how: 'exited', code: 3 }, lastLine: 'two' });
    expect([isSuccess(result), describeEnd(result)]).toEqual([false, 'exit code 3']);
  });

  it('hands words over as they are: no shell reads them', async () => {
    const result = await runCommand(['/bin/echo', '$HOME;', "a'b"], { timeoutMs: 5_000 }, dependencies);
    expect(result.lastLine).toBe("$HOME; a'b");
  });

  it('adds to the environment', async () => {
    const env = { TANDEM_TEST: 'x y' };
    const result = await runCommand(shell('echo "$TANDEM_TEST $PATH"'), { timeoutMs: 5_000, env }, dependencies);
    expect(result.lastLine).toBe(`x y ${process.env['PATH'] ?? ''}`.slice(0, 200));
  });

  it('kills what takes too long, with its children', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tandem-command-'));
    const pidFile = join(directory, 'pid');
    const script = `sleep 60 & echo $! > ${pidFile}; echo begun; wait`;
    const result = await runCommand(shell(script), { timeoutMs: 500 }, dependencies);
    expect(result).toMatchObject({ ended: { how: 'timed-out' }, lastLine: 'begun' });
    const child = readFileSync(pidFile, 'utf8').trim();
    rmSync(directory, { recursive: true });
    expect(isRunning(child)).toBe(false);
  });

  it('does not wait for what holds the output open in the background', async () => {
    const result = await runCommand(shell('sleep 3 & echo done'), { timeoutMs: 60_000 }, dependencies);
    expect(result).toMatchObject({ ended: { how: 'exited', code: 0 }, lastLine: 'done' });
    expect(result.durationMs).toBeLessThan(2_500);
  });

  it('says why something cannot be started', async () => {
    const result = await runCommand(['/nowhere/at/all'], { timeoutMs: 5_000 }, dependencies);
    expect(describeEnd(result)).toBe('cannot be started: ENOENT');
  });

  it('is killed by its signal, also by one that was given before', async () => {
    const controller = new AbortController();
    controller.abort();
    const options = { timeoutMs: 60_000, signal: controller.signal };
    const result = await runCommand(['/bin/sleep', '60'], options, dependencies);
    expect(describeEnd(result)).toBe('killed by SIGKILL');
  });

  it('keeps the end of what is said, without what a terminal would obey', async () => {
    const script = 'i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf "\\033[31mred"';
    const result = await runCommand(shell(script), { timeoutMs: 20_000 }, dependencies);
    expect(result.lastLine).toBe('?[31mred');
  });
});

/** A zombie does not run. */
function isRunning(pid: string): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) Z /.test(readFileSync(path, 'utf8'));
}
