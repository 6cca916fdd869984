/** When a server is checked, and how many results in a row change its health: HAProxy's words, as it is configured. */
export type CheckTiming = {
  /** From the start of one probe to the start of the next, for a server that is up. */
  readonly interMs: number;
  /** The same for one whose last results speak against its health: it is going up or down. */
  readonly fastinterMs: number;
  /** The same for one that is down. */
  readonly downinterMs: number;
  /** At most `interMs`. */
  readonly timeoutMs: number;
  /** Passed probes in a row that bring a server up, >= 1. */
  readonly rise: number;
  /** Failed probes in a row that take it down, >= 1. */
  readonly fall: number;
};
