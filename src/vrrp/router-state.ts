/** What the machine of one virtual router works with: its configuration, states, inputs and effects. */
import { assert } from '../base/index.ts';
import type { AdvertVersion } from './advert.ts';

export type RouterConfig = {
  readonly version: AdvertVersion;
  /**
   * 1..255; 255 owns the addresses. Where the machine starts from: what trackers make of it later comes with
   * `priority-changed`.
   */
  readonly priority: number;
  /** Version 3: 10..40950 in steps of 10; version 2: 1000..255000 in steps of 1000. */
  readonly advertIntervalMs: number;
  /** Whether a backup takes over from an active router of lower priority. The owner always does (RFC 9568, 6.1). */
  readonly preempt: boolean;
  /** How long a backup follows an active router of lower priority before it preempts it; the owner does not wait. */
  readonly preemptDelayMs: number;
  /** The source address of our adverts, which breaks a tie between two active routers. */
  readonly ownAddress: Uint8Array;
};

type Common = {
  /** 1..255, as it is now. */
  readonly priority: number;
  /** The highest mastership epoch heard of; an active router's is the one it has claimed. */
  readonly epoch: number;
  /** Whether this node is ready to preempt: it has caught up with what the active one knows. */
  readonly isPreemptPermitted: boolean;
};

/** Takes no part in the election: not started yet, stopped again, its link is down, or it has a fault. */
export type InitializeState = Common & {
  readonly kind: 'initialize';
  readonly isStarted: boolean;
  readonly isLinkUp: boolean;
  /** The reasons of the faults that have not been cleared, each once. */
  readonly faults: readonly string[];
};

export type BackupState = Common & {
  readonly kind: 'backup';
  /** The router last heard to be active. */
  readonly active: RemoteRouter | undefined;
  /**
   * When its last advert came, followed or not; undefined: none has. What is known from the sync link alone says
   * nothing about the way between us.
   */
  readonly heardAtMs: number | undefined;
  /** As advertised by the active router; our own as long as none is heard. */
  readonly activeAdvertIntervalMs: number;
  /** When the active router counts as dead. Undefined while a fence stands: the sync link says that it lives. */
  readonly activeDownAtMs: number | undefined;
  /**
   * An interval before that: when this node looks whether it is awake itself. Undefined: it has looked, or the time is
   * too short for it.
   */
  readonly wakeAtMs: number | undefined;
  /** It was not, and has begun to listen anew: once in a silence. */
  readonly hasOverslept: boolean;
  /** What that was before the peer's death or silence moved it forward; undefined: it has not been moved. */
  readonly regularDownAtMs: number | undefined;
  /** From when on an active router of lower priority is not followed any more; undefined: it is, or there is none. */
  readonly preemptAtMs: number | undefined;
  /** What a promotion by the down timer would be due to. */
  readonly promotionCause: PromotionCause;
  /**
   * We have made way for the other one, by an operator's switchover or a fence. Preempting it would take that back, so
   * we do not, until we have missed its adverts.
   */
  readonly hasYielded: boolean;
};

export type ActiveState = Common & {
  readonly kind: 'active';
  readonly nextAdvertAtMs: number;
  /** After a stall: it says nothing until then, and goes on if nobody else is heard; undefined: it is well. */
  readonly listensUntilMs: number | undefined;
  readonly grace: Grace | undefined;
  /** Advert intervals in a row whose adverts could not be sent, but for the current one if it is still good. */
  readonly missedAdverts: number;
  readonly lastAdvertFailed: boolean;
  /** A router of lower rank is contradicted at once, but not before this. */
  readonly reassertAtMs: number;
  readonly reannounceAtMs: number;
};

export type RouterState = InitializeState | BackupState | ActiveState;
export type StateKind = RouterState['kind'];

export type RemoteRouter = { readonly address: Uint8Array; readonly priority: number };

/**
 * The two sides of a switchover, for as long as it may take. `hand-over`: still serving, and yields to the first sign
 * that the other one is active. `take-over`: does not yield to the old one's adverts, whatever their priority.
 */
export type Grace = { readonly kind: 'hand-over' | 'take-over'; readonly untilMs: number };

