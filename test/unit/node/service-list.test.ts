import { describe, expect, it } from 'vitest';
import type { ServiceConfig } from '../../../src/config/index.ts';
import { AddedServers } from '../../../src/node/added-servers.ts';
import { Discovery } from '../../../src/node/discovery.ts';
import { EventLog } from '../../../src/node/events.ts';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import { ServiceList } from '../../../src/node/service-list.ts';
import type { Answer } from '../../../src/proxy/index.ts';
import { ManualClock, silentLogger } from '../../../src/runtime/index.ts';
import { pairWith, parsed } from '../config/fixtures.ts';

const s1 = "- {name: s1, address: '10.9.0.21:8080'}";
const { services } = parsed(pairWith([s1, `${s1}\n      - {name: dns, resolve: app.test, port: 80}`]));

describe('the services and their servers', () => {
  it('are those of the file, those that DNS names stand for and those that were added', async () => {
    const { list, origins } = await setup();
    expect(origins()).toEqual(['s1 file']);
    list.add({ service: 'web', name: 's9', address: '10.9.0.29' });
    expect(origins()).toEqual(['s1 file', 'dns-10.9.0.31 dns', 's9 added']);
    expect(list.originOf(list.require('web'), 'x')).toBeUndefined();
  });

  it('lose a server that was added, and no other one', async () => {
    const { list, origins, heard } = await setup();
    list.add({ service: 'web', name: 's9', address: '10.9.0.29' });
    expect(() => list.remove('web', 's1')).toThrow('s1 is in the file of service web');
    expect(() => list.remove('web', 'dns-10.9.0.31')).toThrow('dns-10.9.0.31 comes from a DNS name of service web');
    expect(() => list.remove('web', 'x')).toThrow('service web has no server x');
    expect(() => list.remove('x', 's9')).toThrow('there is no service x');
    list.remove('web', 's9');
    expect(origins()).toEqual(['s1 file', 'dns-10.9.0.31 dns']);
    expect(heard).toEqual(['web: s9 10.9.0.29:8080 added', 'web/s9 forgotten', 'web: s9 removed']);
  });

  it('have what the peer’s operator adds', async () => {
    const { list, origins, heard, state } = await setup();
    state.servers.set('web/s9', { address: '10.9.0.29:80' }, 0);
    list.onMerged({ key: 'web/s9', value: { address: '10.9.0.29:80' }, previous: undefined });
    expect(origins().at(-1)).toBe('s9 added');
    expect(heard).toEqual(['web: s9 added on the peer']);
  });

  it('are brought back as they were', async () => {
    const { list, origins } = await setup();
    const putBack = list.save();
    list.refresh([]);
    expect([list.all, list.configured, list.get('web')]).toEqual([[], [], undefined]);
    putBack();
    expect([origins(), list.configured]).toEqual([['s1 file'], services]);
  });
});

async function setup() {
  const ignore = (): void => undefined;
  const clock = new ManualClock();
  const heard: string[] = [];
  const state = createReplicatedState('lb1/boot', {
    ...{ onOverride: ignore, onServer: ignore, onStick: ignore, onEjection: ignore },
  });
  const found: Answer = {
    kind: 'found',
    found: [{ address: '10.9.0.31', port: 80, weight: undefined }],
    ttlMs: 60_000,
  };
  const discovery = new Discovery(() => Promise.resolve(found), {
    ...{ clock, logger: silentLogger, events: new EventLog(() => 0), onChanged: ignore },
  });
  await discovery.learn(services);
  const list: ServiceList = new ServiceList(services, {
    ...{ discovery, added: new AddedServers({ table: state.servers, clock }) },
    tell: (message) => heard.push(message),
    onChanged: () => list.refresh(),
    onRemoved: (service, server) => heard.push(`${service}/${server} forgotten`),
  });
  const origins = (): string[] => list.all.flatMap((service) => service.servers.map((one) => withOrigin(service, one)));
  const withOrigin = (service: ServiceConfig, { name }: { name: string }): string =>
    `${name} ${list.originOf(service, name) ?? 'unknown'}`;
  return { list, state, origins, heard };
}
