/**
 * The one clock. Everything that waits or measures gets it injected: monotonic milliseconds with a fraction, so that
 * a machine can be simulated and a wall clock that jumps changes nothing but log lines.
 */
export type Clock = {
  /** Monotonic time in milliseconds since an arbitrary start, with microseconds in the fraction. */
  nowMs(): number;
  /** Wall time in milliseconds since 1970, for people to read; never compare or subtract it. */
  wallMs(): number;
  /** Calls back once, not before `delayMs` (>= 0; a fraction is rounded up to the timer's millisecond). */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls back again and again, the first time after `periodMs` (>= 1). */
  every(periodMs: number, callback: () => void): Timer;
  /** Calls back in this turn of the event loop, once the sockets that are ready now have been read. */
  afterPoll(callback: () => void): Timer;
  /** Resolves after `delayMs`, or at once when the signal aborts: abort is not a failure. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
};

export type Timer = {
  cancel(): void;
};

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.max(0, Math.ceil(delayMs)));
    return { cancel: () => clearTimeout(timer) };
  },
  every(periodMs, callback) {
    const timer = setInterval(callback, periodMs);
    return { cancel: () => clearInterval(timer) };
  },
  afterPoll(callback) {
    const immediate = setImmediate(callback);
    return { cancel: () => clearImmediate(immediate) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const timer = setTimeout(done, Math.max(0, Math.ceil(delayMs)));
      signal?.addEventListener('abort', done, { once: true });
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      }
    });
  },
};

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #waiting: { atMs: number; order: number; callback: () => void }[] = [];
  #order = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#waiting.push(entry);
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
      },
    };
  }

  every(periodMs: number, callback: () => void): Timer {
    let timer: Timer;
    const schedule = (): void => {
      timer = this.after(periodMs, () => {
        schedule();
        callback();
      });
    };
    schedule();
    return { cancel: () => timer.cancel() };
  }

  afterPoll(callback: () => void): Timer {
    return this.after(0, callback);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      this.after(delayMs, resolve);
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** Moves the time on and fires, in order, what falls due on the way. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#waiting
        .filter((entry) => entry.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (next === undefined) break;
      this.#waiting = this.#waiting.filter((entry) => entry !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }
}
