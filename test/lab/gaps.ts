/** How long a service was away, computed from what clients saw of it. */

export type Gap = { readonly startMs: number; readonly endMs: number };

export function gapMs(gap: Gap | undefined): number {
  return gap === undefined ? 0 : gap.endMs - gap.startMs;
}

/**
 * The longest time in which bytes were awaited and none came. Fed with facts in the order of time: `expects` when
 * something is awaited from now on, `arrived` when something came, and whether more is awaited.
 */
export class GapMeter {
  #waitingSinceMs: number | undefined;
  #longest: Gap | undefined;

  get longest(): Gap | undefined {
    return this.#longest;
  }

  /** Says nothing new while something is awaited already. */
  expects(nowMs: number): void {
    this.#waitingSinceMs ??= nowMs;
  }

  arrived(nowMs: number, expectsMore: boolean): void {
    this.#close(nowMs);
    this.#waitingSinceMs = expectsMore ? nowMs : undefined;
  }

  /** Nothing is awaited any more, although nothing came: the gap ends here. */
  gaveUp(nowMs: number): void {
    this.#close(nowMs);
    this.#waitingSinceMs = undefined;
  }

  #close(nowMs: number): void {
    if (this.#waitingSinceMs === undefined) return;
    const gap = { startMs: this.#waitingSinceMs, endMs: nowMs };
    if (this.#longest === undefined || gapMs(gap) > gapMs(this.#longest)) this.#longest = gap;
  }
}

/** One attempt to be served over a connection of its own. */
export type Attempt = { readonly startMs: number; readonly endMs: number; readonly served: boolean };

/**
 * The times without service, in their order, each at least `atLeastMs` long.
 *
 * Only an attempt that was served within `promptMs` of its start proves the service, and only for the moment in which
 * it was answered. One answered later proves nothing: its SYN was dropped while the service was away and sent again
 * by the kernel a second later, so it tells neither that the service was there when it began, nor when it came back.
 * The next fresh attempts tell that.
 *
 * A gap ends with the first proof after it (or at `untilMs`, when the last attempt was started). It begins with the
 * proof before it if a younger attempt than the proving one was waiting then, otherwise with the start of the next
 * attempt: while the prober itself stood still, nothing is known; and of an older attempt that is still waiting it is
 * known that it was lost before. So the figure is too small by less than the interval between two attempts, and in
 * the undisturbed case it is the time that one attempt takes, or the interval if that is shorter.
 */
export function serviceGaps(
  attempts: readonly Attempt[],
  options: { readonly promptMs: number; readonly untilMs: number; readonly atLeastMs: number },
): Gap[] {
  const byStart = attempts.toSorted((a, b) => a.startMs - b.startMs);
  const proofs = byStart
    .filter((attempt) => attempt.served && attempt.endMs - attempt.startMs <= options.promptMs)
    .sort((a, b) => a.endMs - b.endMs);
  const gaps: Gap[] = [];
  let proofBeforeMs = -Infinity;
  let newestServedMs = -Infinity;
  let younger = 0;
  for (const proof of [...proofs, { startMs: options.untilMs, endMs: options.untilMs }]) {
    while ((byStart[younger]?.startMs ?? Infinity) <= newestServedMs) younger++;
    const startMs = Math.max(proofBeforeMs, firstStillWaiting(byStart, younger, proofBeforeMs));
    const gap = { startMs, endMs: proof.endMs };
    if (startMs < proof.endMs && gapMs(gap) >= options.atLeastMs) gaps.push(gap);
    proofBeforeMs = proof.endMs;
    newestServedMs = Math.max(newestServedMs, proof.startMs);
  }
  return gaps;
}

/** When the first attempt, from this one on, started that has no outcome yet at `nowMs`; Infinity if there is none. */
function firstStillWaiting(byStart: readonly Attempt[], from: number, nowMs: number): number {
  for (let i = from; i < byStart.length; i++) {
    const attempt = byStart[i];
    if (attempt !== undefined && attempt.endMs > nowMs) return attempt.startMs;
  }
  return Infinity;
}

export function longestGap(gaps: readonly Gap[]): Gap | undefined {
  return gaps.reduce<Gap | undefined>((best, gap) => (gapMs(gap) > gapMs(best) ? gap : best), undefined);
}
