/** What happened on the link since the node started, over all its connections. */
export type SyncCounters = {
  connections: number;
  entriesSent: number;
  entriesReceived: number;
  /** Of the received ones, by what became of them; the rest was applied. */
  entriesStale: number;
  entriesRejected: number;
  entriesFull: number;
  /** Entries of tables that this node does not have. */
  entriesOfUnknownTables: number;
  snapshotsSent: number;
  /** Slices of tables whose digests were compared; and those that were put off because changes were under way. */
  comparisons: number;
  comparisonsPutOff: number;
  /** Buckets of entries that differed, and entries that were taken over from the peer to mend that. */
  bucketsDifferent: number;
  entriesMended: number;
  /** How often the own queue overflowed, and how often the peer said that its had. */
  desyncs: number;
  desyncsByPeer: number;
  noticesSent: number;
  /** Notices that were not taken because too many waited. */
  noticesRefused: number;
  noticesReceived: number;
  requestsSent: number;
  requestsTimedOut: number;
  requestsReceived: number;
  /** Answers to requests that had timed out. */
  responsesLate: number;
  messagesOfUnknownType: number;
  /** Connections that were ended, by reason: faults, refusals by either side, `silent`, `greeting`, `fin`, … */
  readonly ended: Map<string, number>;
  /** Connection attempts that were turned away before their handshake, or failed in it, by reason. */
  readonly turnedAway: Map<string, number>;
};

export function createSyncCounters(): SyncCounters {
  return {
    connections: 0,
    entriesSent: 0,
    entriesReceived: 0,
    entriesStale: 0,
    entriesRejected: 0,
    entriesFull: 0,
    entriesOfUnknownTables: 0,
    snapshotsSent: 0,
    comparisons: 0,
    comparisonsPutOff: 0,
    bucketsDifferent: 0,
    entriesMended: 0,
    desyncs: 0,
    desyncsByPeer: 0,
    noticesSent: 0,
    noticesRefused: 0,
    noticesReceived: 0,
    requestsSent: 0,
    requestsTimedOut: 0,
    requestsReceived: 0,
    responsesLate: 0,
    messagesOfUnknownType: 0,
    ended: new Map(),
    turnedAway: new Map(),
  };
}

export function countReason(reasons: Map<string, number>, reason: string): void {
  reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
}
