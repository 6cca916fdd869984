import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextCheckDeadlineMs, restartCheck, startCheck, stepCheck } from '../../../src/proxy/index.ts';
import type { CheckConfig, CheckEffect, CheckInput, CheckState, Health } from '../../../src/proxy/index.ts';

const config: CheckConfig = {
  interMs: 2000,
  fastinterMs: 2000,
  downinterMs: 2000,
  timeoutMs: 1000,
  rise: 2,
  fall: 3,
  jitter: 0,
};
const tick: CheckInput = { kind: 'tick', fraction: 0.5 };
const passed: CheckInput = { kind: 'passed', fraction: 0.5 };
const failed: CheckInput = { kind: 'failed', reason: 'ECONNREFUSED', fraction: 0.5 };

describe('check', () => {
  it('starts its first probe at once, and the next one an interval after that', () => {
    const run = new Run();
    expect(nextCheckDeadlineMs(run.state)).toBe(0);
    expect(run.step(tick, 0)).toEqual([{ kind: 'start-probe' }]);
    run.step(passed, 300);
    expect(nextCheckDeadlineMs(run.state)).toBe(2000);
    expect(run.step(tick, 1999)).toEqual([]);
    expect(run.step(tick, 2000)).toEqual([{ kind: 'start-probe' }]);
  });

  it('takes down at its first failure a server that was never seen working', () => {
    expect(new Run().results('F')).toEqual(['down!']);
  });

  it('takes down a working server with `fall` failures in a row only', () => {
    expect(new Run().results('PFFPFFF')).toEqual(['up', 'up', 'up', 'up', 'up', 'up', 'down!']);
  });

  it('brings a server up with `rise` passed checks in a row only', () => {
    expect(new Run().results('FPFPP')).toEqual(['down!', 'down', 'down', 'down', 'up!']);
  });

  it('changes health exactly when the last results, as many as needed, all speak against it', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('P', 'F'), { maxLength: 40 }), (letters) => {
        const text = `P${letters.join('')}`;
        const reported = new Run().results(text);
        expect(reported.map((word) => word.replace('!', ''))).toEqual(naive(text));
      }),
    );
  });

  it('gives up a probe at its time-out, and counts that as a failure', () => {
    const run = new Run();
    run.step(tick, 0);
    expect(nextCheckDeadlineMs(run.state)).toBe(1000);
    expect(run.step(tick, 999)).toEqual([]);
    expect(run.step(tick, 1000)).toEqual([
      { kind: 'cancel-probe' },
      {
        kind: 'result',
        result: { passed: false, durationMs: 1000, reason: 'timeout' },
        health: 'down',
        changed: true,
      },
    ]);
  });

  it('has no use for a result that comes after its probe was given up', () => {
    const run = new Run();
    run.step(tick, 0);
    run.step(tick, 1000);
    const before = run.state;
    expect(run.step(passed, 1001)).toEqual([]);
    expect(run.state).toBe(before);
  });

  it('starts late probes at once, and never two for one interval missed', () => {
    const run = new Run({ ...config, timeoutMs: 5000 });
    run.step(tick, 0);
    run.step(passed, 4500);
    expect(nextCheckDeadlineMs(run.state)).toBe(4500);
    run.step(tick, 4500);
    run.step(passed, 4600);
    expect(nextCheckDeadlineMs(run.state)).toBe(6500);
  });

  it('checks at `fastinter` while a server goes up or down, at `downinter` while it is down, else at `inter`', () => {
    const run = new Run({ ...config, interMs: 2000, fastinterMs: 100, downinterMs: 5000 });
    const intervalAfter = (result: CheckInput): number => {
      const startedMs = nextCheckDeadlineMs(run.state);
      run.step(tick, startedMs);
      run.step(result, startedMs + 1);
      return nextCheckDeadlineMs(run.state) - startedMs;
    };
    expect([passed, failed, failed, passed, failed, failed, failed].map(intervalAfter)).toEqual([
      2000, 100, 100, 2000, 100, 100, 5000,
    ]);
    expect([failed, passed, failed, passed, passed, passed].map(intervalAfter)).toEqual([
      5000, 100, 5000, 100, 2000, 2000,
    ]);
  });

  it('says at the time-out what the probe was waiting for', () => {
    const run = new Run();
    run.step(tick, 0);
    expect(run.step({ ...tick, progress: 'expected +PONG, got nothing' }, 1000)).toContainEqual(
      expect.objectContaining({
        kind: 'result',
        result: { passed: false, durationMs: 1000, reason: 'timeout: expected +PONG, got nothing' },
      }),
    );
  });

  it('keeps its health under other settings, with no more against it than they allow', () => {
    const run = new Run();
    run.results('PFF');
    const restarted = restartCheck({ ...config, fall: 2 }, run.state, 50_000);
    expect(restarted).toEqual({ kind: 'waiting', startAtMs: 50_000, health: 'up', against: 1 });
    run.results('F');
    expect(restartCheck(config, run.state, 60_000)).toMatchObject({ health: 'down', against: 0 });
  });

  it('varies the interval by its jitter, up and down', () => {
    const nextStart = (fraction: number): number => {
      const run = new Run({ ...config, jitter: 0.1 });
      run.step(tick, 0);
      run.step({ kind: 'passed', fraction }, 10);
      return nextCheckDeadlineMs(run.state);
    };
    expect([0, 0.5, 0.999].map((fraction) => Math.round(nextStart(fraction)))).toEqual([1800, 2000, 2200]);
  });
});

class Run {
  state: CheckState;
  readonly #config: CheckConfig;

  constructor(ofConfig = config) {
    this.#config = ofConfig;
    this.state = startCheck(ofConfig, 0);
  }

  step(input: CheckInput, nowMs: number): readonly CheckEffect[] {
    const { state, effects } = stepCheck(this.#config, this.state, input, nowMs);
    this.state = state;
    return effects;
  }

  /** The health reported after each of P(assed) and F(ailed); '!' where it changed. */
  results(letters: string): string[] {
    return Array.from(letters).flatMap((letter) => {
      const nowMs = nextCheckDeadlineMs(this.state);
      this.step(tick, nowMs);
      return this.step(letter === 'P' ? passed : failed, nowMs + 1).flatMap((effect) =>
        effect.kind === 'result' ? [`${effect.health}${effect.changed ? '!' : ''}`] : [],
      );
    });
  }
}

/** Looks back over all results each time. */
function naive(letters: string): Health[] {
  let health: Health = 'up';
  return Array.from(letters).map((_, index) => {
    const soFar = letters.slice(0, index + 1);
    if (soFar.endsWith('F'.repeat(config.fall))) health = 'down';
    else if (soFar.endsWith('P'.repeat(config.rise))) health = 'up';
    return health;
  });
}
