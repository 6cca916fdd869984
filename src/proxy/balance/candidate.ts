import type { Latency } from './latency.ts';

/** What a balancing algorithm sees of a server. */
export type Candidate = {
  readonly name: string;
  /** The effective weight, above 0; with a fraction while the server is on its slow start. */
  readonly weight: number;
  /** Connections open or being opened, of all workers. */
  readonly connections: number;
  /** It has all the connections that it may have. */
  readonly isFull: boolean;
  /** How long it takes to answer; undefined as long as that has not been seen. */
  readonly latency: Latency | undefined;
  /** The account of smooth round-robin, which every pick changes in place; 0 at first. */
  turn: number;
};

/** The servers that may get connections, in the order of the configuration. */
export type PoolView<Server extends Candidate> = {
  readonly servers: readonly Server[];
  /** The look-up table of `maglev`: the place of a server in `servers` for each hash. */
  readonly maglevTable: () => Uint16Array;
};

/** The connection that wants a server, and what a pick needs from the world. */
export type Question = {
  /** The client's address as text. */
  readonly source: string;
  /** Names of the servers that this connection may not go to: they have failed to connect. */
  readonly excluded: ReadonlySet<string>;
  readonly nowMs: number;
  /** Randomness in [0, 1), a new fraction with each call. */
  readonly fraction: () => number;
};
