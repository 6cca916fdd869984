/**
 * Numbers that all workers of a node share, so that a limit holds for all of them together: a table in shared memory
 * with a row for each worker. A worker writes to its own row alone; what is true of all is the sum of the rows, and
 * what a worker held that has died is gone with its row. Nobody ever waits for another process.
 */
import { assert } from '../../base/index.ts';
import { errnoName } from '../../runtime/index.ts';
import type { Native } from '../../runtime/index.ts';

/** What there is of each thing that is counted: connections held, clients waiting, the ticket of the first of them. */
const cellsPerSlot = 4;
const waitingCell = 1;
const ticketCell = 2;

/** Things that can be counted: servers, and queues of services. A slot that is not used costs nothing. */
export const slotsMax = 131_072;
const rowCells = slotsMax * cellsPerSlot;
const bytesPerRow = rowCells * Int32Array.BYTES_PER_ELEMENT;

/** The first slot is no thing's: its first cell, in the first row, counts tickets. */
const ticketCounter = 0;

export type SharedMemory = {
  /** What other processes inherit. */
  readonly fd: number;
  readonly workers: number;
};

/** Throws when the kernel has no memory for it. */
export function createSharedMemory(native: Native, workers: number): SharedMemory {
  const fd = native.memoryOpen(workers * bytesPerRow);
  if (fd < 0) throw new Error(`memfd_create: ${errnoName(fd)}`);
  return { fd, workers };
}

export class SharedCounts {
  readonly workers: number;
  readonly #native: Native;
  readonly #cells: Int32Array;

  constructor(native: Native, { fd, workers }: SharedMemory) {
    const memory = native.memoryMap(fd, workers * bytesPerRow);
    if (typeof memory === 'number') throw new Error(`mmap: ${errnoName(memory)}`);
    this.#native = native;
    this.#cells = new Int32Array(memory);
    this.workers = workers;
  }

  /** The slot as that worker sees and changes it. */
  slot(index: number, worker: number): Slot {
    assert(index > 0 && index < slotsMax, `slot ${index} exists`);
    const { workers } = this;
    return new Slot(this.#native, { cells: this.#cells, first: index * cellsPerSlot, step: rowCells, workers, worker });
  }

  /** Numbers that rise, over all workers: who has the lower one came first. They wrap. */
  nextTicket(): number {
    return this.#native.cellAdd(this.#cells, ticketCounter, 1);
  }

  /** A worker has died: what it held is free, and nobody waits there. */
  clearRow(worker: number, slots: Iterable<number>): void {
    const row = worker * rowCells;
    for (const slot of slots) {
      for (let cell = 0; cell < cellsPerSlot; cell++) {
        this.#native.cellSet(this.#cells, row + slot * cellsPerSlot + cell, 0);
      }
    }
  }
}

type SlotPlace = {
  readonly cells: Int32Array;
  readonly first: number;
  readonly step: number;
  readonly workers: number;
  readonly worker: number;
};

/** One thing that is counted over all workers, from the view of one of them. */
export class Slot {
  readonly #native: Native;
  readonly #place: SlotPlace;
  readonly #own: number;

  constructor(native: Native, place: SlotPlace) {
    this.#native = native;
    this.#place = place;
    this.#own = place.first + place.worker * place.step;
  }

  /** What all workers hold together. */
  get held(): number {
    return this.#sum(0);
  }

  /** How many clients wait, at all workers together. */
  get waiting(): number {
    return this.#sum(waitingCell);
  }

  /** Holds one more, unless all together would then hold more than the limit; how many there are now, or 0. */
  acquire(limit: number): number {
    const { cells, first, step, workers } = this.#place;
    return this.#native.cellAcquire(cells, this.#own, first, step, workers, limit);
  }

  /** Holds one more, whatever there is. */
  add(): void {
    this.#native.cellAdd(this.#place.cells, this.#own, 1);
  }

  release(): void {
    this.#native.cellAdd(this.#place.cells, this.#own, -1);
  }

  /** Tells the others how many clients wait here, and the ticket of the first. */
  tellWaiting(count: number, firstTicket: number): void {
    this.#native.cellSet(this.#place.cells, this.#own + ticketCell, firstTicket);
    this.#native.cellSet(this.#place.cells, this.#own + waitingCell, count);
  }

  /** The worker where the client waits that came before all others; undefined when nobody waits. */
  firstWaiting(): { readonly worker: number; readonly ticket: number } | undefined {
    const { cells, first, step, workers } = this.#place;
    let found: { worker: number; ticket: number } | undefined;
    for (let worker = 0; worker < workers; worker++) {
      const row = first + worker * step;
      if (Atomics.load(cells, row + waitingCell) === 0) continue;
      const ticket = Atomics.load(cells, row + ticketCell);
      if (found === undefined || isBefore(ticket, found.ticket)) found = { worker, ticket };
    }
    return found;
  }

  #sum(cell: number): number {
    const { cells, first, step, workers } = this.#place;
    let sum = 0;
    for (let worker = 0; worker < workers; worker++) sum += Atomics.load(cells, first + worker * step + cell);
    return sum;
  }
}

/** Where nothing is shared: a slot of one worker alone. */
export function ownSlot(native: Native): Slot {
  return new Slot(native, { cells: new Int32Array(cellsPerSlot), first: 0, step: 0, workers: 1, worker: 0 });
}

/** Whether one ticket was drawn before another; right as long as they are not half of all numbers apart. */
export function isBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
