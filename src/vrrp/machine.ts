/**
 * The machine of one virtual router (RFC 9568, section 6.4), the same for both versions and address families.
 *
 *                    startup, link-up, fault cleared (priority below 255)
 *      +------------+ ----------------------------------> +--------+
 *      | initialize |                                     | backup |
 *      +------------+ <---------------------------------- +--------+
 *         ^      |        shutdown, link-down, fault        |    ^
 *         |      | startup, link-up,          down timer,   |    | higher advert, fence, handed over,
 *         |      | fault cleared (255)        take-over     v    | resigned, stall, sends or claim failed
 *         |      |                                        +--------+
 *         |      +--------------------------------------> | active |
 *         +---------------------------------------------- +--------+
 *                       shutdown, link-down, fault
 *
 * Beside the LAN's election there is the mastership epoch. Who becomes active claims the highest known epoch plus one
 * and says so over the sync link; an active router that hears of a higher epoch yields at once, even if it hears no
 * advert. It does not come back by its down timer while that fence stands: adverts lost on the LAN while the sync link
 * lives would otherwise throw the addresses to and fro. Nor does a router take over that has heard no advert yet.
 *
 * The sync link says three things more. When it is cut off by the death of the peer's process, an active peer has one
 * interval to be heard in instead of three; when it is silent as well as the LAN, two. And an active router that hears
 * of a higher epoch from a peer that is not active has been overtaken for a while without noticing: it announces its
 * addresses anew, in an epoch above.
 */
import type { InitializeState, RouterConfig, RouterInput, RouterState, RouterStep } from './router-state.ts';
import { assertPriority, ignore, stay } from './router-state.ts';
import { becomeActive, becomeBackup } from './transitions.ts';
import { stepActive } from './when-active.ts';
import { stepBackup } from './when-backup.ts';

/** `nowMs` never goes backwards. The effects are to be performed in their order. */
export function step(config: RouterConfig, state: RouterState, input: RouterInput, nowMs: number): RouterStep {
  switch (state.kind) {
    case 'initialize':
      return stepInitialize(config, state, input, nowMs);
    case 'backup':
      return stepBackup(config, state, input, nowMs);
    case 'active':
      return stepActive(config, state, input, nowMs);
  }
}

function stepInitialize(config: RouterConfig, state: InitializeState, input: RouterInput, nowMs: number): RouterStep {
  switch (input.type) {
    case 'startup':
      if (state.isStarted) return ignore(state, 'already-running');
      return takePartIfReady(config, { ...state, isStarted: true }, 'startup', nowMs);
    case 'link-up':
      if (state.isLinkUp) return ignore(state, 'link-already-up');
      return takePartIfReady(config, { ...state, isLinkUp: true }, 'link-up', nowMs);
    case 'shutdown':
      return state.isStarted ? stay({ ...state, isStarted: false }) : ignore(state, 'not-running');
    case 'link-down':
      return state.isLinkUp ? stay({ ...state, isLinkUp: false }) : ignore(state, 'link-already-down');
    case 'fault':
      if (state.faults.includes(input.reason)) return ignore(state, 'known-fault');
      return stay({ ...state, faults: [...state.faults, input.reason] });
    case 'fault-cleared': {
      const faults = state.faults.filter((reason) => reason !== input.reason);
      if (faults.length === state.faults.length) return ignore(state, 'unknown-fault');
      return takePartIfReady(config, { ...state, faults }, 'fault-cleared', nowMs);
    }
    case 'priority-changed':
      assertPriority(input.priority);
      return stay({ ...state, priority: input.priority });
    case 'preempt-permitted':
      return stay({ ...state, isPreemptPermitted: input.isPermitted });
    case 'peer-epoch':
    case 'fence':
      if (input.epoch <= state.epoch) return ignore(state, 'known-epoch');
      return stay({ ...state, epoch: input.epoch });
    case 'timeout':
    case 'advert':
    case 'advert-send-failed':
    case 'advert-wanted':
    case 'claim-failed':
    case 'peer-resigned':
    case 'fence-lifted':
    case 'peer-process-died':
    case 'peer-silent':
    case 'take-over':
    case 'hand-over':
    case 'resign':
      return ignore(state, 'not-running');
  }
}

/** RFC 9568, 6.4.1: the owner of the addresses is active from the start, all others wait. */
function takePartIfReady(
  config: RouterConfig,
  state: InitializeState,
  cause: 'startup' | 'link-up' | 'fault-cleared',
  nowMs: number,
): RouterStep {
  if (!state.isStarted || !state.isLinkUp || state.faults.length > 0) return stay(state);
  if (state.priority === 255) return becomeActive(config, state, { cause, nowMs });
  return becomeBackup(config, state, { cause, nowMs });
}
