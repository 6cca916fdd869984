import { slotsMax } from '../proxy/io/index.ts';

/**
 * Which slot of the workers' shared memory counts what. A thing keeps its slot for as long as there are others to give
 * away, so that one that goes and comes again finds the connections that it still has.
 */
export class SlotTable {
  /** The one not asked for for longest comes first. */
  readonly #slots = new Map<string, number>();
  readonly #size: number;

  constructor(size = slotsMax) {
    this.#size = size;
  }

  /** The slots that have been given away so far. */
  get used(): Iterable<number> {
    return this.#slots.values();
  }

  /** The slot of the thing of that name. */
  slotOf(key: string): number {
    // The first slot is none's.
    const slot =
      this.#slots.get(key) ?? (this.#slots.size + 1 < this.#size ? this.#slots.size + 1 : this.#takeOldest());
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    return slot;
  }

  #takeOldest(): number {
    const [oldest = ['', 1] as const] = this.#slots;
    this.#slots.delete(oldest[0]);
    return oldest[1];
  }
}
