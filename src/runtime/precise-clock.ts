/**
 * The system's clock with timers of the kernel's precision. The event loop's own timers fire at whole milliseconds of a
 * time that it looks up once per turn: with adverts of 10 ms they come late by a tenth of an interval.
 */
import { systemClock } from './clock.ts';
import type { Clock, Timer } from './clock.ts';
import { epoll, errnoName } from './native.ts';
import type { Native, PollerHandle } from './native.ts';

type Entry = { readonly atMs: number; readonly callback: () => void };
type TimerNative = Pick<Native, 'timerOpen' | 'timerSet' | 'pollerOpen' | 'pollerAdd' | 'pollerClose' | 'close'>;

/** Its `after` has no millisecond to round up to; all else is the system clock's. The process lives until `close`. */
export class PreciseClock implements Clock {
  readonly #native: TimerNative;
  readonly #poller: PollerHandle;
  readonly #timer: number;
  /** Soonest first; of the same time in the order of asking. */
  #waiting: readonly Entry[] = [];

  constructor(dependencies: { native: TimerNative }) {
    this.#native = dependencies.native;
    const poller = this.#native.pollerOpen(new Int32Array(2), () => this.#onTime());
    this.#timer = this.#native.timerOpen();
    if (typeof poller === 'number') throw new Error(`epoll_create1: ${errnoName(poller)}`);
    if (this.#timer < 0) throw new Error(`timerfd_create: ${errnoName(this.#timer)}`);
    this.#poller = poller;
    this.#native.pollerAdd(this.#poller, this.#timer, epoll.in | epoll.edgeTriggered, 0);
  }

  nowMs(): number {
    return systemClock.nowMs();
  }

  wallMs(): number {
    return systemClock.wallMs();
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry = { atMs: this.nowMs() + Math.max(0, delayMs), callback };
    const behind = this.#waiting.findIndex(({ atMs }) => atMs > entry.atMs);
    this.#waiting = this.#waiting.toSpliced(behind < 0 ? this.#waiting.length : behind, 0, entry);
    if (this.#waiting[0] === entry) this.#arm();
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
      },
    };
  }

  every(periodMs: number, callback: () => void): Timer {
    return systemClock.every(periodMs, callback);
  }

  afterPoll(callback: () => void): Timer {
    return systemClock.afterPoll(callback);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(delayMs, signal);
  }

  /** What still waits is never called. */
  close(): void {
    this.#waiting = [];
    this.#native.pollerClose(this.#poller);
    this.#native.close(this.#timer);
  }

  /** One that was cancelled may have set the timer: then nothing is due. Later ones are not kept by one that throws. */
  #onTime(): void {
    const nowMs = this.nowMs();
    const due = this.#waiting.filter(({ atMs }) => atMs <= nowMs);
    try {
      for (const entry of due) {
        // An earlier callback may have cancelled it.
        if (!this.#waiting.includes(entry)) continue;
        this.#waiting = this.#waiting.filter((other) => other !== entry);
        entry.callback();
      }
    } finally {
      this.#arm();
    }
  }

  #arm(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    // 0 would mean never, and a part of a microsecond too early would mean once more.
    const delayUs = Math.max(1, Math.ceil((next.atMs - this.nowMs()) * 1000));
    this.#native.timerSet(this.#timer, delayUs);
  }
}
