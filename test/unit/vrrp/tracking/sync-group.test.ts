import { describe, expect, it } from 'vitest';
import { followTransition, groupFaults, stragglers } from '../../../../src/vrrp/index.ts';
import type { GroupMember, StateKind, TransitionCause } from '../../../../src/vrrp/index.ts';

/** "a=active b=backup" */
function members(text: string): readonly GroupMember[] {
  return text.split(' ').map((part) => {
    const [name = '', state] = part.split('=');
    return { name, state: state as StateKind };
  });
}

describe('the others of a sync group', () => {
  it.each<[string, StateKind, TransitionCause, string]>([
    ['a=active b=backup c=backup', 'active', 'active-silent', 'take-over b, take-over c'],
    ['a=active b=active c=backup', 'active', 'take-over', 'take-over c'],
    ['a=active b=initialize', 'active', 'preempt', ''],
    ['a=backup b=active', 'backup', 'hand-over', 'hand-over b'],
    ['a=backup b=active', 'backup', 'fence', 'hand-over b'],
    ['a=backup b=active', 'backup', 'higher-priority', 'hand-over b'],
    ['a=backup b=active', 'backup', 'higher-address', 'hand-over b'],
    ['a=backup b=active', 'backup', 'resign', 'resign b'],
    ['a=backup b=active', 'backup', 'stall', 'resign b'],
    ['a=backup b=active', 'backup', 'send-failures', 'resign b'],
    ['a=backup b=active', 'backup', 'claim-failed', 'resign b'],
    ['a=backup b=backup', 'backup', 'startup', ''],
    ['a=backup b=active c=backup', 'backup', 'startup', 'take-over a'],
    ['a=backup b=active', 'backup', 'link-up', 'take-over a'],
    ['a=backup b=active', 'backup', 'fault-cleared', 'take-over a'],
    ['a=initialize b=active', 'initialize', 'link-down', ''],
    ['a=initialize b=active', 'initialize', 'shutdown', ''],
  ])('%s: when a became %s (%s): %s', (text, to, cause, expected) => {
    const orders = followTransition(members(text), { router: 'a', to, cause });
    expect(orders.map(({ router, order }) => `${order} ${router}`).join(', ')).toBe(expected);
  });

  it('come to rest: obeying causes no further order', () => {
    const first = members('a=active b=backup c=backup');
    const orders = followTransition(first, { router: 'a', to: 'active', cause: 'active-silent' });
    const obeyed = members('a=active b=active c=active');
    for (const { router } of orders) {
      expect(followTransition(obeyed, { router, to: 'active', cause: 'take-over' })).toEqual([]);
    }
  });
});

describe('who is left behind', () => {
  it.each([
    ['a=backup b=active', ['b']],
    ['a=active b=active', []],
    ['a=backup b=backup', []],
    ['a=active b=initialize', []],
  ])('in %s: %j', (text, expected) => {
    expect(stragglers(members(text))).toEqual(expected);
  });
});

describe('a fault in a group', () => {
  const faults = new Map([
    ['a', ['link eth0 is down']],
    ['b', []],
  ]);

  it('is shared by name', () => {
    expect(groupFaults(faults, 'b')).toEqual({ faults: ['a: link eth0 is down'], isShared: true });
  });

  it('is its own where it began', () => {
    expect(groupFaults(faults, 'a')).toEqual({ faults: ['link eth0 is down'], isShared: false });
  });

  it('is none when all are well', () => {
    expect(groupFaults(new Map([['a', []]]), 'a')).toEqual({ faults: [], isShared: false });
  });
});
