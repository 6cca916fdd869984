import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/node/events.ts';
import { Overrides } from '../../../src/node/overrides.ts';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import { ServerPools } from '../../../src/node/server-pools.ts';
import { createPool, setEjected } from '../../../src/proxy/index.ts';
import { ManualClock, silentLogger } from '../../../src/runtime/index.ts';
import { pair, parsed } from '../config/fixtures.ts';

const { services } = parsed(pair);
const fresh = createPool([{ name: 's1', address: '10.9.0.21', port: 8080, weight: 1 }]);

describe('what operators set of servers', () => {
  it('holds in the pool and in the table, each change beside what was set before', () => {
    const { overrides, server, set, table } = setup();
    overrides.set('web', 's1', { action: 'drain', overMs: 30_000 });
    overrides.set('web', 's1', { action: 'weight', weight: 5 });
    expect(server()).toMatchObject({ admin: 'drain', drainMs: 30_000, weightOverride: 5 });
    expect(table.get('web/s1', 0)).toEqual({ admin: 'drain', drainMs: 30_000, weight: 5 });
    expect(set()).toEqual(['web: s1 set to drain over 30 s', 'web: s1 set to weight 5']);
  });

  it('is forgotten when all is as configured again', () => {
    const { overrides, server, set, table } = setup();
    overrides.set('web', 's1', { action: 'maint' });
    overrides.set('web', 's1', { action: 'weight', weight: 5 });
    overrides.set('web', 's1', { action: 'ready' });
    expect(table.get('web/s1', 0)).toEqual({ weight: 5 });
    overrides.set('web', 's1', { action: 'weight', weight: undefined });
    expect(table.get('web/s1', 0)).toBeUndefined();
    expect(server()).toMatchObject({ admin: 'ready', weightOverride: undefined });
    expect(set().at(-1)).toBe('web: s1 back to its configured weight');
  });

  it('is refused for what does not exist, and nothing is kept of it', () => {
    const { overrides, set, table } = setup();
    expect(() => overrides.set('x', 's1', { action: 'drain' })).toThrow('there is no service x');
    expect(() => overrides.set('web', 'x', { action: 'drain' })).toThrow('service web has no server x');
    expect([[...table.entries(0)], set()]).toEqual([[], []]);
  });

  it('comes from the peer as well, also its end', () => {
    const { overrides, server, set } = setup();
    overrides.onMerged({ key: 'web/s1', value: { admin: 'maint', weight: 0 }, previous: undefined });
    expect(server()).toMatchObject({ admin: 'maint', weightOverride: 0 });
    overrides.onMerged({ key: 'web/s1', value: undefined, previous: { admin: 'maint', weight: 0 } });
    expect(server()).toMatchObject({ admin: 'ready', weightOverride: undefined });
    expect(set()).toEqual(['web: s1 set on the peer', 'web: s1 set on the peer']);
  });

  it('keeps what follows from it: who was ejected comes back when nobody else is left', () => {
    const { overrides, pools, server, whenChanged } = setup();
    const eject = (isEjected: boolean): void => {
      const update = setEjected(pools.of('web'), 's1', isEjected);
      if (update.ok) pools.store('web', update.value);
    };
    eject(true);
    whenChanged(() => eject(false));
    overrides.set('web', 's1', { action: 'drain' });
    expect(server()).toMatchObject({ admin: 'drain', isEjected: false });
  });

  it('waits for a server that does not exist yet', () => {
    const { overrides, pools, table, applied } = setup();
    overrides.onMerged({ key: 'web/s2', value: { admin: 'drain' }, previous: undefined });
    expect([[...pools.of('web').keys()], applied()]).toEqual([['s1'], 0]);
    table.set('web/s1', { admin: 'drain', weight: 3 }, 0);
    expect(overrides.appliedTo('web', fresh).get('s1')).toMatchObject({ admin: 'drain', weightOverride: 3 });
    expect(fresh.get('s1')).toMatchObject({ admin: 'ready', weightOverride: undefined });
  });

  it('is brought to the pools when a node starts, and goes with its server', () => {
    const { overrides, server, table, applied } = setup();
    table.set('web/s1', { admin: 'maint' }, 0);
    overrides.applyAll();
    expect([server()?.admin, applied()]).toEqual(['maint', 1]);
    overrides.forget('web', 's1');
    expect(table.get('web/s1', 0)).toBeUndefined();
  });
});

function setup() {
  const ignore = (): void => undefined;
  const state = createReplicatedState('lb1/boot', {
    ...{ onOverride: ignore, onServer: ignore, onStick: ignore, onEjection: ignore },
  });
  const told: string[] = [];
  const pools = new ServerPools(services, {
    ...{ logger: silentLogger, events: new EventLog(() => 0) },
    ...{ onChanged: () => changed(), onReplaced: ignore, onUsable: ignore },
  });
  let changed = ignore;
  let applied = 0;
  const overrides = new Overrides({
    ...{ clock: new ManualClock(), table: state.overrides, pools },
    tell: (message) => told.push(message),
    onApplied: () => applied++,
  });
  return {
    ...{ overrides, pools, table: state.overrides },
    server: () => pools.of('web').get('s1'),
    applied: () => applied,
    whenChanged: (callback: () => void) => (changed = callback),
    /** What was told. */
    set: () => told,
  };
}
