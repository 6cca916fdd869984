export { TandemNode } from './tandem-node.ts';
export type { TandemNodeOptions } from './node-parts.ts';
export type { Loaded, ReadConfig, ReloadReport } from './reloader.ts';
export { extractConfig, saveBackup } from './durability/backup-file.ts';
export type { RestoreReport } from './durability/restore.ts';
export type { StickList } from './stick-commands.ts';
export type { StickStatus } from './stickiness.ts';
export { examine } from './doctor/doctor.ts';
export type { Finding } from './doctor/finding.ts';
export { nodeOf } from './settings.ts';
export type { NodeIdentity } from './settings.ts';
export type { NodeEvent } from './events.ts';
export type {
  DiscoveryStatus,
  FailoverReport,
  HookStatus,
  PeerStatus,
  ServerStatus,
  ServiceStatus,
  StatusDocument,
  TrackerStatus,
  VirtualRouterStatus,
} from './status-document.ts';
