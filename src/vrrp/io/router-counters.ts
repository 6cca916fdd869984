import type { DropReason, IgnoreReason } from '../index.ts';
import { dropReasons, ignoreReasons } from '../index.ts';

/** Since the virtual router was made. */
export type RouterCounters = {
  /** Priority 0 included. */
  readonly advertsSent: number;
  /** Accepted ones, priority 0 included. */
  readonly advertsReceived: number;
  readonly priorityZeroSent: number;
  readonly priorityZeroReceived: number;
  readonly becameActive: number;
  readonly releasedActive: number;
  /** Accepted adverts whose addresses are not ours: one of the two configurations is wrong. */
  readonly addressListMismatches: number;
  /** Accepted IPv6 adverts that do not begin with our link-local virtual address. */
  readonly firstAddressMismatches: number;
  /** Asked of senders, and by them, whether they live now: with authentication by HMAC. */
  readonly challengesSent: number;
  readonly challengesReceived: number;
  readonly sendErrors: number;
  /** Claims and releases that failed. */
  readonly addressErrors: number;
  /** Packets that were not believed. */
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Inputs that the machine did not follow. */
  readonly ignored: Readonly<Record<IgnoreReason, number>>;
};

/** What the driver counts in; status gets a copy. */
export type MutableCounters = {
  -readonly [Name in keyof RouterCounters]: RouterCounters[Name] extends number
    ? number
    : { -readonly [Reason in keyof RouterCounters[Name]]: number };
};

export function zeroCounters(): MutableCounters {
  return {
    advertsSent: 0,
    advertsReceived: 0,
    priorityZeroSent: 0,
    priorityZeroReceived: 0,
    becameActive: 0,
    releasedActive: 0,
    addressListMismatches: 0,
    firstAddressMismatches: 0,
    challengesSent: 0,
    challengesReceived: 0,
    sendErrors: 0,
    addressErrors: 0,
    dropped: zeros(dropReasons),
    ignored: zeros(ignoreReasons),
  };
}

function zeros<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
}
