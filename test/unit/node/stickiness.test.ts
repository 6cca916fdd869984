import { describe, expect, it } from 'vitest';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import type { ReplicatedState } from '../../../src/node/replicated-state.ts';
import { Stickiness } from '../../../src/node/stickiness.ts';
import type { WorkerCommand } from '../../../src/proxy/index.ts';
import { ManualClock } from '../../../src/runtime/index.ts';

const ttlMs = 60_000;
const limits = { ttlMs, entriesMax: 10_000, prefix: { ipv4: 24, ipv6: 64 } };

describe('Stickiness', () => {
  it('gives a source to who claims it first, and later claims the same server', () => {
    const { claim } = setup();
    expect([claim('c', 's1'), claim('c', 's2')]).toEqual(['s1', 's1']);
  });

  it('replaces exactly the server that is of no use to the claimant', () => {
    const { claim } = setup();
    claim('c', 's1');
    expect(claim('c', 's2', 's1')).toBe('s2');
    // A second worker saw the same failure a little later and had picked another server.
    expect(claim('c', 's3', 's1')).toBe('s2');
  });

  it('lets entries live on by use only', () => {
    const { claim, clock, stickiness } = setup();
    claim('used', 's1');
    claim('unused', 's1');
    clock.advance(ttlMs - 1);
    stickiness.touch([{ service: 'web', source: 'used', server: 's1' }]);
    clock.advance(2);
    expect([claim('used', 's2'), claim('unused', 's2')]).toEqual(['s1', 's2']);
  });

  it('does not take a source back for the server that it left', () => {
    const { claim, stickiness } = setup();
    claim('c', 's1');
    claim('c', 's2', 's1');
    stickiness.touch([{ service: 'web', source: 'c', server: 's1' }]);
    expect(claim('c', 's3')).toBe('s2');
  });

  it('remembers nothing of a service without stickiness', () => {
    const { claim, stickiness } = setup();
    claim('c', 's1', undefined, 'plain');
    expect(stickiness.counts().get('plain')).toBeUndefined();
  });

  it('forgets the oldest beyond its size, also of what the peer says', () => {
    const { claim, clock, stickiness, state } = setup();
    for (let count = 0; count < limits.entriesMax; count++) claim(`${count}`, 's1');
    claim('0', 's1');
    claim('one more', 's1');
    expect(stickiness.counts().get('web')).toBe(limits.entriesMax);
    const known = new Set([...stickiness.list({ service: 'web' })].map(({ source }) => source));
    const gone = Array.from({ length: limits.entriesMax }, (_, count) => count).filter((n) => !known.has(`${n}`));
    expect(gone).toHaveLength(1);
    // One of the oldest, but not the very first, which has been used again.
    expect(gone[0]).toBeGreaterThan(0);
    expect(gone[0]).toBeLessThan(50);
    for (let count = 0; count < 200; count++) {
      const entry = {
        key: `web/p${count}`,
        value: 's3',
        counter: 1_000_000 + count,
        origin: 'lb2/x',
        expiresAtMs: ttlMs,
      };
      state.sticks.merge(entry, clock.nowMs());
      stickiness.onMerged({ key: entry.key, value: 's3', previous: undefined });
    }
    expect(stickiness.counts().get('web')).toBeLessThanOrEqual(limits.entriesMax);
    expect(claim('p199', 's1')).toBe('s3');
  });

  it('lists clients, of one service and one source, also by the address of somebody in the network', () => {
    const { claim, clock, stickiness } = setup();
    claim('10.9.0.0/24', 's1');
    clock.advance(10_000);
    claim('10.9.1.0/24', 's2');
    const list = (service?: string, source?: string) => [...stickiness.list({ service, source })];
    const first = { service: 'web', source: '10.9.0.0/24', server: 's1', expiresInMs: 50_000 };
    const second = { service: 'web', source: '10.9.1.0/24', server: 's2', expiresInMs: 60_000 };
    expect(list()).toHaveLength(2);
    expect(list('web', '10.9.0.77')).toEqual([first]);
    expect(list('web', '10.9.1.0/24')).toEqual([second]);
    expect([list('plain'), list('web', '10.9.2.1'), list('web', 'nonsense')]).toEqual([[], [], []]);
  });

  it('clears one source here, in the workers and on the peer', () => {
    const { claim, stickiness, told, state } = setup();
    const changes: string[] = [];
    claim('10.9.0.0/24', 's1');
    state.sticks.watchLocalChanges(({ key, value }) =>
      changes.push(`${key} ${value === undefined ? 'deleted' : 'set'}`),
    );
    expect(stickiness.clear('web', '10.9.0.7')).toBe(1);
    expect(told).toEqual([{ kind: 'stick-cleared', service: 'web', sources: ['10.9.0.0/24'] }]);
    expect(changes).toEqual(['web/10.9.0.0/24 deleted']);
    expect([stickiness.clear('web', '10.9.0.7'), claim('10.9.0.0/24', 's2')]).toEqual([0, 's2']);
  });

  it('clears all sources of a service, in batches, but nothing that is new', () => {
    const { claim, clock, stickiness, told } = setup();
    for (let count = 0; count < 2_500; count++) claim(`${count}`, 's1');
    expect(stickiness.clear('web', undefined)).toBe(2_500);
    expect(told).toEqual([{ kind: 'stick-cleared', service: 'web', sources: 'all' }]);
    // The last ones wait for their deletion; what is claimed meanwhile goes by nothing that was before.
    expect([claim('2499', 's2'), claim('2498', 's2')]).toEqual(['s2', 's2']);
    expect([...stickiness.list({})].map(({ source }) => source).sort()).toEqual(['2498', '2499']);
    for (let turn = 0; turn < 3; turn++) clock.advance(0);
    expect(stickiness.counts()).toEqual(new Map([['web', 2]]));
  });

  it('forgets the sources of services that have no stickiness any more, in batches', () => {
    const { claim, clock, stickiness, state } = setup();
    claim('c', 's1');
    for (let count = 0; count < 2_500; count++) state.sticks.set(`plain/${count}`, 's1', 0, ttlMs);
    stickiness.forgetStrangers();
    expect(stickiness.counts().get('plain')).toBeGreaterThan(1_000);
    for (let turn = 0; turn < 3; turn++) clock.advance(0);
    expect(stickiness.counts()).toEqual(new Map([['web', 1]]));
  });

  it('tells the workers of the changes of a turn together', () => {
    const { clock, stickiness, told } = setup();
    stickiness.onMerged({ key: 'web/a', value: 's1', previous: undefined });
    stickiness.onMerged({ key: 'web/b', value: 's2', previous: undefined });
    stickiness.onMerged({ key: 'web/c', value: undefined, previous: 's3' });
    expect(told).toEqual([]);
    clock.advance(0);
    expect(told).toEqual([
      {
        kind: 'stick-learned',
        service: 'web',
        entries: [
          { source: 'a', server: 's1', ageMs: 0 },
          { source: 'b', server: 's2', ageMs: 0 },
        ],
      },
      { kind: 'stick-cleared', service: 'web', sources: ['c'] },
    ]);
  });

  it('teaches a new worker everything, in bounded batches', () => {
    const { claim, clock, stickiness, taught } = setup();
    for (let i = 0; i < 2_500; i++) claim(`source ${i}`, 's1');
    stickiness.teach(1);
    for (let turn = 0; turn < 5; turn++) clock.advance(0);
    const sizes = taught.map((command) => (command.kind === 'stick-learned' ? command.entries.length : -1));
    expect(sizes).toEqual([1_000, 1_000, 500]);
  });
});

type Setup = {
  readonly state: ReplicatedState;
  readonly clock: ManualClock;
  readonly stickiness: Stickiness;
  readonly told: WorkerCommand[];
  readonly taught: WorkerCommand[];
  readonly claim: (source: string, server: string, replaces?: string, service?: string) => string | undefined;
};

function setup(): Setup {
  const clock = new ManualClock();
  const told: WorkerCommand[] = [];
  const taught: WorkerCommand[] = [];
  const state: ReplicatedState = createReplicatedState('lb1/boot', {
    onOverride: () => undefined,
    onServer: () => undefined,
    onStick: () => undefined,
    onEjection: () => undefined,
  });
  const stickiness = new Stickiness({
    clock,
    table: state.sticks,
    limits: (service) => (service === 'web' ? limits : undefined),
    broadcast: (command) => told.push(command),
    send: (_worker, command) => taught.push(command),
  });
  return {
    state,
    clock,
    stickiness,
    told,
    taught,
    claim: (source, server, replaces, service = 'web') =>
      stickiness.claim([{ requestId: 1, service, source, server, replaces }])[0]?.server,
  };
}
