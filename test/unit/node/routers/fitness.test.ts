import { describe, expect, it } from 'vitest';
import { Fitness } from '../../../../src/node/routers/fitness.ts';
import { ManualClock } from '../../../../src/runtime/index.ts';
import { initialState, step } from '../../../../src/vrrp/index.ts';
import type { AdvertInput, RouterConfig, RouterInput, RouterState } from '../../../../src/vrrp/index.ts';

const well = { priority: 200, faults: [] };
const ill = { priority: 200, faults: ['script x failed'] };

describe('a router alone', () => {
  it('leaves with a goodbye when it has a fault, told as one change, and comes back', () => {
    const node = setup({ a: undefined });
    node.becomeActive('a');
    node.fitness.onHealth('a', ill);
    expect(node.trace()).toEqual(['a advert 0', 'a active -> initialize (fault: script x failed)']);
    node.fitness.onHealth('a', well);
    expect(node.trace()).toEqual(['a initialize -> backup (fault-cleared)']);
  });

  it('leaves without a goodbye when the link is down: nothing could be sent', () => {
    const node = setup({ a: undefined });
    node.becomeActive('a');
    node.fitness.onLink('a', false);
    expect(node.trace()).toEqual(['a active -> initialize (link-down: its interface is down or has no carrier)']);
    node.fitness.onLink('a', true);
    expect(node.trace()).toEqual(['a initialize -> backup (link-up)']);
  });

  it('comes back only when both the link and the trackers are well', () => {
    const node = setup({ a: undefined });
    node.fitness.onLink('a', false);
    node.fitness.onHealth('a', ill);
    node.trace();
    node.fitness.onLink('a', true);
    expect(node.trace()).toEqual([]);
    expect(node.fitness.faults('a')).toEqual(['script x failed']);
    node.fitness.onHealth('a', well);
    expect(node.trace()).toEqual(['a initialize -> backup (link-up)']);
  });

  it('stays out until its adverts have an address to leave from', () => {
    const node = setup({ a: undefined });
    node.fitness.onSource('a', false);
    const fault = 'its interface has no IPv6 link-local address that is ready for use';
    expect(node.trace()).toEqual([`a backup -> initialize (fault: ${fault})`]);
    node.fitness.onSource('a', true);
    expect(node.trace()).toEqual(['a initialize -> backup (fault-cleared)']);
  });

  it('comes back for its link when that has taken the address away, which is back later', () => {
    const node = setup({ a: undefined });
    node.fitness.onLink('a', false);
    node.fitness.onSource('a', false);
    expect(node.fitness.faults('a')).toEqual(['its interface is down or has no carrier']);
    node.fitness.onLink('a', true);
    node.trace();
    node.fitness.onSource('a', true);
    expect(node.trace()).toEqual(['a initialize -> backup (link-up)']);
  });

  it('takes a health that is told before the router is there', () => {
    const node = setup({});
    node.fitness.onHealth('a', ill);
    node.add('a', undefined);
    expect(node.states()).toEqual({ a: 'initialize' });
    expect(node.fitness.faults('a')).toEqual(['script x failed']);
  });

  it('changes its priority, and only when it is another one', () => {
    const node = setup({ a: undefined });
    node.fitness.onHealth('a', { priority: 50, faults: [] });
    node.fitness.onHealth('a', { priority: 50, faults: [] });
    expect(node.inputs('a').filter((type) => type === 'priority-changed')).toHaveLength(1);
  });
});

describe('a sync group', () => {
  it('is promoted together, the others because of the first', () => {
    const node = setup({ a: 'g', b: 'g', alone: undefined });
    node.becomeActive('a');
    expect(node.states()).toEqual({ a: 'active', b: 'active', alone: 'backup' });
    expect(node.causes()).toMatchObject({ a: 'active-silent', b: 'group' });
  });

  it('takes one that is started later with it, and is not given up for it', () => {
    const node = setup({ a: 'g' });
    node.becomeActive('a');
    node.add('b', 'g');
    expect(node.states()).toEqual({ a: 'active', b: 'active' });
    expect(node.causes()).toEqual({ a: 'active-silent', b: 'group' });
  });

  it('shares a fault, with its reason, and its end', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.becomeActive('a');
    node.trace();
    node.fitness.onHealth('a', ill);
    expect(node.trace()).toEqual([
      'a advert 0',
      'a active -> initialize (fault: script x failed)',
      'b advert 0',
      'b active -> initialize (group: a: script x failed)',
    ]);
    node.fitness.onHealth('a', well);
    expect(node.states()).toEqual({ a: 'backup', b: 'backup' });
  });

  it('resigns together when one resigns', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.becomeActive('a');
    node.handle('a', { type: 'resign' });
    expect(node.states()).toEqual({ a: 'backup', b: 'backup' });
    expect(node.causes()).toEqual({ a: 'resign', b: 'group' });
  });

  it('yields one by one to a peer that takes them, without a moment in which nobody serves', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.becomeActive('a');
    node.handle('a', higherAdvert);
    expect(node.states()).toEqual({ a: 'backup', b: 'active' });
    node.handle('b', { ...higherAdvert, priority: 1 });
    expect(node.states()).toEqual({ a: 'backup', b: 'backup' });
  });

  it('does not stay halved: what the peer does not take in time is given up', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.becomeActive('a');
    node.handle('a', higherAdvert);
    node.clock.advance(1_000);
    expect(node.states()).toEqual({ a: 'backup', b: 'backup' });
  });

  it('follows nobody any more when all is being stopped', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.becomeActive('a');
    node.fitness.end();
    node.handle('a', { type: 'resign' });
    expect(node.states()).toEqual({ a: 'backup', b: 'active' });
  });
});

