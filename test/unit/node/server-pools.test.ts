import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/node/events.ts';
import { ServerPools } from '../../../src/node/server-pools.ts';
import { createPool, setHealth, setWeight } from '../../../src/proxy/index.ts';
import { silentLogger } from '../../../src/runtime/index.ts';
import { pair, parsed } from '../config/fixtures.ts';

const { services } = parsed(pair);

describe('the pools of all services', () => {
  it('tell when a service loses its last server and when it has one again, and not in between', () => {
    const { pools, heard, messages } = setup();
    check(pools, 's1', 'down');
    check(pools, 's1', 'down');
    expect(heard).toEqual(['web is not usable', 'web changed']);
    expect(messages()).toEqual(['web: no server is left for new connections']);
    check(pools, 's1', 'up');
    expect(heard.slice(2)).toEqual(['web is usable', 'web changed']);
    expect(messages()).toHaveLength(1);
  });

  it('keep what changes nothing for the workers to themselves', () => {
    const { pools, heard } = setup();
    const same = setWeight(pools.of('web'), 's1', 1);
    if (same.ok) pools.store('web', same.value);
    expect(heard).toEqual([]);
    expect(pools.of('web').get('s1')?.weightOverride).toBe(1);
  });

  it('are replaced at once, and who comes without servers is told of as not usable, without a warning', () => {
    const { pools, heard, messages } = setup();
    pools.replace(new Map([['new', createPool([])]]));
    expect(heard).toEqual(['web, new replaced', 'new is not usable']);
    expect(messages()).toEqual([]);
    expect([pools.of('web').size, pools.isUsable('web')]).toEqual([0, false]);
  });

  it('come back as they were by their snapshot', () => {
    const { pools } = setup();
    check(pools, 's1', 'down');
    const snapshot = pools.snapshot();
    check(pools, 's1', 'up');
    pools.replace(snapshot);
    expect(pools.of('web').get('s1')?.health).toBe('down');
  });

  it('name what there is to who asks for something else', () => {
    const { pools } = setup();
    const refusal = (code: string, mend: string): Error => expect.objectContaining({ code, mend }) as Error;
    expect(() => pools.require('x', 's1')).toThrow(refusal('NO_SUCH_SERVICE', 'there are: web'));
    expect(() => pools.require('web', 'x')).toThrow(refusal('NO_SUCH_SERVER', 'there are: s1'));
    expect(() => pools.require('web', 's1')).not.toThrow();
  });
});

function setup() {
  const heard: string[] = [];
  const events = new EventLog(() => 0);
  const pools = new ServerPools(services, {
    ...{ logger: silentLogger, events },
    onChanged: (service) => heard.push(`${service} changed`),
    onReplaced: (names) => heard.push(`${[...names].join(', ')} replaced`),
    onUsable: (service, isUsable) => heard.push(`${service} is ${isUsable ? '' : 'not '}usable`),
  });
  return { pools, heard, messages: () => events.after(0).map(({ message }) => message) };
}

function check(pools: ServerPools, server: string, health: 'up' | 'down'): void {
  const update = setHealth(pools.of('web'), server, health);
  if (update.ok) pools.store('web', update.value);
}
