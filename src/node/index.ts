export { TandemNode } from './tandem-node.ts';
export type { TandemNodeOptions } from './tandem-node.ts';
export { examine } from './doctor/doctor.ts';
export type { Finding } from './doctor/finding.ts';
export { nodeOf } from './settings.ts';
export type { NodeIdentity } from './settings.ts';
export type { NodeEvent } from './events.ts';
export type {
  FailoverReport,
  HookStatus,
  PeerStatus,
  ServerStatus,
  ServiceStatus,
  StatusDocument,
  TrackerStatus,
  VirtualRouterStatus,
} from './status-document.ts';
