import { readdirSync, statSync } from 'node:fs';

/**
 * The processes that live in a network namespace, as /proc shows them at this moment. Read here and not by
 * `ip netns pids`, so that they can be killed within a fraction of a millisecond of each other.
 */
export function processesIn(namespace: string): number[] {
  const inode = namespaceInode(`/run/netns/${namespace}`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => inode !== undefined && namespaceInode(`/proc/${pid}/ns/net`) === inode);
}

/** Undefined for what has vanished meanwhile, and for processes of others. */
function namespaceInode(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined;
  }
}
