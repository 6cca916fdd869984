/** One versioned entry of a replicated table. */

import { stringBytes, plainBytes } from './plain.ts';
import type { Plain } from './plain.ts';
import { valueBytesMax } from './limits.ts';

export type Entry<Value extends Plain = Plain> = {
  readonly key: string;
  /** Undefined in a tombstone: the key was deleted. */
  readonly value: Value | undefined;
  /** The Lamport counter of the change, 1 or more. */
  readonly counter: number;
  /** Who made the change; breaks ties between equal counters. */
  readonly origin: string;
  /** On the local monotonic clock; Infinity for what does not expire. A tombstone always expires. */
  readonly expiresAtMs: number;
};

/**
 * Who makes changes: the node's name and its process's boot identity. A node that restarts with its memory lost counts
 * from 1 again; without the boot identity it could give two different changes one version.
 */
export function originOf(node: string, bootId: string): string {
  return `${node}/${bootId}`;
}

/** Positive if `a` is the newer version, 0 if they are the same. A total order, the same on both nodes. */
export function compareVersions(a: Entry, b: Entry): number {
  if (a.counter !== b.counter) return a.counter - b.counter;
  if (a.origin === b.origin) return 0;
  return a.origin > b.origin ? 1 : -1;
}

/** The most bytes that the entry takes in a batch. */
export function entryBytes(entry: Entry): number {
  const fixed = 9 + 5 + 9 + 1;
  return fixed + stringBytes(entry.key) + (plainBytes(entry.value ?? null, valueBytesMax) ?? 0);
}
