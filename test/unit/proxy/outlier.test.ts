import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextOutlierDeadlineMs, stepOutlier } from '../../../src/proxy/index.ts';
import type { OutlierConfig, OutlierInput, OutlierState } from '../../../src/proxy/index.ts';

const config: OutlierConfig = {
  consecutiveFailures: 5,
  ejectionTimeMs: 30_000,
  ejectionTimeMaxMs: 100_000,
  panicShare: 0.5,
};

describe('outlier detection', () => {
  it('ejects a server at the failure that is one too many in a row, for a while', () => {
    const run = new Run('abcd');
    expect(run.fail('a', 4, 0)).toEqual([]);
    expect(run.fail('a', 0, 1)).toEqual([]);
    expect(run.fail('a', 4, 2)).toEqual([]);
    expect(run.fail('a', 5, 3)).toEqual(['eject a 30000']);
    expect(nextOutlierDeadlineMs(run.state)).toBe(30_003);
    expect(run.tick(30_002)).toEqual([]);
    expect(run.tick(30_003)).toEqual(['return a time']);
    expect(nextOutlierDeadlineMs(run.state)).toBeUndefined();
  });

  it('has no use for what is heard of a server that is out, nor for strangers', () => {
    const run = new Run('abcd');
    run.fail('a', 5, 0);
    expect(run.fail('a', 9, 1)).toEqual([]);
    expect(run.fail('z', 9, 1)).toEqual([]);
    expect(run.state.has('z')).toBe(false);
    expect(run.tick(30_000)).toEqual(['return a time']);
    expect(run.fail('a', 4, 30_001)).toEqual([]);
  });

  it('ejects for longer each time in a row, up to the maximum, and forgives one for each time that goes well', () => {
    const run = new Run('abcd');
    expect(run.fail('a', 5, 0)).toEqual(['eject a 30000']);
    run.tick(30_000);
    expect(run.fail('a', 5, 31_000)).toEqual(['eject a 60000']);
    run.tick(91_000);
    expect(run.fail('a', 5, 92_000)).toEqual(['eject a 90000']);
    run.tick(182_000);
    expect(run.fail('a', 5, 183_000)).toEqual(['eject a 100000']);
    run.tick(283_000);
    // Four in a row, three of them forgiven.
    expect(run.fail('a', 5, 283_000 + 3 * 30_000)).toEqual(['eject a 60000']);
  });

  it('ejects nobody when too many would be out, says so once, and does it when others are back', () => {
    const run = new Run('abc');
    expect(run.fail('a', 5, 0)).toEqual(['eject a 30000']);
    expect(run.fail('b', 5, 1)).toEqual(['hold b']);
    expect(run.fail('b', 6, 2)).toEqual([]);
    expect(run.tick(30_000)).toEqual(['return a time', 'eject b 30000']);
  });

  it('holds no longer whom it need not eject any more', () => {
    const run = new Run('abc');
    run.fail('a', 5, 0);
    run.fail('b', 5, 1);
    expect(run.fail('b', 0, 2)).toEqual([]);
    expect(run.tick(30_000)).toEqual(['return a time']);
    run.fail('a', 5, 30_001);
    expect(run.fail('b', 5, 30_002)).toEqual(['hold b']);
  });

  it('counts who is down for other reasons, and does not eject them besides', () => {
    const run = new Run('abcd');
    run.set('a', false);
    run.set('b', false);
    expect(run.fail('a', 5, 0)).toEqual([]);
    expect(run.fail('c', 5, 0)).toEqual(['hold c']);
    run.set('b', true);
    expect(run.tick(1)).toEqual(['eject c 30000']);
  });

  it('brings back who would be back first when others go down', () => {
    const run = new Run('abcd');
    run.fail('a', 5, 0);
    run.fail('b', 5, 10);
    run.set('c', false);
    expect(run.tick(20)).toEqual(['return a panic']);
    run.set('d', false);
    expect(run.tick(30)).toEqual(['return b panic']);
  });

  it('never ejects the only server, whatever the threshold', () => {
    const run = new Run('a', { ...config, panicShare: 1 });
    expect(run.fail('a', 50, 0)).toEqual(['hold a']);
  });

  it('forgets servers that are gone', () => {
    const run = new Run('abcd');
    run.fail('a', 5, 0);
    run.remove('a');
    expect(run.tick(1)).toEqual([]);
    expect(nextOutlierDeadlineMs(run.state)).toBeUndefined();
  });

  it('never leaves a pool without a server that has one, nor ejects beyond the threshold', () => {
    const event = fc.record({
      server: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      what: fc.constantFrom('fail', 'serve', 'up', 'down', 'time'),
    });
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 100 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (events, panicShare) => {
          const run = new Run('abcde', { ...config, panicShare });
          let nowMs = 0;
          for (const { server, what } of events) {
            nowMs += what === 'time' ? 20_000 : 1;
            if (what === 'up' || what === 'down') run.set(server, what === 'up');
            if (what === 'fail' || what === 'serve') run.fail(server, what === 'fail' ? 5 : 0, nowMs);
            else run.tick(nowMs);
            const ejected = run.ejected();
            const available = run.available();
            if (ejected.some((name) => available.includes(name))) {
              expect(available.length - ejected.filter((name) => available.includes(name)).length).toBeGreaterThan(0);
              const out = 5 - available.filter((name) => !ejected.includes(name)).length;
              expect(out).toBeLessThanOrEqual(panicShare * 5);
            }
          }
        },
      ),
    );
  });
});

class Run {
  state: OutlierState = new Map();
  readonly #config: OutlierConfig;
  readonly #pool: Map<string, boolean>;

  constructor(servers: string, ofConfig = config) {
    this.#config = ofConfig;
    this.#pool = new Map(Array.from(servers, (server) => [server, true]));
  }

  set(server: string, isAvailable: boolean): void {
    this.#pool.set(server, isAvailable);
  }

  remove(server: string): void {
    this.#pool.delete(server);
  }

  available(): string[] {
    return [...this.#pool].filter(([, isAvailable]) => isAvailable).map(([server]) => server);
  }

  ejected(): string[] {
    return [...this.state].filter(([, { ejection }]) => ejection !== undefined).map(([server]) => server);
  }

  fail(server: string, failures: number, nowMs: number): string[] {
    return this.#step({ kind: 'failures', server, failures, reason: 'ECONNREFUSED' }, nowMs);
  }

  tick(nowMs: number): string[] {
    return this.#step({ kind: 'tick' }, nowMs);
  }

  #step(input: OutlierInput, nowMs: number): string[] {
    const { state, effects } = stepOutlier(this.#config, this.state, input, this.#pool, nowMs);
    this.state = state;
    return effects.map((effect) => {
      if (effect.kind === 'hold') return `hold ${effect.server}`;
      return `${effect.kind} ${effect.server} ${effect.kind === 'return' ? effect.cause : effect.durationMs}`;
    });
  }
}
