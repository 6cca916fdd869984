/** Time for the lab's programs: one scale for all processes of the machine, so that their reports can be compared. */

/** Milliseconds of CLOCK_MONOTONIC: the same number in every process of this machine at one moment. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Rejects with what was awaited when the promise has not settled within the time; the promise itself goes on. */
export async function within<Value>(timeoutMs: number, what: string, promise: Promise<Value>): Promise<Value> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms in vain: ${what}`)), timeoutMs);
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

export type WaitOptions = {
  readonly timeoutMs: number;
  /** What is awaited, as the time-out's error shall say it: "lb2 is active". */
  readonly what: string;
  /** Between the end of one look and the next; default 10. */
  readonly everyMs?: number;
};

/**
 * Asks again and again until the answer is neither false nor undefined, and returns it. A condition that throws is
 * one that does not hold yet; the time-out's error carries the last one thrown as its cause.
 */
export async function waitUntil<Value>(
  condition: () => Value | false | undefined | Promise<Value | false | undefined>,
  options: WaitOptions,
): Promise<Value> {
  const deadlineMs = monotonicMs() + options.timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await condition();
      if (answer !== undefined && answer !== false) return answer;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (monotonicMs() >= deadlineMs) {
      throw new Error(`waited ${options.timeoutMs} ms in vain: ${options.what}`, { cause });
    }
    await sleep(options.everyMs ?? 10);
  }
}
