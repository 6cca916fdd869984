import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { heldCapabilities, keepCapabilities } from '../../../src/runtime/index.ts';

const module = new URL('../../../src/runtime/index.ts', import.meta.url).href;

/** What every thread of a process may do after it has given up the rest, and what a program that it starts may. */
function afterKeeping(isFinal: boolean): { outcome: string; threads: readonly string[]; child: string } {
  const program = `
    import { execFileSync } from 'node:child_process';
    import { readdirSync, readFileSync } from 'node:fs';
    import { readFile } from 'node:fs/promises';
    import { keepCapabilities, loadNative } from '${module}';
    await readFile('/proc/self/status');
    const outcome = keepCapabilities(loadNative(), ['CAP_NET_ADMIN', 'CAP_NET_RAW'], { isFinal: ${isFinal} });
    const statusOf = (id) => readFileSync('/proc/self/task/' + id + '/status', 'utf8');
    const threads = readdirSync('/proc/self/task').map(statusOf);
    const child = execFileSync('cat', ['/proc/self/status'], { encoding: 'utf8' });
    console.log(JSON.stringify({ outcome, threads, child }));`;
  const args = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program];
  const output = execFileSync(process.execPath, args, { encoding: 'utf8' });
  return JSON.parse(output) as ReturnType<typeof afterKeeping>;
}

function field(status: string, name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)$`, 'm').exec(status)?.[1] ?? '';
}

/** Root has these here; another user has none of them. */
const isRoot = process.geteuid?.() === 0;
const kept = isRoot ? ['CAP_NET_ADMIN', 'CAP_NET_RAW'] : [];

describe('keepCapabilities', () => {
  it('leaves every thread what is kept, and no way back when it is final', () => {
    const { outcome, threads, child } = afterKeeping(true);
    expect(outcome).toBe('yes');
    // Those of V8 and of the file system were there before.
    expect(threads.length).toBeGreaterThan(4);
    for (const status of [...threads, child]) {
      expect(heldCapabilities(status)).toEqual(kept);
      expect(field(status, 'CapPrm')).toBe(field(status, 'CapEff'));
      expect(field(status, 'CapInh')).toBe('0000000000000000');
      expect(field(status, 'NoNewPrivs')).toBe('1');
      if (isRoot) expect(field(status, 'CapBnd')).toBe(field(status, 'CapEff'));
    }
  });

  it('leaves to programs that are started later what they had, when it is not final', () => {
    const { outcome, threads, child } = afterKeeping(false);
    const own = execFileSync('cat', ['/proc/self/status'], { encoding: 'utf8' });
    expect(outcome).toBe('yes');
    for (const status of threads) expect(heldCapabilities(status)).toEqual(kept);
    for (const name of ['CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs']) expect(field(child, name)).toBe(field(own, name));
  });

  it('hands the kernel the numbers of linux/capability.h, and tells its refusal', () => {
    const asked: number[][] = [];
    const limitCapabilities = (mask: number, isFinal: number): number => {
      asked.push([mask, isFinal]);
      return -1;
    };
    const all = ['CAP_NET_BIND_SERVICE', 'CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_IPC_LOCK', 'CAP_SYS_NICE'] as const;
    expect(keepCapabilities({ limitCapabilities }, all, { isFinal: true })).toBe('EPERM');
    expect(asked).toEqual([[2 ** 10 + 2 ** 12 + 2 ** 13 + 2 ** 14 + 2 ** 23, 1]]);
  });
});

describe('heldCapabilities', () => {
  it('names those of the kernel, and numbers those that it does not know', () => {
    expect(heldCapabilities('CapEff:\t0000000000003400')).toEqual([
      'CAP_NET_BIND_SERVICE',
      'CAP_NET_ADMIN',
      'CAP_NET_RAW',
    ]);
    expect(heldCapabilities('CapEff:\t8000010000000001')).toEqual(['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE', 'CAP_63']);
  });
});
