import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RouterConfig, RouterInput, RouterState, RouterStep } from '../../../src/vrrp/index.ts';
import { ignoreReasons, initialState, nextDeadlineMs, step } from '../../../src/vrrp/index.ts';
import { printStep } from '../../scenarios/vrrp-script.ts';
import { config, inputs, nowMs, states } from './machine-cases.ts';

const tablePath = join(import.meta.dirname, 'machine-table.txt');

describe('every input in every state', () => {
  const results = Object.entries(states).map(([name, from]) => ({
    name,
    rows: Object.entries(inputs).map(([input, value]) => ({ input, ...step(from.config, from.state, value, nowMs) })),
  }));

  it('has the answer that the table says', () => {
    const table = results
      .map(({ name, rows }) => [`# ${name}`, ...rows.map((row) => row.input.padEnd(28) + printStep(row).join('; '))])
      .map((lines) => `${lines.join('\n')}\n`)
      .join('\n');
    if (process.env['TANDEM_RERECORD'] === '1') writeFileSync(tablePath, table);
    expect(table).toBe(readFileSync(tablePath, 'utf8'));
  });

  it('is ignored for a reason whenever nothing comes of it', () => {
    for (const [name, from] of Object.entries(states)) {
      for (const { input, state, effects, ignored } of results.find((result) => result.name === name)?.rows ?? []) {
        const isNothing = state === from.state && effects.length === 0;
        if (isNothing) expect(ignored, `${name}, ${input}`).toBeDefined();
      }
    }
  });

  it('meets every reason to be ignored', () => {
    const met = new Set(results.flatMap(({ rows }) => rows.map(({ ignored }) => ignored)));
    expect(ignoreReasons.filter((reason) => !met.has(reason))).toEqual([]);
  });
});

describe('over any history', () => {
  type Moment = { readonly afterMs: number; readonly input: RouterInput };
  const address = fc.constantFrom(9, 10, 11).map((last) => Uint8Array.of(192, 0, 2, last));
  const anyInput: fc.Arbitrary<RouterInput> = fc.oneof(
    { weight: 3, arbitrary: fc.constant({ type: 'timeout' } as const) },
    fc.constantFrom<RouterInput>(...Object.values(inputs)),
    fc.record({
      type: fc.constant('advert'),
      priority: fc.constantFrom(0, 1, 99, 100, 101, 255),
      advertIntervalMs: fc.constantFrom(10, 1000, 40950),
      source: address,
    }),
    fc.record({
      type: fc.constant('fence'),
      epoch: fc.nat(12),
      priority: fc.constantFrom(1, 100, 255),
      address,
    }),
  );
  const anyHistory: fc.Arbitrary<readonly Moment[]> = fc.array(
    fc.record({ afterMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 6000, noNaN: true })), input: anyInput }),
    { maxLength: 60 },
  );
  const anyConfig: fc.Arbitrary<RouterConfig> = fc.record({
    version: fc.constant(3 as const),
    priority: fc.constantFrom(1, 100, 255),
    advertIntervalMs: fc.constantFrom(10, 1000),
    preempt: fc.boolean(),
    preemptDelayMs: fc.constantFrom(0, 1500),
    ownAddress: fc.constant(config.ownAddress),
  });

  type Passed = { readonly before: RouterState; readonly after: RouterStep; readonly atMs: number };

  function play(machine: RouterConfig, history: readonly Moment[]): Passed[] {
    let state: RouterState = deepFreeze(initialState(machine));
    let atMs = 0;
    return history.map(({ afterMs, input }) => {
      atMs += afterMs;
      const before = state;
      const after = deepFreeze(step(machine, before, input, atMs));
      state = after.state;
      return { before, after, atMs };
    });
  }

  function always(holds: (passed: readonly Passed[]) => void): void {
    fc.assert(
      fc.property(anyConfig, anyHistory, (machine, history) => holds(play(machine, history))),
      { numRuns: 1000 },
    );
  }

  it('the addresses are claimed exactly while it is active', () => {
    always((passed) => {
      let isClaimed = false;
      for (const { after } of passed) {
        for (const { type } of after.effects) {
          if (type === 'claim-addresses') expect(isClaimed).toBe(false);
          if (type === 'claim-addresses') isClaimed = true;
          if (type === 'release-addresses') isClaimed = false;
          if (type === 'announce') expect(isClaimed).toBe(true);
        }
        expect(isClaimed).toBe(after.state.kind === 'active');
      }
    });
  });

  it('an advert of its priority says the truth; a goodbye comes after the release', () => {
    always((passed) => {
      for (const { after } of passed) {
        for (const [index, effect] of after.effects.entries()) {
          if (effect.type !== 'send-advert') continue;
          if (effect.priority === 0) expect(after.effects[index - 1]?.type).toBe('release-addresses');
          else expect([after.state.kind, after.state.priority]).toEqual(['active', effect.priority]);
        }
      }
    });
  });

  it('every change of state is told, and nothing else is', () => {
    always((passed) => {
      for (const { before, after } of passed) {
        const told = after.effects.flatMap((effect) => (effect.type === 'transition' ? [effect] : []));
        expect(told.at(-1)?.to ?? before.kind).toBe(after.state.kind);
        expect(told[0]?.from ?? before.kind).toBe(before.kind);
        for (const [index, { from }] of told.entries()) expect(from).toBe(told[index - 1]?.to ?? before.kind);
      }
    });
  });

  it('the epoch never goes back, and every claim is a new one', () => {
    always((passed) => {
      for (const { before, after } of passed) {
        expect(after.state.epoch).toBeGreaterThanOrEqual(before.epoch);
        const claims = after.effects.flatMap((effect) => (effect.type === 'claim-epoch' ? [effect.epoch] : []));
        for (const epoch of claims) expect(epoch).toBeGreaterThan(before.epoch);
        expect(claims.at(-1) ?? after.state.epoch).toBe(after.state.epoch);
      }
    });
  });

  it('a router with a fault or without a link is not in the election', () => {
    always((passed) => {
      for (const { after } of passed) {
        if (after.state.kind !== 'initialize') continue;
        const { isStarted, isLinkUp, faults } = after.state;
        expect(isStarted && isLinkUp && faults.length === 0).toBe(false);
      }
    });
  });

  it('a timeout leaves the next deadline in the future', () => {
    always((passed) => {
      for (const { after, atMs, before } of passed) {
        const { state } = step(config, after.state, { type: 'timeout' }, atMs);
        const deadlineMs = nextDeadlineMs(state);
        if (deadlineMs !== undefined) expect(deadlineMs).toBeGreaterThan(atMs);
        expect(before.kind === 'initialize' && nextDeadlineMs(before) !== undefined).toBe(false);
      }
    });
  });

  it('refuses a priority that does not exist', () => {
    for (const priority of [0, 256, 1.5]) {
      for (const { state } of Object.values(states)) {
        expect(() => step(config, state, { type: 'priority-changed', priority }, 0)).toThrow('is 1..255');
      }
      expect(() => initialState({ ...config, priority })).toThrow('is 1..255');
    }
  });
});

function deepFreeze<Value>(value: Value): Value {
  // A typed array cannot be frozen, and the machine never writes into one.
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
