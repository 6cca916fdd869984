export { SyncLink } from './link.ts';
export type { LostHow, SyncLinkDependencies, SyncLinkOptions, SyncState, TableDifference } from './link.ts';
export { keyId } from './psk.ts';
export type { SyncKeys } from './psk.ts';
export { SyncRequestError } from './pending-requests.ts';
export type { SyncRequestCode } from './pending-requests.ts';
