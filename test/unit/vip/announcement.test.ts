import { expect, test } from 'vitest';
import { announcementFrames, decodeArp, nextDeadlineMs, silent, step } from '../../../src/vip/index.ts';
import type { AnnouncementState } from '../../../src/vip/index.ts';

const claimed = { type: 'claimed', addresses: ['192.0.2.10', '192.0.2.11'] } as const;

/** The times at which something is announced when every tick comes in time. */
function announcedAtMs(announceRefreshMs: number, startMs: number, untilMs: number): readonly number[] {
  const times: number[] = [];
  let { state, effects } = step({ announceRefreshMs }, silent, claimed, startMs);
  if (effects.length > 0) times.push(startMs);
  for (let atMs = nextDeadlineMs(state); atMs !== undefined && atMs <= untilMs; atMs = nextDeadlineMs(state)) {
    ({ state, effects } = step({ announceRefreshMs }, state, { type: 'tick' }, atMs));
    if (effects.length > 0) times.push(atMs);
  }
  return times;
}

function burstFrom(startMs: number): AnnouncementState {
  return step({ announceRefreshMs: 0 }, silent, claimed, startMs).state;
}

test('after a claim every address is announced at once', () => {
  expect(step({ announceRefreshMs: 0 }, silent, claimed, 1000).effects).toEqual([
    { type: 'announce', address: '192.0.2.10' },
    { type: 'announce', address: '192.0.2.11' },
  ]);
});

test('the burst is at 0, 0.1, 1.1, 2.2 and 5 s, and without refresh that is all', () => {
  expect(announcedAtMs(0, 10_000, 1e6)).toEqual([10_000, 10_100, 11_100, 12_200, 15_000]);
});

test('with refresh it goes on at that interval after the burst', () => {
  expect(announcedAtMs(60_000, 0, 130_000)).toEqual([0, 100, 1100, 2200, 5000, 65_000, 125_000]);
});

test('a tick before the deadline changes nothing', () => {
  const state = burstFrom(0);
  expect(step({ announceRefreshMs: 0 }, state, { type: 'tick' }, 99.9)).toEqual({ state, effects: [] });
});

test('a tick that comes a little late announces once, and what it missed is not made up for', () => {
  const late = step({ announceRefreshMs: 0 }, burstFrom(0), { type: 'tick' }, 125);
  expect(late.effects).toHaveLength(2);
  expect(nextDeadlineMs(late.state)).toBe(1100);
});

test('a tick after a stall announces nothing before the election had time to say who is active', () => {
  const stalled = step({ announceRefreshMs: 0 }, burstFrom(0), { type: 'tick' }, 1500);
  expect(stalled.effects).toEqual([]);
  expect(nextDeadlineMs(stalled.state)).toBe(2500);
  const later = step({ announceRefreshMs: 0 }, stalled.state, { type: 'tick' }, 2500);
  expect(later.effects).toHaveLength(2);
  expect(nextDeadlineMs(later.state)).toBe(5000);
});

test('a second claim starts the burst anew with its own addresses', () => {
  const again = step({ announceRefreshMs: 0 }, burstFrom(0), { type: 'claimed', addresses: ['192.0.2.12'] }, 4000);
  expect(again.effects).toEqual([{ type: 'announce', address: '192.0.2.12' }]);
  expect(nextDeadlineMs(again.state)).toBe(4100);
});

test('after a release nothing is announced, whatever ticks', () => {
  const released = step({ announceRefreshMs: 1000 }, burstFrom(0), { type: 'released' }, 50);
  expect(released).toEqual({ state: silent, effects: [] });
  expect(nextDeadlineMs(released.state)).toBeUndefined();
  expect(step({ announceRefreshMs: 1000 }, released.state, { type: 'tick' }, 1e6)).toEqual({
    state: silent,
    effects: [],
  });
});

test('IPv4 is announced by a request and a reply, IPv6 by a neighbor advertisement', () => {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const operations = announcementFrames('192.0.2.10', mac, false).map((frame) => {
    const arp = decodeArp(frame);
    return arp.ok ? arp.value.operation : arp.reason;
  });
  expect(operations).toEqual(['request', 'reply']);
  expect(announcementFrames('2001:db8::10', mac, false).map((frame) => frame[54])).toEqual([136]);
});
