export type { RiseFall, Tally, Verdict } from './rise-fall.ts';
export { count, untold } from './rise-fall.ts';
export type { RouterHealth, Tracker, TrackerWeight } from './router-health.ts';
export { contribution, routerHealth } from './router-health.ts';
export type { GroupMember, GroupOrder } from './sync-group.ts';
export { followTransition, groupFaults, stragglers } from './sync-group.ts';
