import { describe, expect, it } from 'vitest';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import type { ReplicatedState } from '../../../src/node/replicated-state.ts';
import { Stickiness } from '../../../src/node/stickiness.ts';
import type { WorkerCommand } from '../../../src/proxy/index.ts';
import { ManualClock } from '../../../src/runtime/index.ts';

const ttlMs = 60_000;

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
    onStick: () => undefined,
  });
  const stickiness = new Stickiness({
    clock,
    table: state.sticks,
    ttlMs: (service) => (service === 'web' ? ttlMs : undefined),
    broadcast: (command) => told.push(command),
    send: (_worker, command) => taught.push(command),
  });
  return {
    clock,
    stickiness,
    told,
    taught,
    claim: (source, server, replaces, service = 'web') =>
      stickiness.claim([{ requestId: 1, service, source, server, replaces }])[0]?.server,
  };
}
