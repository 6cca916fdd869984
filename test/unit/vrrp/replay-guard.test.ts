import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdvertStamp, Judgement, ReplayGuard } from '../../../src/vrrp/index.ts';
import { judgeStamp, newReplayGuard } from '../../../src/vrrp/index.ts';
import { nonce, stampOf } from './hmac.ts';

const peer = Uint8Array.of(192, 0, 2, 252);
const third = Uint8Array.of(192, 0, 2, 253);

/** A guard that goes on from judgement to judgement; its questions are 101, 102 … */
function newWatch(): (atMs: number, stamp: Partial<AdvertStamp>, source?: Uint8Array) => Omit<Judgement, 'guard'> {
  let guard: ReplayGuard = newReplayGuard;
  let asked = 100;
  return (nowMs, stamp, source = peer) => {
    const newQuestion = (): Uint8Array => nonce(++asked);
    const judgement = judgeStamp(guard, source, stampOf(stamp), { nowMs, pauseMs: 100, newQuestion });
    guard = judgement.guard;
    return { refused: judgement.refused, question: judgement.question };
  };
}

const believed = { refused: undefined, question: undefined };
const replayed = { refused: 'auth-replay', question: undefined };
const unknown = (question?: number) => ({
  refused: 'auth-unknown-life',
  question: question === undefined ? undefined : nonce(question),
});

describe('the replay guard', () => {
  it('asks an unknown life, believes its answer, and then what follows in its counter', () => {
    const judge = newWatch();
    expect(judge(0, { counter: 5n })).toEqual(unknown(101));
    expect(judge(1, { counter: 6n, answer: nonce(101) })).toEqual(believed);
    expect(judge(2, { counter: 7n })).toEqual(believed);
    expect(judge(3, { counter: 9n })).toEqual(believed);
  });

  it('refuses a counter that is not above the last one, gaps or none', () => {
    const judge = newWatch();
    judge(0, { counter: 5n });
    judge(1, { counter: 6n, answer: nonce(101) });
    for (const counter of [1n, 5n, 6n]) expect(judge(2, { counter })).toEqual(replayed);
    expect(judge(2, { counter: 6n, answer: nonce(101) })).toEqual(replayed);
    expect(judge(2, { counter: 7n })).toEqual(believed);
  });

  it('asks anew when the sender has been started again, whatever its counter', () => {
    const judge = newWatch();
    judge(0, {});
    judge(1, { counter: 2n, answer: nonce(101) });
    expect(judge(200, { life: nonce(2), counter: 1000n })).toEqual(unknown(102));
    expect(judge(201, { life: nonce(2), counter: 1001n, answer: nonce(102) })).toEqual(believed);
    // What was recorded of the earlier life, its answer included, is now as unknown as any other.
    expect(judge(400, { life: nonce(1), counter: 2n, answer: nonce(101) })).toEqual(unknown(103));
    expect(judge(401, { life: nonce(1), counter: 3n })).toEqual(unknown());
    expect(judge(402, { life: nonce(2), counter: 1002n })).toEqual(believed);
  });

  it('asks once per pause, and the same question until it is answered', () => {
    const judge = newWatch();
    expect(judge(0, {})).toEqual(unknown(101));
    expect(judge(99, {})).toEqual(unknown());
    expect(judge(100, {})).toEqual(unknown(101));
    expect(judge(150, { answer: nonce(101) })).toEqual(believed);
  });

  it('takes no answer that comes after a second', () => {
    const judge = newWatch();
    judge(0, {});
    expect(judge(999, { answer: nonce(99) })).toEqual(unknown(101));
    expect(judge(1000, { answer: nonce(101) })).toEqual(unknown());
    expect(judge(1099, { answer: nonce(101) })).toEqual(unknown(102));
  });

  it('takes one answer to each question: a second router is asked by itself', () => {
    const judge = newWatch();
    judge(0, {});
    expect(judge(1, { answer: nonce(101) })).toEqual(believed);
    expect(judge(2, { life: nonce(3), answer: nonce(101) }, third)).toEqual(unknown());
    expect(judge(100, { life: nonce(3) }, third)).toEqual(unknown(102));
    expect(judge(101, { life: nonce(3), counter: 2n, answer: nonce(102) }, third)).toEqual(believed);
    expect(judge(102, { counter: 2n })).toEqual(believed);
  });

  it('knows sixteen senders, and forgets who was heard the longest ago', () => {
    const judge = newWatch();
    for (let sender = 0; sender < 17; sender++) {
      const source = Uint8Array.of(192, 0, 2, sender);
      judge(sender * 2000, {}, source);
      expect(judge(sender * 2000 + 1, { counter: 2n, answer: nonce(101 + sender) }, source)).toEqual(believed);
    }
    expect(judge(40_000, { counter: 3n }, Uint8Array.of(192, 0, 2, 1))).toEqual(believed);
    expect(judge(40_000, { counter: 3n }, Uint8Array.of(192, 0, 2, 0))).toEqual(unknown(118));
  });

  it('never believes the same stamp twice', () => {
    const stamps = fc.record({
      life: fc.integer({ min: 1, max: 3 }).map(nonce),
      counter: fc.bigInt({ min: 1n, max: 6n }),
      answer: fc.integer({ min: 98, max: 106 }).map(nonce),
      afterMs: fc.constantFrom(0, 1, 60, 1200),
      source: fc.constantFrom(peer, third),
    });
    fc.assert(
      fc.property(fc.array(stamps, { maxLength: 60 }), (moments) => {
        const judge = newWatch();
        const seen = new Set<string>();
        let atMs = 0;
        for (const { afterMs, source, ...stamp } of moments) {
          atMs += afterMs;
          if (judge(atMs, stamp, source).refused !== undefined) continue;
          const name = [source, stamp.life, stamp.counter, stamp.answer].join(' ');
          expect(seen.has(name)).toBe(false);
          seen.add(name);
        }
      }),
    );
  });
});
