import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foundMax, newDiscovery, stepDiscovery } from '../../../src/proxy/index.ts';
import type { Answer, DiscoveryState, Found } from '../../../src/proxy/index.ts';

const holdMs = 30_000;
const at = (last: number, weight?: number): Found => ({ address: `10.0.0.${last}`, port: 80, weight });
const found = (ttlMs: number, ...lasts: readonly number[]): Answer => ({
  kind: 'found',
  ttlMs,
  found: lasts.map((last) => at(last)),
});
const empty: Answer = { kind: 'empty', reason: 'ENOTFOUND' };
const failed: Answer = { kind: 'failed', reason: 'ETIMEOUT' };

/** Each answer at the moment when it was asked for. */
function run(...answers: readonly Answer[]): { state: DiscoveryState; nowMs: number } {
  return answers.reduce(
    ({ state }, answer) => ({
      state: stepDiscovery(holdMs, state, answer, state.nextLookupAtMs),
      nowMs: state.nextLookupAtMs,
    }),
    { state: newDiscovery(0), nowMs: 0 },
  );
}

describe('what a DNS name stands for', () => {
  it.each([
    [0, 1_000],
    [999, 1_000],
    [60_000, 60_000],
    [86_400_000, 300_000],
  ])('is asked for again after its time to live of %i ms, within bounds: %i', (ttlMs, expected) => {
    expect(run(found(ttlMs, 1)).state.nextLookupAtMs).toBe(expected);
  });

  it('is each endpoint once, in an order that does not turn with the answers', () => {
    const turned = run(found(1_000, 3, 1, 2, 1)).state.found;
    expect(turned).toEqual(run(found(1_000, 2, 3, 1)).state.found);
    expect(turned).toEqual([at(1), at(2), at(3)]);
  });

  it('stays through failures, however many, which are asked again ever more slowly', () => {
    const asked = [0, 1, 2, 3, 4, 5, 6, 7].map((count) => {
      const { state, nowMs } = run(found(1_000, 1), ...Array.from({ length: count + 1 }, () => failed));
      expect(state).toMatchObject({ found: [at(1)], failures: count + 1, trouble: 'ETIMEOUT' });
      return state.nextLookupAtMs - nowMs;
    });
    expect(asked).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(run(failed, failed, found(1_000, 1)).state).toMatchObject({ failures: 0, trouble: undefined });
  });

  it('is held when there are no addresses any more, and dropped exactly when that is over', () => {
    let { state } = run(found(1_000, 1));
    const emptiedAtMs = state.nextLookupAtMs;
    const drops: number[] = [];
    for (let count = 0; count < 10; count++) {
      const nowMs = state.nextLookupAtMs;
      const before = state.found.length;
      state = stepDiscovery(holdMs, state, empty, nowMs);
      if (state.found.length < before) drops.push(nowMs - emptiedAtMs);
    }
    expect(drops).toEqual([holdMs]);
    expect(state).toMatchObject({ found: [], trouble: 'ENOTFOUND' });
  });

  it('comes back to stay when the addresses do, and is held anew the next time', () => {
    const { state } = run(found(1_000, 1), empty, empty, found(1_000, 2), empty);
    expect(state).toMatchObject({
      found: [at(2)],
      emptySinceMs: run(found(1_000, 1), empty, empty, found(1_000, 2)).state.nextLookupAtMs,
    });
  });

  it('is dropped at once without a hold, also by an answer without addresses', () => {
    const state = stepDiscovery(0, run(found(1_000, 1)).state, { kind: 'found', found: [], ttlMs: 1_000 }, 1_000);
    expect(state).toMatchObject({ found: [], trouble: 'no address' });
  });

  it('is bounded, and always asked for again within the bounds, whatever comes', () => {
    const answer = fc.oneof(
      fc.constantFrom(empty, failed),
      fc
        .record({ ttlMs: fc.integer({ min: 0, max: 10 ** 9 }), lasts: fc.array(fc.nat(600), { maxLength: 600 }) })
        .map(({ ttlMs, lasts }) => found(ttlMs, ...lasts)),
    );
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 20 }), (answers) => {
        let state = newDiscovery(0);
        for (const each of answers) {
          const nowMs = state.nextLookupAtMs;
          state = stepDiscovery(holdMs, state, each, nowMs);
          expect(state.nextLookupAtMs - nowMs).toBeGreaterThanOrEqual(state.emptySinceMs === undefined ? 1_000 : 1);
          expect(state.nextLookupAtMs - nowMs).toBeLessThanOrEqual(300_000);
          expect(state.found.length).toBeLessThanOrEqual(foundMax);
        }
      }),
    );
  });
});
