import { describe, expect, it } from 'vitest';
import { concatBytes } from '../../../src/base/index.ts';
import { encodeFrame, FrameDecoder } from '../../../src/sync/frame.ts';
import type { Message } from '../../../src/sync/message.ts';
import { decodeMessage } from '../../../src/sync/message.ts';
import { createPair } from './pair.ts';

const inputs = 100_000;
const batch = {
  ...{ nodes: ['b/1'], keys: ['k', 'l'], counters: [7, 8], origins: [0, 0], ttlsMs: [-1, 900] },
  ...{ deleted: [false, true], values: [42, null] },
};
const compared = { buckets: [0], counts: [2], lows: [-9], highs: [9], unsure: [] };

/** What a peer may say after the greeting, in the order of its numbers. */
const messages: readonly Message[] = [
  { type: 'snapshot-begin', seq: 1, table: 'stick' },
  { type: 'snapshot-chunk', seq: 2, table: 'stick', batch },
  { type: 'snapshot-end', seq: 3, table: 'stick' },
  { type: 'delta', seq: 4, table: 'stick', batch },
  { type: 'compare', seq: 5, table: 'stick', receivedSeq: 0, from: 0, to: 9, ...compared },
  { type: 'repair', seq: 6, table: 'stick', batch },
  { type: 'repair-end', seq: 7, table: 'stick' },
  { type: 'desync', seq: 8, table: 'stick' },
  { type: 'verdict', seq: 1, table: 'stick', verdict: 'different', buckets: [0] },
  { type: 'heartbeat', withinMs: 50 },
  { type: 'notice', name: 'roles', body: { web: 'active' } },
  { type: 'request', id: 1, method: 'ping', params: [1, 'two', null] },
  { type: 'response', id: 1, ok: true, result: {} },
  { type: 'ack', seq: 0 },
];
const frames = messages.map(encodeFrame);

/** The same numbers in each run: a failure can be looked at. */
function createDice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('what a peer may send', () => {
  it(`is taken or refused by name in ${inputs} streams that are each a little wrong`, () => {
    const roll = createDice(1);
    const outcomes = new Map<string, number>();
    const note = (outcome: string): Map<string, number> => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    let pair = createPair();
    pair.settle();
    for (let input = 0; input < inputs; input++) {
      if (!pair.a.session.isEstablished) {
        pair = createPair();
        pair.settle();
      }
      for (const payload of new FrameDecoder().push(spoilt(roll))) {
        if (!payload.ok) {
          note(payload.reason);
          continue;
        }
        const message = decodeMessage(payload.value);
        note(message.ok ? message.value.type : message.reason);
        if (message.ok) pair.a.session.receive(message.value, 0);
        // It answers without an end: nobody reads it here.
        pair.a.session.takeControlFrames();
      }
    }
    const named = /^([a-z]+-)*[a-z]+$/;
    expect([...outcomes.keys()].every((outcome) => named.test(outcome))).toBe(true);
    for (const reason of [
      'frame-too-long',
      'not-msgpack',
      'no-type',
      'unknown-type',
      'bad-delta',
      'delta',
      'compare',
    ]) {
      expect(outcomes.get(reason), reason).toBeGreaterThan(0);
    }
  });
});

/** Some frames, of which some bytes are others, are missing, or come twice. */
function spoilt(roll: (below: number) => number): Uint8Array {
  const first = roll(frames.length);
  const stream = concatBytes(...frames.slice(first, first + 1 + roll(4)));
  for (let faults = roll(4); faults >= 0; faults--) stream[roll(stream.length)] = roll(256);
  const cut = roll(4) === 0 ? roll(stream.length) : stream.length;
  return concatBytes(stream.subarray(0, cut), stream.subarray(roll(3) === 0 ? roll(stream.length) : stream.length));
}
