/** How much memory processes have, as the kernel counts it. */

import { readFileSync } from 'node:fs';

/**
 * The proportional set size of the processes together: what of it they share with others is divided by how many share
 * it, so that the sum counts each page once. Sockets' memory is the kernel's and not in it. Throws for one that ended.
 */
export function memoryOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + proportionalBytes(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')), 0);
}

function proportionalBytes(rollup: string): number {
  const [, kibibytes] = /^Pss:\s+(\d+) kB$/m.exec(rollup) ?? [];
  if (kibibytes === undefined) throw new Error(`no Pss in: ${rollup.slice(0, 200)}`);
  return Number(kibibytes) * 1024;
}
