import type { Verdict } from '../../vrrp/index.ts';

/** How a tracked thing is, as its source sees it. */
export type Observation = {
  readonly verdict: Verdict;
  /** Of files: the number that the weight multiplies. */
  readonly value?: number;
  /** Completes the name of the thing to a sentence: "has no carrier". */
  readonly detail: string;
};

/** What looks at one thing and tells what it sees, at first while it starts or soon after. */
export type Source = {
  start(): Promise<void>;
  stop(): Promise<void>;
};

export type Observe = (observation: Observation) => void;
