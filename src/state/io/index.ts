export { KeptFile } from './kept-file.ts';
export type { KeptFileEvents, KeptFileOptions, KeptFileStatus } from './kept-file.ts';
export { replaceFile } from './replace-file.ts';
export { readSnapshot, snapshotPieces } from './snapshot-bytes.ts';
export type { Snapshot } from './snapshot-bytes.ts';
