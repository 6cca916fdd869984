import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/node/events.ts';
import { Outliers } from '../../../src/node/outliers.ts';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import type { ReplicatedState } from '../../../src/node/replicated-state.ts';
import { createPool, eligibility, serving, setHealth } from '../../../src/proxy/index.ts';
import type { PoolUpdate, ServerPool } from '../../../src/proxy/index.ts';
import { ManualClock, silentLogger } from '../../../src/runtime/index.ts';

const config = { consecutiveFailures: 5, ejectionTimeMs: 30_000, ejectionTimeMaxMs: 300_000, panicShare: 0.5 };

describe('outliers of a service', () => {
  it('are ejected for failures of all workers together, for their time', () => {
    const test = new Stage();
    test.fail(0, 's1', 3);
    expect(test.ejected()).toEqual([]);
    test.fail(1, 's1', 2);
    expect(test.ejected()).toEqual(['s1']);
    expect(test.outliers.status('web', 's1')).toEqual({ reason: 'reset', remainingMs: 30_000, inARow: 1 });
    expect(test.outliers.ejectionsTotal('web', 's1')).toBe(1);
    test.clock.advance(29_999);
    expect(test.outliers.status('web', 's1')?.remainingMs).toBe(1);
    test.clock.advance(1);
    expect(test.ejected()).toEqual([]);
    expect(test.outliers.status('web', 's1')).toBeUndefined();
    expect(test.messages()).toEqual([
      'web: s1 ejected for 30 s (5 failures in a row, last: reset)',
      'web: s1 is no longer ejected',
    ]);
  });

  it('start from nothing when they are back', () => {
    const test = new Stage();
    test.fail(0, 's1', 3);
    test.fail(1, 's1', 2);
    test.clock.advance(30_000);
    test.fail(0, 's1', 4);
    expect(test.ejected()).toEqual([]);
    test.fail(0, 's1', 5);
    expect(test.outliers.status('web', 's1')).toMatchObject({ remainingMs: 60_000, inARow: 2 });
  });

  it('are not those whose worker has served meanwhile, or has been started anew', () => {
    const test = new Stage();
    test.fail(0, 's1', 4);
    test.fail(0, 's1', 0);
    test.fail(1, 's1', 4);
    test.outliers.onWorkerStarted(1);
    test.fail(0, 's1', 1);
    expect(test.ejected()).toEqual([]);
  });

  it('come back when the checks take down the others', () => {
    const test = new Stage();
    test.fail(0, 's1', 5);
    test.check('s2', 'down');
    expect(test.ejected()).toEqual([]);
    expect(test.messages().at(-1)).toBe('web: s1 is no longer ejected: too few others are left');
    test.fail(0, 's3', 5);
    expect(test.messages().at(-1)).toBe(
      'web: s3 not ejected, too few others are left (5 failures in a row, last: reset)',
    );
    test.check('s2', 'up');
    expect(test.ejected()).toEqual(['s3']);
  });

  it('come back when the service is not watched any more', () => {
    const test = new Stage();
    test.fail(0, 's1', 5);
    test.isWatched = false;
    test.outliers.onPoolChanged('web');
    expect(test.ejected()).toEqual([]);
    expect(test.outliers.status('web', 's1')).toBeUndefined();
    test.clock.advance(60_000);
  });

  it('come back where a pool is put back of whose ejections nothing is known any more', () => {
    const test = new Stage();
    test.fail(0, 's1', 5);
    const before = test.pool;
    test.isWatched = false;
    test.outliers.onPoolChanged('web');
    test.isWatched = true;
    test.fail(0, 's2', 5);
    test.pool = before;
    expect(test.ejected()).toEqual(['s1']);
    test.outliers.onPoolChanged('web');
    expect(test.ejected()).toEqual([]);
  });

  it('are out on the peer as well, for the same time, and counted there in a row', () => {
    const [own, peer] = stagesOfTwoNodes();
    own.fail(0, 's1', 5);
    expect(peer.ejected()).toEqual(['s1']);
    expect(peer.outliers.status('web', 's1')).toEqual({ reason: 'reset', remainingMs: 30_000, inARow: 1 });
    expect(peer.outliers.ejectionsTotal('web', 's1')).toBe(0);
    expect(peer.messages()).toEqual(['web: s1 is ejected on the peer, for 30 s more (reset)']);
    for (const { clock } of [own, peer]) clock.advance(30_000);
    expect([own.ejected(), peer.ejected()]).toEqual([[], []]);
    peer.fail(0, 's1', 5);
    expect(own.outliers.status('web', 's1')).toMatchObject({ remainingMs: 60_000, inARow: 2 });
  });

  it('come back on the peer when the node that ejected them lets them back', () => {
    const [own, peer] = stagesOfTwoNodes();
    own.fail(0, 's1', 5);
    own.check('s2', 'down');
    expect([own.ejected(), peer.ejected()]).toEqual([[], []]);
    expect(peer.messages().at(-1)).toBe('web: s1 is no longer ejected on the peer');
  });

  it('stay out on the node that ejected them when the peer has too few others', () => {
    const [own, peer] = stagesOfTwoNodes();
    own.fail(0, 's1', 5);
    peer.check('s2', 'down');
    expect([own.ejected(), peer.ejected()]).toEqual([['s1'], []]);
  });

  it('are not those of a service that is not watched here', () => {
    const [own, peer] = stagesOfTwoNodes();
    peer.isWatched = false;
    own.fail(0, 's1', 5);
    expect(peer.ejected()).toEqual([]);
  });

  it('are left alone where nobody asked', () => {
    const test = new Stage();
    test.outliers.onFailures(0, [{ service: 'other', server: 's1', failures: 9, reason: 'reset' }]);
    expect(test.messages()).toEqual([]);
  });
});

