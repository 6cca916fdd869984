import { describe, expect, it } from 'vitest';
import type { TrackerConfig } from '../../../../src/config/index.ts';
import { EventLog } from '../../../../src/node/events.ts';
import { Trackers } from '../../../../src/node/tracking/trackers.ts';
import type { TrackingRouter } from '../../../../src/node/tracking/trackers.ts';
import { ManualClock, silentLogger } from '../../../../src/runtime/index.ts';
import { MemoryKernel } from '../../../../src/vip/io/index.ts';

const byInterface = (name: string, weight: TrackerConfig['weight']): TrackerConfig => ({
  weight,
  subject: { kind: 'interface', interface: { lb1: name, lb2: 'other' } },
});
const byService = (service: string, weight: TrackerConfig['weight']): TrackerConfig => ({
  weight,
  subject: { kind: 'service', service },
});

describe('Trackers', () => {
  it('count as down before anything is known', () => {
    const { trackers } = setup([router('web', [byInterface('eth1', 'fatal')])]);
    expect(trackers.health('web').faults).toEqual(['interface eth1 is not known yet']);
  });

  it('tell the health of every router once they start, and then what changes', async () => {
    const { trackers, kernel, told } = setup([router('web', [byInterface('eth1', -50)]), router('db', [])]);
    const index = kernel.createLink('eth1');
    await trackers.start();
    expect(told).toEqual(['web 150', 'db 200', 'web 200']);
    kernel.setLink({ name: 'eth1', index, macAddress: new Uint8Array(6), up: false });
    kernel.setLink({ name: 'eth1', index, macAddress: new Uint8Array(6), up: false });
    expect(told.slice(3)).toEqual(['web 150']);
  });

  it('are an event when they change, and none when all is well at the start', async () => {
    const { trackers, kernel, events } = setup([router('web', [byInterface('eth1', -50)])]);
    const index = kernel.createLink('eth1');
    await trackers.start();
    await kernel.deleteLink(index);
    kernel.createLink('eth1');
    expect(events.after(0).map(({ message }) => message)).toEqual([
      'interface eth1 does not exist',
      'interface eth1 is up',
    ]);
  });

  it('say so when something is unwell from the start', async () => {
    const { trackers, events } = setup([router('web', [byInterface('eth1', 'fatal')])]);
    await trackers.start();
    expect(events.after(0).map(({ message }) => message)).toEqual(['interface eth1 does not exist']);
    expect(trackers.health('web').faults).toEqual(['interface eth1 does not exist']);
  });

  it('that stay go on as they are when others come and go', async () => {
    const { trackers, kernel, told, events } = setup([router('web', [byInterface('eth1', -50)])]);
    kernel.createLink('eth1');
    await trackers.start();
    told.length = 0;
    await trackers.reconfigure([router('web', [byInterface('eth1', -50), byInterface('eth2', -20)]), router('db', [])]);
    // What is new counts as down until it has been looked at.
    expect(told).toEqual(['web 180', 'db 200']);
    const index = kernel.createLink('eth2');
    expect(told.splice(0)).toEqual(['web 180', 'db 200', 'web 200']);
    await trackers.reconfigure([router('web', [byInterface('eth1', -50)])]);
    await kernel.deleteLink(index);
    expect([told, trackers.status('web').map(({ name }) => name)]).toEqual([[], ['interface eth1']]);
    expect(events.after(0).map(({ message }) => message)).toEqual([
      'interface eth2 does not exist',
      'interface eth2 is up',
    ]);
  });

  it('look at interfaces when the first is tracked, and no longer when none is', async () => {
    const { trackers, kernel, told } = setup([router('web', [])]);
    await trackers.start();
    await trackers.reconfigure([router('web', [byInterface('eth1', -50)])]);
    kernel.createLink('eth1');
    expect(told).toEqual(['web 200', 'web 150', 'web 200']);
    await trackers.reconfigure([router('web', [])]);
    await trackers.reconfigure([router('web', [byInterface('eth1', -50)])]);
    expect(trackers.health('web').priority).toBe(200);
  });

  it('tell another priority of the configuration', async () => {
    const { trackers, told } = setup([router('web', [])]);
    await trackers.start();
    await trackers.reconfigure([{ ...router('web', []), priority: 150 }]);
    expect(told).toEqual(['web 200', 'web 150']);
  });

  it('of one thing in several routers are one, with the weight of each', async () => {
    const routers = [router('web', [byService('s', -50)]), router('db', [byService('s', 'fatal')])];
    const { trackers, events } = setup(routers);
    await trackers.start();
    trackers.onServiceUsable('s', false);
    expect(trackers.health('web')).toEqual({ priority: 150, faults: [], isImpaired: true });
    expect(trackers.health('db').faults).toEqual(['service s has no server for new connections']);
    expect(events.after(0)).toHaveLength(1);
  });

  it('of a sync group count for all its members, the same thing once', async () => {
    const { trackers } = setup([
      router('web', [byService('s', -50)], 'g'),
      router('db', [byService('s', -50), byService('t', -20)], 'g'),
      router('alone', []),
    ]);
    await trackers.start();
    trackers.onServiceUsable('s', false);
    trackers.onServiceUsable('t', false);
    expect(['web', 'db', 'alone'].map((name) => trackers.health(name).priority)).toEqual([130, 130, 200]);
    expect(trackers.status('web').map(({ name }) => name)).toEqual(['service s', 'service t']);
  });

  it('show what they are worth', async () => {
    const { trackers } = setup([router('web', [byService('s', 30)])]);
    await trackers.start();
    expect(trackers.status('web')).toEqual([
      { name: 'service s', state: 'up', weight: 30, contribution: 30, detail: 'has a server for new connections' },
    ]);
  });

  it('do not mind a service that nobody tracks', () => {
    const { trackers, told } = setup([router('web', [])]);
    trackers.onServiceUsable('s', false);
    expect(told).toEqual([]);
  });
});

function router(name: string, track: readonly TrackerConfig[], syncGroup?: string): TrackingRouter {
  return { name, priority: 200, syncGroup, track };
}

function setup(routers: readonly TrackingRouter[]) {
  const clock = new ManualClock();
  const events = new EventLog(() => 0);
  const kernel = new MemoryKernel({ clock });
  const told: string[] = [];
  const trackers = new Trackers(
    { node: 'lb1', routers },
    {
      clock,
      logger: silentLogger,
      events,
      kernel,
      isServiceUsable: () => true,
      onHealth: (name, { priority }) => told.push(`${name} ${priority}`),
    },
  );
  return { trackers, events, kernel, told };
}
