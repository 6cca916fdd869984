/**
 * When the VIPs are announced. A switch or host that missed one announcement (the link was just coming up, a queue was
 * full) would send to the dead node until its cache expires, so they are repeated in a burst, and then now and then.
 */
import { ipFamily } from '../base/index.ts';
import { encodeGratuitousReply, encodeGratuitousRequest } from './ethernet-arp.ts';
import { encodeUnsolicitedAdvertisement } from './neighbor-advertisement.ts';

/** `announceRefreshMs`: how often to repeat once the burst is over; 0 = never. */
export type AnnouncementConfig = { readonly announceRefreshMs: number };

export type AnnouncementState =
  | { readonly type: 'silent' }
  | {
      readonly type: 'announcing';
      readonly addresses: readonly string[];
      readonly startedAtMs: number;
      /** Undefined when all is said. */
      readonly nextAtMs: number | undefined;
    };

export type AnnouncementInput =
  /** The addresses are ours (again): the burst starts (anew). */
  | { readonly type: 'claimed'; readonly addresses: readonly string[] }
  | { readonly type: 'released' }
  | { readonly type: 'tick' };

export type AnnouncementEffect = { readonly type: 'announce'; readonly address: string };

export type AnnouncementStep = {
  readonly state: AnnouncementState;
  readonly effects: readonly AnnouncementEffect[];
};

export const silent: AnnouncementState = { type: 'silent' };

/** Times of the burst, after the claim. */
const burstOffsetsMs = [0, 100, 1100, 2200, 5000] as const;

/**
 * Whoever looks as late as this stood still, and may have been replaced: its addresses would be announced over those of
 * the new active router, for whose next announcement clients would wait. The election knows within an interval or a
 * little more; then this goes on or is silenced.
 */
const stallMs = 25;
const afterStallMs = 1_000;

/** When `step` wants a tick; a tick before that changes nothing. */
export function nextDeadlineMs(state: AnnouncementState): number | undefined {
  return state.type === 'announcing' ? state.nextAtMs : undefined;
}

export function step(
  config: AnnouncementConfig,
  state: AnnouncementState,
  input: AnnouncementInput,
  nowMs: number,
): AnnouncementStep {
  switch (input.type) {
    case 'claimed':
      return announce(config, input.addresses, nowMs, nowMs);
    case 'released':
      return { state: silent, effects: [] };
    case 'tick': {
      if (state.type === 'silent' || state.nextAtMs === undefined || nowMs < state.nextAtMs) {
        return { state, effects: [] };
      }
      if (nowMs - state.nextAtMs > stallMs) return { state: { ...state, nextAtMs: nowMs + afterStallMs }, effects: [] };
      return announce(config, state.addresses, state.startedAtMs, nowMs);
    }
  }
}

/** The Ethernet frames that tell the link where the address is now. `isIpv6Router`: this host forwards IPv6. */
export function announcementFrames(address: string, mac: Uint8Array, isIpv6Router: boolean): readonly Uint8Array[] {
  return ipFamily(address) === 6
    ? [encodeUnsolicitedAdvertisement(address, mac, isIpv6Router)]
    : [encodeGratuitousRequest(address, mac), encodeGratuitousReply(address, mac)];
}

function announce(
  config: AnnouncementConfig,
  addresses: readonly string[],
  startedAtMs: number,
  nowMs: number,
): AnnouncementStep {
  return {
    state: { type: 'announcing', addresses, startedAtMs, nextAtMs: nextAnnouncementMs(config, startedAtMs, nowMs) },
    effects: addresses.map((address) => ({ type: 'announce', address })),
  };
}

/** The first time of the schedule that is still to come: what a late tick missed is not made up for in a burst. */
function nextAnnouncementMs(config: AnnouncementConfig, startedAtMs: number, nowMs: number): number | undefined {
  const inBurst = burstOffsetsMs.map((offsetMs) => startedAtMs + offsetMs).find((atMs) => atMs > nowMs);
  if (inBurst !== undefined) return inBurst;
  return config.announceRefreshMs > 0 ? nowMs + config.announceRefreshMs : undefined;
}