describe('a router that is taken out, or into another group', () => {
  it('tells its last changes, and nobody follows it', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.becomeActive('a');
    node.fitness.leave('a');
    node.handle('a', { type: 'shutdown' });
    node.fitness.remove('a');
    expect(node.trace()).toEqual(['a active -> initialize (shutdown)', 'a advert 0']);
    expect(node.states()).toEqual({ a: 'initialize', b: 'active' });
  });

  it('does not keep the others out any more by its fault', () => {
    const node = setup({ a: 'g', b: 'g' });
    node.fitness.onHealth('a', ill);
    expect(node.states()).toEqual({ a: 'initialize', b: 'initialize' });
    node.fitness.regroup('a', undefined);
    expect(node.states()).toEqual({ a: 'initialize', b: 'backup' });
    node.fitness.regroup('a', 'g');
    expect(node.states()).toEqual({ a: 'initialize', b: 'initialize' });
  });

  it('is no more known when it is made anew', () => {
    const node = setup({ a: undefined });
    node.fitness.onHealth('a', ill);
    node.fitness.remove('a');
    node.add('a', undefined);
    expect(node.states()).toEqual({ a: 'backup' });
  });
});

const higherAdvert: AdvertInput = {
  type: 'advert',
  priority: 250,
  advertIntervalMs: 100,
  source: Uint8Array.of(10, 0, 0, 2),
};

/** Real machines without a network, and the fitness above them. */
function setup(routers: Readonly<Record<string, string | undefined>>) {
  const clock = new ManualClock();
  const machines = new Map<string, RouterState>();
  const inputs: { router: string; type: string }[] = [];
  const causes: Record<string, string> = {};
  let trace: string[] = [];
  const config: RouterConfig = {
    priority: 200,
    advertIntervalMs: 100,
    version: 3,
    preempt: false,
    preemptDelayMs: 0,
    ownAddress: Uint8Array.of(10, 0, 0, 1),
  };
  const handle = (router: string, input: RouterInput): void => {
    const state = machines.get(router);
    if (state === undefined) return;
    inputs.push({ router, type: input.type });
    const stepped = step(config, state, input, clock.nowMs());
    machines.set(router, stepped.state);
    for (const effect of stepped.effects) {
      if (effect.type === 'send-advert' && effect.priority === 0) trace.push(`${router} advert 0`);
      if (effect.type !== 'transition') continue;
      fitness.onTransition(router, { ...effect, epoch: stepped.state.epoch });
    }
  };
  const fitness: Fitness = new Fitness({
    clock,
    handle,
    report: (router, { from, to, cause, reasons }) => {
      causes[router] = cause;
      trace.push(`${router} ${from} -> ${to} (${[cause, ...reasons].join(': ')})`);
    },
  });
  const add = (name: string, group: string | undefined): void => {
    machines.set(name, initialState(config));
    fitness.add(name, group, true, well);
    handle(name, { type: 'startup' });
  };
  for (const [name, group] of Object.entries(routers)) add(name, group);
  trace = [];
  return {
    clock,
    fitness,
    handle,
    add,
    causes: () => causes,
    states: () => Object.fromEntries([...machines].map(([name, { kind }]) => [name, kind])),
    inputs: (router: string) => inputs.filter((input) => input.router === router).map(({ type }) => type),
    /** What happened since it was asked last. */
    trace: () => trace.splice(0),
    becomeActive(name: string): void {
      // The first one finds that it is awake, or listens anew after so long a time; the second is the down timer's.
      for (const _ of ['look', 'down']) {
        clock.advance(1_000);
        handle(name, { type: 'timeout' });
      }
      trace = [];
    },
  };
}
