import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StateKeeper } from '../../../../src/node/durability/state-keeper.ts';
import { EventLog } from '../../../../src/node/events.ts';
import { createReplicatedState } from '../../../../src/node/replicated-state.ts';
import type { ReplicatedState } from '../../../../src/node/replicated-state.ts';
import { silentLogger, systemClock } from '../../../../src/runtime/index.ts';
import type { Clock } from '../../../../src/runtime/index.ts';
import { waitUntil } from '../../../lab/time.ts';

const hourMs = 3_600_000;

describe('StateKeeper', () => {
  it('brings back all that was known, with its versions, and says nothing of the peer', async () => {
    const { live } = setup();
    const first = live();
    await first.keeper.start();
    first.state.overrides.set('web/s1', { admin: 'drain' }, first.nowMs());
    first.state.servers.set('web/s9', { address: '10.9.0.29:80' }, first.nowMs());
    first.state.sticks.set('web/10.0.0.1', 's1', first.nowMs(), hourMs);
    first.epochs.set('web', 17);
    first.keeper.touch('operator');
    await first.keeper.stop();

    const second = live();
    await second.keeper.start();
    expect(contentOf(second)).toEqual(contentOf(first));
    expect(second.epochs).toEqual(new Map([['web', 17]]));
    expect(versionsOf(second.state)).toEqual(versionsOf(first.state));
    expect(second.events.after(0).map(({ message }) => message)).toEqual([
      'operator: read from disk (3)',
      'sticks: read from disk (1)',
    ]);
    // A change made now is newer than what was read.
    second.state.overrides.set('web/s1', { admin: 'maint' }, second.nowMs());
    expect(second.state.overrides.counter).toBe(2);
  });

  it('writes what operators set at once, without being asked', async () => {
    const { live, directory } = setup();
    const { keeper, state, nowMs } = live();
    await keeper.start();
    state.overrides.set('web/s1', { weight: 7 }, nowMs());
    const path = join(directory, 'lb1.operator.state');
    await waitUntil(() => readFileSync(path, 'utf8').includes('"weight":7'), { timeoutMs: 5_000, what: 'it is there' });
    await keeper.stop();
  });

  it('loses to what the peer has changed since, and wins over what the peer had before', async () => {
    const { live } = setup();
    const first = live();
    await first.keeper.start();
    first.state.overrides.set('web/old', { weight: 1 }, 0);
    first.state.overrides.set('web/mine', { weight: 1 }, 0);
    await first.keeper.stop();

    const peer = createReplicatedState('lb2/boot', ignoring);
    for (const entry of first.state.overrides.allEntries()) peer.overrides.merge(entry, 0);
    peer.overrides.set('web/old', { weight: 2 }, 0);
    const second = live();
    await second.keeper.start();
    for (const entry of peer.overrides.allEntries()) second.state.overrides.merge(entry, second.nowMs());
    expect(second.state.overrides.get('web/old', second.nowMs())).toEqual({ weight: 2 });
    expect(second.state.overrides.get('web/mine', second.nowMs())).toEqual({ weight: 1 });
  });

  it('remembers for months what was taken back, so that no older disk brings it back', async () => {
    const { live } = setup();
    const first = live();
    await first.keeper.start();
    first.state.overrides.set('web/s1', { weight: 1 }, first.nowMs());
    const [stale] = [...first.state.overrides.allEntries()];
    first.state.overrides.delete('web/s1', first.nowMs());
    await first.keeper.stop();
    const later = live(30 * 24 * hourMs);
    await later.keeper.start();
    expect(stale && later.state.overrides.merge(stale, later.nowMs())).toBe('stale');
  });

  it('counts the time while it was off, by the wall clock, and none where that went back', async () => {
    const { live } = setup();
    const first = live();
    await first.keeper.start();
    first.state.sticks.set('web/short', 's1', first.nowMs(), hourMs);
    first.state.sticks.set('web/long', 's1', first.nowMs(), 3 * hourMs);
    await first.keeper.stop();
    const lifeAfter = async (byMs: number): Promise<(number | undefined)[]> => {
      const { keeper, state, nowMs } = live(byMs);
      await keeper.start();
      return ['web/short', 'web/long'].map((key) => {
        const lifeMs = state.sticks.lifeMs(key, nowMs());
        return lifeMs === undefined ? undefined : Math.round(lifeMs / hourMs);
      });
    };
    expect(await lifeAfter(2 * hourMs)).toEqual([undefined, 1]);
    expect(await lifeAfter(-24 * hourMs)).toEqual([1, 3]);
    expect(await lifeAfter(24 * hourMs)).toEqual([undefined, undefined]);
  });

  it('without a directory keeps nothing, and says so', async () => {
    const { live } = setup();
    const { keeper, state } = live(0, false);
    await keeper.start();
    state.overrides.set('web/s1', { weight: 1 }, 0);
    keeper.touch('operator');
    await keeper.stop();
    expect(keeper.status()).toEqual({ state: 'off', directory: undefined, files: [] });
  });

  it('brings back a hundred thousand sticky clients, whose origin is in memory once', async () => {
    const { live } = setup();
    const first = live();
    await first.keeper.start();
    for (let index = 0; index < 100_000; index++) {
      first.state.sticks.set(`web/10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, 's1', 0, hourMs);
    }
    await first.keeper.stop();
    const second = live();
    await second.keeper.start();
    expect(second.state.sticks.size).toBe(100_000);
    expect(new Set([...second.state.sticks.allEntries()].map(({ origin }) => origin))).toEqual(new Set(['lb1/1']));
  });
});

const ignoring = {
  onOverride: () => undefined,
  onServer: () => undefined,
  onStick: () => undefined,
  onEjection: () => undefined,
};

type Life = ReturnType<ReturnType<typeof setup>['live']>;

function setup() {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-state-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  let lives = 0;
  /** The node is started, so much later by the wall clock than the first time. */
  const live = (laterMs = 0, isKept = true) => {
    const clock: Clock = { ...systemClock, wallMs: () => 1_700_000_000_000 + laterMs };
    const events = new EventLog(() => 0);
    const epochs = new Map<string, number>();
    const state = createReplicatedState(`lb1/${++lives}`, ignoring);
    const keeper = new StateKeeper(
      { node: 'lb1', peer: 'lb2', disk: isKept ? disk : undefined },
      {
        ...{ clock, events, state, logger: silentLogger },
        epochs: () => epochs,
        recallEpoch: (router, epoch) => epochs.set(router, epoch),
      },
    );
    return { keeper, state, events, epochs, nowMs: () => clock.nowMs() };
  };
  const disk = { directory, stickIntervalMs: 60_000 };
  return { live, directory };
}

function contentOf({ state, nowMs }: Life): unknown {
  return Object.values(state).map((table) => [...table.entries(nowMs())]);
}

function versionsOf(state: ReplicatedState): unknown {
  return Object.values(state).map((table) =>
    [...table.allEntries()].map(({ key, counter, origin }) => [key, counter, origin]),
  );
}
