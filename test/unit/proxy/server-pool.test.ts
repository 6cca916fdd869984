import { describe, expect, it } from 'vitest';
import {
  createPool,
  effectiveWeight,
  eligibility,
  hearAgent,
  reconfigurePool,
  serving,
  setAdmin,
  setAgent,
  setEjected,
  setHealth,
  setWeight,
  silentAgent,
} from '../../../src/proxy/index.ts';
import type { AdminState, Eligibility, Health, ServerPool } from '../../../src/proxy/index.ts';

const specs = [
  { name: 'a', address: '192.0.2.1', port: 80, weight: 1 },
  { name: 'b', address: '192.0.2.2', port: 80, weight: 2 },
];

describe('server pool', () => {
  it('starts with every server up and ready', () => {
    for (const server of createPool(specs).values()) expect(eligibility(server)).toBe('all');
  });

  it('says when a server went down and when it came back, and nothing when nothing changed', () => {
    const down = updated(setHealth(createPool(specs), 'a', 'down'));
    expect(down.change).toEqual({ kind: 'went-down', server: 'a' });
    expect(down.pool.get('a')?.health).toBe('down');
    expect(updated(setHealth(down.pool, 'a', 'down')).change).toBeUndefined();
    expect(updated(setHealth(down.pool, 'a', 'up')).change).toEqual({ kind: 'went-up', server: 'a' });
  });

  it('leaves the pool it was given as it was', () => {
    const pool = createPool(specs);
    setHealth(pool, 'a', 'down');
    setAdmin(pool, 'a', 'maint');
    setWeight(pool, 'a', 7);
    expect(pool).toEqual(createPool(specs));
  });

  it('names both states in an administrative change', () => {
    const { change } = updated(setAdmin(createPool(specs), 'b', 'drain'));
    expect(change).toEqual({ kind: 'admin', server: 'b', from: 'ready', to: 'drain' });
  });

  it('lets an override win over the configured weight until it is taken back', () => {
    const set = updated(setWeight(createPool(specs), 'b', 9));
    expect(set.change).toEqual({ kind: 'weight', server: 'b', from: 2, to: 9 });
    expect(weightOf(set.pool, 'b')).toBe(9);
    expect(weightOf(updated(setWeight(set.pool, 'b', undefined)).pool, 'b')).toBe(2);
  });

  it.each([-1, 257, 1.5, Number.NaN])('refuses weight %s as out of range', (weight) => {
    expect(setWeight(createPool(specs), 'a', weight)).toEqual({ ok: false, reason: 'weight-range' });
  });

  it('names the reason for a server that it does not have', () => {
    const unknown = { ok: false, reason: 'unknown-server' };
    expect(setHealth(createPool(specs), 'x', 'up')).toEqual(unknown);
    expect(setAdmin(createPool(specs), 'x', 'ready')).toEqual(unknown);
    expect(setWeight(createPool(specs), 'x', 1)).toEqual(unknown);
  });

  it.each<[Health, AdminState, number, Eligibility]>([
    ['up', 'ready', 1, 'all'],
    ['up', 'ready', 0, 'sticky'],
    ['up', 'drain', 1, 'sticky'],
    ['up', 'maint', 1, 'none'],
    ['down', 'ready', 1, 'none'],
    ['down', 'drain', 1, 'none'],
  ])('%s, %s, weight %i: may get %4$s', (health, admin, weight, expected) => {
    expect(eligibility({ health, admin, weight })).toBe(expected);
  });
});