/** What one of them changes in its table, the other one's merges at once. */
function stagesOfTwoNodes(): readonly [Stage, Stage] {
  const [lb1, lb2] = [new Stage('lb1'), new Stage('lb2')];
  lb1.table.watchLocalChanges((entry) => lb2.table.merge(entry, lb2.clock.nowMs()));
  lb2.table.watchLocalChanges((entry) => lb1.table.merge(entry, lb1.clock.nowMs()));
  return [lb1, lb2];
}

class Stage {
  readonly clock = new ManualClock();
  readonly #events = new EventLog(() => 0);
  readonly outliers: Outliers;
  readonly table: ReplicatedState['ejections'];
  isWatched = true;
  pool: ServerPool = createPool(
    ['s1', 's2', 's3'].map((name) => ({ name, address: '192.0.2.1', port: 80, weight: 1 })),
  );

  constructor(node = 'lb1') {
    const ignore = (): void => undefined;
    const { ejections } = createReplicatedState(`${node}/boot`, {
      ...{ onOverride: ignore, onServer: ignore, onStick: ignore },
      onEjection: (change) => this.outliers.onMerged(change),
    });
    this.table = ejections;
    this.outliers = new Outliers({
      ...{ clock: this.clock, logger: silentLogger, events: this.#events, table: this.table },
      config: (service) => (this.isWatched && service === 'web' ? config : undefined),
      pool: () => this.pool,
      store: (service, update) => this.#store(service, update),
    });
  }

  fail(worker: number, server: string, failures: number): void {
    this.outliers.onFailures(worker, [{ service: 'web', server, failures, reason: 'reset' }]);
  }

  check(server: string, health: 'up' | 'down'): void {
    const update = setHealth(this.pool, server, health);
    if (update.ok) this.#store('web', update.value);
  }

  ejected(): string[] {
    const out = [...this.pool.values()].filter((server) => server.isEjected);
    for (const server of out) expect(eligibility(serving(server))).toBe('none');
    return out.map(({ name }) => name);
  }

  messages(): string[] {
    return this.#events.after(0).map(({ message }) => message);
  }

  #store(service: string, { pool }: PoolUpdate): void {
    this.pool = pool;
    this.outliers.onPoolChanged(service);
  }
}
