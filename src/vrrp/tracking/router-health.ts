/**
 * What the things that a virtual router tracks mean for it: a fault, which keeps it out of the election, or another
 * priority. Weights are keepalived's: a negative one counts while the tracked thing is down, a positive one while it is
 * up.
 */
import type { Verdict } from './rise-fall.ts';

/** -253..253 without 0, or `fatal`: a router whose tracker is down takes no part. */
export type TrackerWeight = number | 'fatal';

export type Tracker = {
  /** For people: "interface eth1", "script /usr/local/bin/check". */
  readonly name: string;
  readonly weight: TrackerWeight;
  /** What is not known yet counts as down: a node must not serve before it knows that it can. */
  readonly verdict: Verdict;
  /** A number that the weight multiplies while the verdict is `up`; for a fatal tracker anything but 0 is a fault. */
  readonly value: number | undefined;
  /** Why the verdict is so, for people. */
  readonly detail: string;
};

export type RouterHealth = {
  /** 1..255. */
  readonly priority: number;
  /** What keeps the router out of the election, a phrase each. */
  readonly faults: readonly string[];
  /** Whether a weight makes it worth less than it could be: it gives way to a better one, even without preemption. */
  readonly isImpaired: boolean;
};

const priorityMin = 1;
/** 255 is for the owner of the addresses alone (RFC 9568, 5.2.4). */
const priorityMax = 254;
const ownerPriority = 255;

/** `basePriority` is 1..255; the owner's 255 stays whatever the weights say, faults count for it as well. */
export function routerHealth(basePriority: number, trackers: readonly Tracker[]): RouterHealth {
  const faults = trackers.filter(isFault).map(({ name, detail }) => `${name} ${detail}`);
  if (basePriority === ownerPriority) return { priority: basePriority, faults, isImpaired: false };
  const sum = trackers.reduce((total, tracker) => total + contribution(tracker), 0);
  const priority = Math.min(priorityMax, Math.max(priorityMin, basePriority + sum));
  return { priority, faults, isImpaired: trackers.some(isImpairing) };
}

/** What a tracker adds to the priority now, -253..253. */
export function contribution({ weight, verdict, value }: Tracker): number {
  if (weight === 'fatal') return 0;
  if (verdict !== 'up') return Math.min(0, weight);
  if (value === undefined) return Math.max(0, weight);
  const product = Math.min(253, Math.max(-253, value * weight));
  // Not -0, which nobody expects to read.
  return product === 0 ? 0 : product;
}

function isFault({ weight, verdict, value = 0 }: Tracker): boolean {
  return weight === 'fatal' && (verdict !== 'up' || value !== 0);
}

function isImpairing(tracker: Tracker): boolean {
  return tracker.weight !== 'fatal' && (tracker.verdict !== 'up' || contribution(tracker) < 0);
}