export type RouterInput =
  | { readonly type: 'startup' }
  | { readonly type: 'shutdown' }
  /** The deadline may have passed. A stray one is harmless. */
  | { readonly type: 'timeout' }
  | AdvertInput
  /** What trackers make of the priority. */
  | { readonly type: 'priority-changed'; readonly priority: number }
  /** Whether preempting is allowed now. The owner of the addresses does not ask. */
  | { readonly type: 'preempt-permitted'; readonly isPermitted: boolean }
  | { readonly type: 'link-down' }
  /** Told to an active router: the link has been away without its noticing. */
  | { readonly type: 'link-up' }
  /** A fatal tracker: takes no part until it is cleared. Several may stand, each with its own reason. */
  | { readonly type: 'fault'; readonly reason: string }
  | { readonly type: 'fault-cleared'; readonly reason: string }
  | { readonly type: 'advert-send-failed' }
  /** Another node asks an active router to prove by an advert that it lives now. */
  | { readonly type: 'advert-wanted' }
  /** The addresses could not be claimed: who cannot serve must not be active. */
  | { readonly type: 'claim-failed' }
  | FenceInput
  /** The peer at `address`, which was active, says over the sync link that it is so no more. */
  | { readonly type: 'peer-resigned'; readonly address: Uint8Array }
  /** The sync link, which said that the peer is active, is lost. */
  | { readonly type: 'fence-lifted' }
  /**
   * The sync link ended with a reset or FIN: the peer's process, which sends its adverts from `address`, is dead. To be
   * told instead of `fence-lifted`.
   */
  | { readonly type: 'peer-process-died'; readonly address: Uint8Array }
  /** The sync link has been silent for an adverts' interval: nothing comes from the peer at `address` on that way. */
  | { readonly type: 'peer-silent'; readonly address: Uint8Array }
  /** The highest epoch that the peer knows, which says over the sync link that it is not active. */
  | { readonly type: 'peer-epoch'; readonly epoch: number }
  /** Become active now, in the epoch agreed with the peer (or a higher one, if we know of it). */
  | { readonly type: 'take-over'; readonly epoch: number; readonly graceMs: number }
  /** The peer is about to take over: serve until it is heard to be active, but no longer contest it. */
  | { readonly type: 'hand-over'; readonly graceMs: number }
  /** Give the addresses up with priority 0, for whoever comes first. */
  | { readonly type: 'resign' };

export type AdvertInput = {
  readonly type: 'advert';
  /** 0..255. */
  readonly priority: number;
  readonly advertIntervalMs: number;
  /** The source address of the packet. */
  readonly source: Uint8Array;
};

/** The peer says over the sync link that it is active. */
export type FenceInput = {
  readonly type: 'fence';
  readonly epoch: number;
  readonly priority: number;
  readonly address: Uint8Array;
};

/** To be performed in the order given. */
export type RouterEffect =
  | {
      readonly type: 'transition';
      readonly from: StateKind;
      readonly to: StateKind;
      readonly cause: TransitionCause;
    }
  /** Tell the peer over the sync link: whoever is active in a lower epoch yields. */
  | { readonly type: 'claim-epoch'; readonly epoch: number }
  | { readonly type: 'claim-addresses' }
  | { readonly type: 'release-addresses' }
  | { readonly type: 'send-advert'; readonly priority: number }
  /** Gratuitous ARP or unsolicited neighbour advertisements for all addresses. */
  | { readonly type: 'announce' }
  /** At once: what of the announcements is still to come does not come. */
  | { readonly type: 'silence' };

export type PromotionCause = 'active-silent' | 'active-resigned' | 'peer-died' | 'peer-silent' | 'preempt';

export type TransitionCause =
  | PromotionCause
  | 'startup'
  | 'shutdown'
  | 'link-up'
  | 'link-down'
  | 'fault'
  | 'fault-cleared'
  | 'higher-priority'
  | 'higher-address'
  | 'fence'
  | 'take-over'
  | 'hand-over'
  | 'resign'
  | 'stall'
  | 'send-failures'
  | 'claim-failed';

/** Why an input changed nothing, or an advert was not followed. Every reason is also a counter's name. */
export const ignoreReasons = [
  'not-running',
  'already-running',
  'link-already-up',
  'link-already-down',
  'known-fault',
  'unknown-fault',
  'not-due',
  'fenced',
  'not-fenced',
  'not-active',
  'not-backup',
  'unheard',
  'other-router',
  'due-sooner',
  'lower-priority',
  'lower-address',
  'same-address',
  'taking-over',
  'stale-epoch',
  'known-epoch',
  'already-counted',
  'overslept',
  'listening',
] as const;
export type IgnoreReason = (typeof ignoreReasons)[number];

export type RouterStep<State extends RouterState = RouterState> = {
  readonly state: State;
  readonly effects: readonly RouterEffect[];
  readonly ignored: IgnoreReason | undefined;
};

/**
 * `epoch` is the highest one known from an earlier life; the link counts as up until `link-down`, and preempting as
 * permitted until it is told otherwise.
 */
export function initialState(config: RouterConfig, epoch = 0): InitializeState {
  assertPriority(config.priority);
  return {
    kind: 'initialize',
    isStarted: false,
    isLinkUp: true,
    faults: [],
    priority: config.priority,
    epoch,
    isPreemptPermitted: true,
  };
}

/** When `timeout` is due; undefined: never. */
export function nextDeadlineMs(state: RouterState): number | undefined {
  switch (state.kind) {
    case 'initialize':
      return undefined;
    case 'backup':
      return state.wakeAtMs ?? state.activeDownAtMs;
    case 'active':
      return state.listensUntilMs ?? state.nextAdvertAtMs;
  }
}

export function assertPriority(priority: number): void {
  assert(Number.isInteger(priority) && priority >= 1 && priority <= 255, `priority ${priority} is 1..255`);
}

export function stay(state: RouterState, effects: readonly RouterEffect[] = []): RouterStep {
  return { state, effects, ignored: undefined };
}

export function ignore(state: RouterState, ignored: IgnoreReason, effects: readonly RouterEffect[] = []): RouterStep {
  return { state, effects, ignored };
}
