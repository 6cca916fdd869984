export { TandemNode } from './tandem-node.ts';
export type { TandemNodeOptions } from './tandem-node.ts';
export { identify } from './settings.ts';
export type { NodeIdentity } from './settings.ts';
export type { NodeEvent } from './events.ts';
export type {
  FailoverReport,
  PeerStatus,
  ServerStatus,
  ServiceStatus,
  StatusDocument,
  VirtualRouterStatus,
} from './status-document.ts';
