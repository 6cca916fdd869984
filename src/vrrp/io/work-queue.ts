import type { RouterEffect } from '../index.ts';

/** The effects that touch the world, in an order that must hold. */
export type Work = Extract<
  RouterEffect,
  { readonly type: 'claim-addresses' | 'release-addresses' | 'send-advert' | 'announce' }
>;

/**
 * Performs work one after the other, each when the one before is done; without waiting where there is nothing to wait
 * for. A release takes away what only an active router does and has not begun. Of each kind one waits at most: a slow
 * claim does not end in a burst of adverts, and the queue cannot grow.
 */
export class WorkQueue {
  readonly #perform: (work: Work) => Promise<void> | undefined;
  #waiting: readonly Work[] = [];
  #isBusy = false;
  #idleWaiters: (() => void)[] = [];

  constructor(perform: (work: Work) => Promise<void> | undefined) {
    this.#perform = perform;
  }

  add(work: Work): void {
    if (work.type === 'release-addresses') this.#waiting = this.#waiting.filter(isOfNobody);
    const isWaiting = this.#waiting.some((other) => isSameKind(other, work));
    // The newer one stands for both: an advert's priority may have changed.
    if (isWaiting) this.#waiting = this.#waiting.map((other) => (isSameKind(other, work) ? work : other));
    else this.#waiting = [...this.#waiting, work];
  }

  /** Performs what waits, unless that is under way. */
  run(): void {
    for (let [work] = this.#waiting; work !== undefined && !this.#isBusy; [work] = this.#waiting) {
      this.#waiting = this.#waiting.slice(1);
      const done = this.#perform(work);
      if (done === undefined) continue;
      this.#isBusy = true;
      void done.finally(() => {
        this.#isBusy = false;
        this.run();
      });
    }
    if (!this.#isBusy) this.#wakeIdle();
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (!this.#isBusy && this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #wakeIdle(): void {
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}

/** Whether it is to be done also by a router that is not active (any more). */
function isOfNobody(work: Work): boolean {
  return work.type === 'release-addresses' || (work.type === 'send-advert' && work.priority === 0);
}

function isSameKind(a: Work, b: Work): boolean {
  if (a.type === 'send-advert' && b.type === 'send-advert') return (a.priority === 0) === (b.priority === 0);
  return a.type === b.type;
}
