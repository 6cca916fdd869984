export type {
  Flaw,
  FlawReason,
  Json,
  SnapshotFormat,
  SnapshotHeader,
  SnapshotLine,
  SnapshotRecord,
} from './snapshot.ts';
export {
  endLine,
  flaw,
  headerLine,
  isEndLine,
  parseHeader,
  parseLine,
  partLine,
  recordLine,
  remainingMs,
} from './snapshot.ts';
