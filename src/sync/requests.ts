import { requestsInFlightMax } from './limits.ts';

/** The own requests that have no answer yet, by their id, each with its deadline. */
export class RequestsInFlight {
  readonly #deadlinesMs = new Map<number, number>();
  #lastId = 0;

  /** The id of a new request; undefined when too many are in flight. */
  open(deadlineMs: number): number | undefined {
    if (this.#deadlinesMs.size >= requestsInFlightMax) return undefined;
    this.#deadlinesMs.set(++this.#lastId, deadlineMs);
    return this.#lastId;
  }

  /** False if there is no such request (any more). */
  settle(id: number): boolean {
    return this.#deadlinesMs.delete(id);
  }

  /** Takes out the requests whose time is over. */
  expire(nowMs: number): number[] {
    const expired = [...this.#deadlinesMs].filter(([, deadlineMs]) => deadlineMs <= nowMs).map(([id]) => id);
    for (const id of expired) this.#deadlinesMs.delete(id);
    return expired;
  }

  nextDeadlineMs(): number {
    return Math.min(Infinity, ...this.#deadlinesMs.values());
  }
}
