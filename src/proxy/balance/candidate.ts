/** What a balancing algorithm sees of a server that may get the next connection. */
export type Candidate = {
  readonly name: string;
  /** The effective weight, 1..256. */
  readonly weight: number;
  /** Connections open or being opened. */
  readonly connections: number;
};

/** Smooth weighted round-robin's memory: each server's current weight by name; absent counts as 0. */
export type BalanceState = ReadonlyMap<string, number>;

export type Picked<Server extends Candidate> = {
  /** Undefined when there is none to choose from. */
  readonly server: Server | undefined;
  readonly state: BalanceState;
};
