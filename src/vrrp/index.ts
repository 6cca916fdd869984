export type { Advert, AdvertDropReason, AdvertPath, AdvertVersion, ChecksumForm, DecodedAdvert } from './advert.ts';
export { authDataLength, decodeAdvert, encodeAdvert, isAdvertInterval } from './advert.ts';
export type { AdvertStamp, AuthenticationDropReason, Challenge, Hmac } from './advert-trailer.ts';
export { encodeChallenge, isEqual, nonceLength, sealAdvert, trailerLength } from './advert-trailer.ts';
export type { Judgement, ReplayDropReason, ReplayGuard } from './replay-guard.ts';
export { judgeStamp, newReplayGuard } from './replay-guard.ts';
export type { IpPacket } from './ip-packet.ts';
export { vrrpGroupIpv4, vrrpGroupIpv6, vrrpGroupOf, vrrpProtocol } from './ip-packet.ts';
export type { Ipv4DropReason } from './ipv4-header.ts';
export { decodeIpv4Packet, encodeVrrpIpv4Packet } from './ipv4-header.ts';
export type { Ipv6DropReason } from './ipv6-header.ts';
export { decodeIpv6Packet, encodeVrrpIpv6Packet } from './ipv6-header.ts';
export type {
  Accepted,
  AcceptedAdvert,
  AcceptedChallenge,
  AuthenticationView,
  DropReason,
  RouterView,
} from './acceptance.ts';
export { acceptPacket, dropReasons } from './acceptance.ts';
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
