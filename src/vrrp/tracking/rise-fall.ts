/** Whether something that is looked at again and again is well: a single slip need not mean anything. */

export type Verdict = 'unknown' | 'up' | 'down';

export type RiseFall = {
  /** How many looks in a row must pass until what is down is up. */
  readonly rise: number;
  /** How many looks in a row must fail until what is up is down. */
  readonly fall: number;
};

export type Tally = {
  readonly verdict: Verdict;
  /** How many looks in a row have contradicted the verdict. */
  readonly against: number;
};

export const untold: Tally = { verdict: 'unknown', against: 0 };

/** The first look decides at once: a node that starts shall not wait to know how it is. */
export function count(tally: Tally, passed: boolean, { rise, fall }: RiseFall): Tally {
  const seen = passed ? 'up' : 'down';
  if (tally.verdict === 'unknown') return { verdict: seen, against: 0 };
  if (tally.verdict === seen) return tally.against === 0 ? tally : { ...tally, against: 0 };
  const against = tally.against + 1;
  return against >= (passed ? rise : fall) ? { verdict: seen, against: 0 } : { ...tally, against };
}
