import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentShare, hearAgent, silentAgent } from '../../../src/proxy/index.ts';
import type { AgentState } from '../../../src/proxy/index.ts';

const hear = (...answers: readonly string[]): AgentState => answers.reduce(hearAgent, silentAgent);

describe("an agent's answer", () => {
  it.each<[answer: string, heard: Partial<AgentState>]>([
    ['75%\n', { percent: 75 }],
    ['0%', { percent: 0 }],
    ['150%', { percent: 150 }],
    ['drain', { admin: 'drain' }],
    ['MAINT\r\n', { admin: 'maint' }],
    ['down', { down: 'down' }],
    ['failed', { down: 'failed' }],
    ['fail', { down: 'fail' }],
    ['stopped # for an upgrade\n', { down: 'stopped: for an upgrade' }],
    ['maxconn:30', { maxconn: 30 }],
    ['cpu:37%', { load: 0.37 }],
    ['load:0.53', { load: 0.53 }],
    ['load:17.5', { load: 1 }],
    ['cpu:20% load:0.4', { load: 0.4 }],
    // HAProxy's own test of it, reg-tests/checks/agent-check.vtc.
    ['75%,maxconn:30,maint,down\n', { percent: 75, maxconn: 30, admin: 'maint', down: 'down' }],
    ['ready\tup, 40% \t maxconn:5', { percent: 40, maxconn: 5 }],
    ['drain\nmaint', { admin: 'drain' }],
    ['drain # maint 10%', { admin: 'drain' }],
  ])('%j', (answer, heard) => {
    expect(hear(answer)).toEqual({ ...silentAgent, ...heard });
  });

  it.each(['dra in', '75', '%', '-5%', '7.5%', 'maxconn:', 'maxconn:x', 'cpu:37', 'load:', 'load:-1', 'hello'])(
    'has a word that means nothing: %j',
    (answer) => {
      const { unknownWord, ...rest } = hear(answer);
      expect(unknownWord).toBeDefined();
      expect(rest).toEqual({ ...rest, ...withoutWord(silentAgent) });
    },
  );

  it('holds until there is another of its kind', () => {
    expect(hear('drain 50% maxconn:9 cpu:10%', 'down # broken', '')).toEqual({
      ...silentAgent,
      ...{ admin: 'drain', percent: 50, maxconn: 9, load: 0.1, down: 'down: broken' },
    });
    expect(hear('drain down 50%', 'ready up 100%')).toEqual(silentAgent);
    expect(hear('down', 'ready').down).toBe('down');
    expect(hear('maint', 'up').admin).toBe('maint');
    expect(hear('what', 'up').unknownWord).toBeUndefined();
  });

  it('cannot do anything to a terminal', () => {
    expect(hear('down # \x1b[2Jowned\x07').down).toBe('down: ?[2Jowned?');
    expect(hear('\x1b[31m').unknownWord).toBe('?[31m');
  });

  it('of whatever bytes leaves a state whose every part is in its range', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('75%', 'maint', 'cpu:999%'))),
        (words) => {
          const state = hear(words.join(' '));
          expect(['ready', 'drain', 'maint']).toContain(state.admin);
          expect(state.load).toBeGreaterThanOrEqual(0);
          expect(state.load).toBeLessThanOrEqual(1);
          expect(Number.isInteger(state.percent)).toBe(true);
          expect(agentShare(state)).toBeLessThanOrEqual(256);
          expect((state.down ?? '').length).toBeLessThan(100);
        },
      ),
    );
  });
});

describe("an agent's share of the weight", () => {
  it('is its percentage of what the load leaves, and never nothing by load alone', () => {
    expect(agentShare(silentAgent)).toBe(1);
    expect(agentShare(hear('75%'))).toBe(0.75);
    expect(agentShare(hear('cpu:37%'))).toBeCloseTo(0.63);
    expect(agentShare(hear('50% load:0.5'))).toBeCloseTo(0.25);
    expect(agentShare(hear('cpu:100%'))).toBe(0.01);
    expect(agentShare(hear('0% cpu:10%'))).toBe(0);
  });
});

function withoutWord({ unknownWord: _, ...rest }: AgentState): Omit<AgentState, 'unknownWord'> {
  return rest;
}
