/**
 * Every bound of the protocol, and why it is what it is. Bounds on what arrives are part of the protocol: a peer that
 * exceeds one is ended as malformed. Bounds on what is sent keep this node inside them and its event loop short.
 */

/**
 * The versions that this node speaks, and the two nodes speak the newest that both do: so a pair is upgraded one node
 * at a time. Hello and the framing stay readable for ever. Since 2 the nodes compare digests of their tables.
 */
export const oldestVersion = 1;
export const newestVersion = 2;

/** A frame's payload. Far above a batch, so that one large request (a dumped socket) fits as well. */
export const frameBytesMax = 256 * 1024;

/** Characters of node, table, method and notice names, hashes and boot identities. */
export const nameLengthMax = 128;
export const keyLengthMax = 512;
/** Characters of the text in a refusal of a request. */
export const errorLengthMax = 1_024;
export const tablesMax = 64;
export const valueBytesMax = 16 * 1024;
/** Nesting of a value: lists in maps in lists. */
export const valueDepthMax = 8;
export const noticeBytesMax = 16 * 1024;
/** Parameters or result of a request: a frame less its envelope. */
export const bodyBytesMax = frameBytesMax - 4 * 1024;
/** A Lamport counter: at a million changes per second it lasts for nine years. */
export const counterMax = 2 ** 48;
/** Ten years; what lives longer does not expire. */
export const ttlMsMax = 10 * 366 * 86_400_000;
export const batchEntriesMax = 4_096;
/** In one comparison. Far fewer than a table may have: it is gone through slice by slice. */
export const bucketsMax = 512;
/** Of what a bucket's number may be: there are `counterMax` counters. */
export const bucketIdMax = 2 ** 38;

/** What this node puts into one batch: about a millisecond of work for the peer. */
export const batchEntries = 512;
export const batchBytes = 32 * 1024;

/** Own notices that wait; one more is not accepted. */
export const noticesWaitingMax = 256;
/** Requests without an answer, in each direction. */
export const requestsInFlightMax = 64;
/** Frames ahead of table data that wait because the peer does not read; its next request then ends the connection. */
export const framesWaitingMax = 1_024;

export type SessionLimits = {
  /**
   * Table data sent and not yet acknowledged. Small, because the peer may find all of it at once in its socket and
   * must get through it without stalling its event loop; large enough to keep both nodes busy.
   */
  readonly windowEntriesMax: number;
  readonly windowBytesMax: number;
  /** Changes of one table that wait for the window; one more desynchronises the table. */
  readonly queueEntriesMax: number;
  readonly queueBytesMax: number;
  /** Between two slices of a table that are compared. */
  readonly comparePeriodMs: number;
  /** From the connection to the peer's hello and welcome. */
  readonly greetingTimeoutMs: number;
};

export const defaultSessionLimits: SessionLimits = {
  windowEntriesMax: 4_096,
  windowBytesMax: 256 * 1024,
  queueEntriesMax: 100_000,
  queueBytesMax: 32 * 1024 * 1024,
  comparePeriodMs: 1_000,
  greetingTimeoutMs: 2_000,
};
