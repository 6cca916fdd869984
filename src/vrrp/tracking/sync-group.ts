/**
 * Sync groups: virtual routers that are always on the same node. Each keeps its own machine and its own adverts; what
 * happens to one is followed by the others of its group.
 *
 *   one becomes active                       the others take over as well
 *   one yields to a peer that is active      the others serve until they hear the peer, then yield: it follows, too
 *   one yields because this node is unwell   the others resign, so that the peer has all of them at once
 *   one comes into the ranks                 it takes over if the others are active: at the start of the node
 *   one has a fault                          all have one
 */
import type { StateKind, TransitionCause } from '../router-state.ts';

export type GroupMember = { readonly name: string; readonly state: StateKind };

export type GroupOrder = {
  readonly router: string;
  readonly order: 'take-over' | 'hand-over' | 'resign';
};

/** Why a router comes into the ranks. It was not active, so nobody has to leave because of it. */
const joining: readonly TransitionCause[] = ['startup', 'link-up', 'fault-cleared'];
/** Why a router yields when its peer is alive and active; all other causes say that this node is unwell. */
const yieldedToPeer: readonly TransitionCause[] = ['hand-over', 'fence', 'higher-priority', 'higher-address'];

/** What the members do after the transition of one, whose new state is in `members` already. */
export function followTransition(
  members: readonly GroupMember[],
  transition: { readonly router: string; readonly to: StateKind; readonly cause: TransitionCause },
): readonly GroupOrder[] {
  const { router, to, cause } = transition;
  const others = members.filter(({ name }) => name !== router);
  const tell = (state: StateKind, order: GroupOrder['order']): readonly GroupOrder[] =>
    others.filter((other) => other.state === state).map(({ name }) => ({ router: name, order }));
  switch (to) {
    case 'active':
      return tell('backup', 'take-over');
    case 'backup':
      if (joining.includes(cause)) {
        return others.some((other) => other.state === 'active') ? [{ router, order: 'take-over' }] : [];
      }
      return tell('active', yieldedToPeer.includes(cause) ? 'hand-over' : 'resign');
    case 'initialize':
      // A fault is shared by `groupFaults`; a stop stops all.
      return [];
  }
}

/** Who has to resign when the peer has not taken the whole group in time: half a group is worse than none. */
export function stragglers(members: readonly GroupMember[]): readonly string[] {
  const isSplit = members.some(({ state }) => state === 'backup');
  return isSplit ? members.filter(({ state }) => state === 'active').map(({ name }) => name) : [];
}

/** The faults of a member: its own, or else those of the others, which are named. */
export function groupFaults(
  ownFaults: ReadonlyMap<string, readonly string[]>,
  router: string,
): { readonly faults: readonly string[]; readonly isShared: boolean } {
  const own = ownFaults.get(router) ?? [];
  if (own.length > 0) return { faults: own, isShared: false };
  const shared = [...ownFaults].flatMap(([name, faults]) => faults.map((fault) => `${name}: ${fault}`));
  return { faults: shared, isShared: shared.length > 0 };
}
