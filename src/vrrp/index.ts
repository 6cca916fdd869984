export type { Advert, AdvertDropReason, AdvertPath, AdvertVersion, ChecksumForm, DecodedAdvert } from './advert.ts';
export { decodeAdvert, encodeAdvert } from './advert.ts';
export type { Ipv4DropReason, Ipv4Packet } from './ipv4-header.ts';
export { decodeIpv4Packet, encodeVrrpIpv4Packet, vrrpProtocol } from './ipv4-header.ts';
export type { AcceptedAdvert, DropReason, RouterView } from './acceptance.ts';
export { acceptPacket, dropReasons, vrrpGroupIpv4 } from './acceptance.ts';
export { activeDownIntervalMs, skewMs } from './timing.ts';
export type {
  ActiveState,
  AdvertInput,
  BackupState,
  FenceInput,
  Grace,
  IgnoreReason,
  InitializeState,
  RemoteRouter,
  RouterConfig,
  RouterEffect,
  RouterInput,
  RouterState,
  RouterStep,
  StateKind,
  TransitionCause,
} from './router-state.ts';
export { ignoreReasons, initialState, nextDeadlineMs } from './router-state.ts';
export { step } from './machine.ts';
export type {
  GroupMember,
  GroupOrder,
  RiseFall,
  RouterHealth,
  Tally,
  Tracker,
  TrackerWeight,
  Verdict,
} from './tracking/index.ts';
export {
  contribution,
  count,
  followTransition,
  groupFaults,
  routerHealth,
  stragglers,
  untold,
} from './tracking/index.ts';
