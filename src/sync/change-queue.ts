import type { Entry } from './entry.ts';
import { entryBytes } from './entry.ts';

/** `bytes`: the most that the entry takes in a batch. */
type Queued = { readonly entry: Entry; readonly bytes: number; readonly sinceMs: number };

/**
 * Changes in the order in which their keys first changed, the latest per key: a counter that changes a thousand times
 * before there is room for it is sent once.
 */
export class ChangeQueue {
  readonly #changes = new Map<string, Queued>();
  /** Always at the front, as only the front is ever deleted. A new iterator would step over all deleted items. */
  #keys: Iterator<string> | undefined;
  #frontKey: string | undefined;
  #bytes = 0;

  get size(): number {
    return this.#changes.size;
  }

  /** What the changes take at most when they are sent. */
  get bytes(): number {
    return this.#bytes;
  }

  put(entry: Entry, nowMs: number): void {
    const waiting = this.#changes.get(entry.key);
    const bytes = entryBytes(entry);
    this.#bytes += bytes - (waiting?.bytes ?? 0);
    this.#changes.set(entry.key, { entry, bytes, sinceMs: waiting?.sinceMs ?? nowMs });
  }

  take(): Queued | undefined {
    const front = this.#front();
    if (front === undefined) return undefined;
    this.#changes.delete(front.entry.key);
    this.#frontKey = undefined;
    this.#bytes -= front.bytes;
    return front;
  }

  /** When the change was made that waits longest; Infinity if none waits. */
  oldestMs(): number {
    return this.#front()?.sinceMs ?? Infinity;
  }

  clear(): void {
    this.#changes.clear();
    this.#keys = undefined;
    this.#frontKey = undefined;
    this.#bytes = 0;
  }

  #front(): Queued | undefined {
    if (this.#changes.size === 0) return undefined;
    if (this.#frontKey === undefined) {
      this.#keys ??= this.#changes.keys();
      this.#frontKey = this.#keys.next().value as string;
    }
    return this.#changes.get(this.#frontKey);
  }
}