describe('what a server is good for', () => {
  it("is the stricter one of the operator's and the agent's state, each taken back by who has set it", () => {
    const states = ['ready', 'drain', 'maint'] as const;
    for (const [own, admin] of states.entries()) {
      for (const [other, word] of states.entries()) {
        const set = updated(setAdmin(createPool(specs), 'a', admin)).pool;
        const both = updated(setAgent(set, 'a', hearAgent(silentAgent, word))).pool;
        expect(servingOf(both, 'a')?.admin).toBe(states[Math.max(own, other)]);
        expect(both.get('a')?.admin).toBe(admin);
      }
    }
  });

  it('is nothing while checks or its agent say down, or while it is ejected', () => {
    const pool = createPool(specs);
    const says = (word: string): ServerPool => updated(setAgent(pool, 'a', hearAgent(silentAgent, word))).pool;
    expect(servingOf(says('down # broken'), 'a')?.health).toBe('down');
    expect(servingOf(says('up'), 'a')?.health).toBe('up');
    expect(servingOf(updated(setHealth(says('up'), 'a', 'down')).pool, 'a')?.health).toBe('down');
    const ejected = updated(setEjected(pool, 'a', true));
    expect(ejected.change).toEqual({ kind: 'ejected', server: 'a' });
    expect(servingOf(ejected.pool, 'a')).toMatchObject({ health: 'up', isEjected: true });
    expect(Array.from(ejected.pool.values(), (server) => eligibility(serving(server)))).toEqual(['none', 'all']);
    expect(updated(setEjected(ejected.pool, 'a', true)).change).toBeUndefined();
    expect(updated(setEjected(ejected.pool, 'a', false)).change).toEqual({ kind: 'returned', server: 'a' });
  });

  it("is the agent's part of the configured weight, unless an operator has set one", () => {
    const half = updated(setAgent(createPool(specs), 'b', hearAgent(silentAgent, '50%')));
    expect(half.change).toEqual({ kind: 'agent', server: 'b' });
    expect(servingOf(half.pool, 'b')?.weight).toBe(1);
    expect(servingOf(updated(setWeight(half.pool, 'b', 7)).pool, 'b')?.weight).toBe(7);
    const much = updated(setAgent(createPool(specs), 'b', hearAgent(silentAgent, '25600%')));
    expect(servingOf(much.pool, 'b')?.weight).toBe(256);
  });

  it('does not change with an answer that says the same, or only what is not in use', () => {
    const half = updated(setAgent(createPool(specs), 'b', hearAgent(silentAgent, '50%'))).pool;
    expect(updated(setAgent(half, 'b', hearAgent(silentAgent, '50% what'))).change).toBeUndefined();
    const set = updated(setWeight(half, 'b', 7)).pool;
    expect(updated(setAgent(set, 'b', hearAgent(silentAgent, '20%'))).change).toBeUndefined();
  });
});

describe('reconfiguring a pool', () => {
  it('keeps operator settings and health of a server whose address stays', () => {
    let pool = updated(setAdmin(createPool(specs), 'a', 'drain')).pool;
    pool = updated(setWeight(pool, 'a', 5)).pool;
    pool = updated(setHealth(pool, 'a', 'down')).pool;
    const after = reconfigurePool(pool, [{ name: 'a', address: '192.0.2.1', port: 80, weight: 3 }]);
    expect([...after.values()]).toMatchObject([
      { name: 'a', address: '192.0.2.1', port: 80, weight: 3, weightOverride: 5, admin: 'drain', health: 'down' },
    ]);
  });

  it('believes a server up again that has moved to another address', () => {
    const pool = updated(setHealth(createPool(specs), 'a', 'down')).pool;
    expect(reconfigurePool(pool, [{ name: 'a', address: '192.0.2.9', port: 80, weight: 1 }]).get('a')?.health).toBe(
      'up',
    );
  });
});

function updated<Update>(result: { ok: true; value: Update } | { ok: false; reason: string }): Update {
  if (!result.ok) throw new Error(result.reason);
  return result.value;
}

function weightOf(pool: ServerPool, name: string): number | undefined {
  const server = pool.get(name);
  return server && effectiveWeight(server);
}

function servingOf(pool: ServerPool, name: string) {
  const server = pool.get(name);
  return server && serving(server);
}
