/** What the vrrp process asks of the kernel so that nothing delays it, and what operators hear of the answer. */

import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { statusOf, waitForState } from './stage.ts';
import { pairConfig, startNode, tandem, tandemPath } from './tandem.ts';
import type { TandemNode } from './tandem.ts';
import { run } from './run.ts';

const withoutPrivileges = [
  ...['prlimit', '--memlock=65536', '--rtprio=0'],
  ...['setpriv', '--bounding-set=-sys_nice,-ipc_lock', '--inh-caps=-sys_nice,-ipc_lock'],
];
const fifoWarning = 'no SCHED_FIFO (EPERM): a busy machine delays adverts';

describe('the vrrp process', () => {
  let lab: Lab | undefined;

  afterEach(() => lab?.destroy());

  async function start(wrapper: readonly string[] = []): Promise<TandemNode> {
    lab = await createLab();
    const node = await startNode(lab, 'lb1', pairConfig(lab), wrapper);
    await waitForState(node, 'active');
    return node;
  }

  it('is real-time and has its memory locked, V8 has no helpers in it; status and doctor say so', async () => {
    const node = await start();
    // As root of a user namespace nobody gets that, and a node has to say so.
    const isPermitted = (await run(['chrt', '--fifo', '1', 'true'])).code === 0;
    const { realtime, warnings } = await statusOf(node);
    const pid = await vrrpPid(node);
    expect(realtime?.fifoScheduling).toBe(isPermitted ? 'yes' : 'EPERM');
    expect(await policyOf(pid)).toBe(isPermitted ? 'SCHED_FIFO 50' : 'SCHED_OTHER 0');
    expect(warnings.includes(fifoWarning)).toBe(!isPermitted);
    expect(await doctorsLines(node, 'realtime')).toContain(
      isPermitted ? 'ok SCHED_FIFO is to be had' : 'warn no SCHED_FIFO (EPERM): a busy machine delays adverts',
    );
    if (isPermitted) {
      expect(realtime?.lockedMemory).toBe('yes');
      expect(lockedKb(pid)).toBeGreaterThan(1_000);
      expect(await doctorsLines(node, 'realtime')).toContain('ok memory can be locked');
    }
    // V8 must not wait for threads of its own that are not real-time.
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')).toContain('--single-threaded');
  });

  it('is as any other where it may not; status and doctor say so, and it elects all the same', async () => {
    const node = await start(withoutPrivileges);
    const pid = await vrrpPid(node);
    const { realtime, warnings } = await statusOf(node);
    expect(realtime).toEqual({ fifoScheduling: 'EPERM', lockedMemory: 'ENOMEM' });
    expect(await policyOf(pid)).toBe('SCHED_OTHER 0');
    const lockWarning = 'memory is not locked (ENOMEM): what is swapped out delays adverts';
    expect(warnings).toEqual(expect.arrayContaining([fifoWarning, lockWarning]));
    expect((await tandem(node, 'status')).stdout).toContain(`! ${fifoWarning}`);
    const lines = await doctorsLines(node, 'realtime', withoutPrivileges);
    expect(lines).toEqual(['warn memory cannot be locked: what is swapped out delays adverts', `warn ${fifoWarning}`]);
  });
});

async function vrrpPid(node: TandemNode): Promise<number> {
  const { processes } = await statusOf(node);
  const pid = processes.find(({ name }) => name === 'vrrp')?.pid;
  if (pid === undefined) throw new Error('there is no vrrp process');
  return pid;
}

/** "SCHED_FIFO 50" */
async function policyOf(pid: number): Promise<string> {
  const { stdout } = await run(['chrt', '--pid', String(pid)]);
  const [, policy = '', priority = ''] = /policy: (\w+)\S*\n.*priority: (\d+)/.exec(stdout) ?? [];
  return `${policy} ${priority}`;
}

function lockedKb(pid: number): number {
  return Number(/^VmLck:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** What `tandem doctor` finds in the same circumstances: "warn no SCHED_FIFO …". */
async function doctorsLines(node: TandemNode, check: string, wrapper: readonly string[] = []): Promise<string[]> {
  const argv = [...wrapper, tandemPath, 'doctor', '-c', node.configPath, '--node', node.host.name, '--json'];
  const { stdout } = await node.host.exec(argv, { timeoutMs: 30_000 });
  const findings = JSON.parse(stdout) as { check: string; level: string; text: string }[];
  return findings.filter((finding) => finding.check === check).map(({ level, text }) => `${level} ${text}`);
}
