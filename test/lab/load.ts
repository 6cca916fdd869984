/** A machine that has other things to do: every core is busy several times over, and a file is synced in a loop. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Host } from './host.ts';
import type { LabProcess } from './lab-process.ts';

export type Load = {
  /** Resolves when nothing of it runs any more; fails if a part of it had ended before. */
  readonly stop: () => Promise<void>;
};

const busyLoopsPerCore = 2;
const busyLoop = 'while :; do :; done';
/** A megabyte at a time; `$0` is the file. */
const fsyncLoop =
  'echo begun; while dd if=/dev/zero of="$0" bs=64k count=16 conv=notrunc,fsync status=none; do :; done';

/** Namespaces share the machine, so that a load in one host is one for all. The directory is to be on a disk. */
export async function startLoad(host: Host, directory: string): Promise<Load> {
  const busy = Array.from({ length: busyLoopsPerCore * availableParallelism() }, () =>
    host.spawn(['sh', '-c', busyLoop]),
  );
  const writer = host.spawn(['sh', '-c', fsyncLoop, join(directory, 'fsynced')]);
  await writer.waitForLine(/begun/, 10_000);
  return { stop: () => end([...busy, writer]) };
}

async function end(processes: readonly LabProcess[]): Promise<void> {
  const idle = processes.filter(({ exit }) => exit !== undefined);
  for (const process of processes) process.kill('SIGKILL');
  await Promise.all(processes.map((process) => process.exited));
  for (const process of idle) throw new Error(process.describe('was to go on'));
}
