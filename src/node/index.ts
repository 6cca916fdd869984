export type { NodeEvent } from './events.ts';
export type {
  FailoverReport,
  PeerStatus,
  ServerStatus,
  ServiceStatus,
  StatusDocument,
  VirtualRouterStatus,
} from './status-document.ts';
