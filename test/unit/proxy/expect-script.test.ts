import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectBytesMax, feedExpect, missingOf, startExpect } from '../../../src/proxy/index.ts';
import type { ExpectState, ExpectStep } from '../../../src/proxy/index.ts';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const send = (text: string): ExpectStep => ({ kind: 'send', bytes: bytesOf(text), label: text });
const wait = (text: string): ExpectStep => ({ kind: 'expect', bytes: bytesOf(text), label: text });

describe('a conversation', () => {
  it('sends its first words at once, and passes when the answer has come', () => {
    const run = new Run([send('PING\r\n'), wait('+PONG')]);
    expect(run.told).toEqual(['send PING\r\n']);
    run.feed('+PO');
    expect(run.told).toHaveLength(1);
    run.feed('NG\r\n');
    expect(run.told.slice(1)).toEqual(['passed']);
  });

  it('waits for each text behind the one before it', () => {
    const run = new Run([wait('220 '), send('QUIT\r\n'), wait('221 ')]);
    run.feed('221 220 hello\r\n');
    expect(run.told).toEqual(['send QUIT\r\n']);
    expect(missingOf(run.steps, run.state)).toBe('expected 221 , got hello');
    run.feed('221 bye\r\n');
    expect(run.told).toEqual(['send QUIT\r\n', 'passed']);
  });

  it('has passed when there is nothing to wait for', () => {
    expect(new Run([send('a'), send('b')]).told).toEqual(['send a', 'send b', 'passed']);
  });

  it('says what is missing, fit for a terminal', () => {
    const run = new Run([wait('+PONG')]);
    expect(missingOf(run.steps, run.state)).toBe('expected +PONG, got nothing');
    run.feed('-ERR \x1b[2Junknown\r\n');
    expect(missingOf(run.steps, run.state)).toBe('expected +PONG, got -ERR  [2Junknown');
    run.feed('x'.repeat(100));
    expect(missingOf(run.steps, run.state)).toMatch(/^expected \+PONG, got .{57,60}\.\.\.$/);
    const binary = new Run([wait('a')]);
    binary.feed('\x00\x01');
    expect(missingOf(binary.steps, binary.state)).toBe('expected a, got 2 unprintable bytes');
  });

  it('gives up on an answer that is too long, once', () => {
    const run = new Run([wait('end')]);
    run.feed('x'.repeat(expectBytesMax - 1));
    expect(run.told).toEqual([]);
    run.feed('x');
    expect(run.told).toEqual([`failed expected end, not in ${expectBytesMax} bytes`]);
    run.feed('end');
    expect(run.told).toHaveLength(1);
  });

  it('passes exactly when the texts come in this order, however the answer is cut', () => {
    const texts = fc.array(fc.stringMatching(/^[ab]{1,3}$/), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(texts, fc.array(fc.stringMatching(/^[abc]{1,4}$/)), (wanted, parts) => {
        const run = new Run(wanted.map(wait));
        for (const part of parts) run.feed(part);
        expect(run.told).toEqual(new RegExp(wanted.join('.*?')).test(parts.join('')) ? ['passed'] : []);
      }),
    );
  });
});

class Run {
  readonly steps: readonly ExpectStep[];
  readonly told: string[] = [];
  state: ExpectState;

  constructor(steps: readonly ExpectStep[]) {
    this.steps = steps;
    this.state = this.#note(startExpect(steps));
  }

  feed(text: string): void {
    this.state = this.#note(feedExpect(this.steps, this.state, bytesOf(text)));
  }

  #note({ state, effects }: ReturnType<typeof startExpect>): ExpectState {
    for (const effect of effects) {
      if (effect.kind === 'send') this.told.push(`send ${String.fromCharCode(...effect.bytes)}`);
      else this.told.push(effect.kind === 'passed' ? 'passed' : `failed ${effect.reason}`);
    }
    return state;
  }
}
