import { describe, expect, it } from 'vitest';
import { formatEndpoint } from '../../../src/base/index.ts';
import { parseConfig } from '../../../src/config/index.ts';
import type { ServiceConfig } from '../../../src/config/index.ts';
import { AddedServers } from '../../../src/node/added-servers.ts';
import { createReplicatedState } from '../../../src/node/replicated-state.ts';
import { ManualClock } from '../../../src/runtime/index.ts';
import { pair } from '../config/fixtures.ts';

const web = configured(pair);

describe('servers that are added at run time', () => {
  it('have the defaults of the file, and the port of the first server unless they say another', () => {
    const { added, add } = setup();
    add('s3', '10.9.0.23');
    add('s2', '10.9.0.22:81', 5);
    expect(added.of(web).map(({ name, address, weight }) => [name, at(address), weight])).toEqual([
      ['s2', '10.9.0.22:81', 5],
      ['s3', '10.9.0.23:8080', 1],
    ]);
  });

  it.each<[string, string, string, number | undefined, string, RegExp]>([
    ['of a name that there is', 's1', '10.9.0.29', undefined, 'SERVER_CLASH', /has a server s1 already/],
    ['of a name that was added', 's2', '10.9.0.29', undefined, 'SERVER_CLASH', /has a server s2 already/],
    ['on an address that there is', 'x', '10.9.0.21', undefined, 'SERVER_CLASH', /has the server s1 on 10.9.0.21:8080/],
    ['on an address that was added', 'x', '10.9.0.22', undefined, 'SERVER_CLASH', /has the server s2 on/],
    ['of another family', 'x', '2001:db8::1', undefined, 'SERVER_FAMILY', /is not of the family of 10.9.0.100/],
    ['with a name that is none', 'a/b', '10.9.0.29', undefined, 'BAD_SERVER', /^name: expected a name/],
    ['with an address that is none', 'x', 'host:80', undefined, 'BAD_SERVER', /^address: expected an IP address/],
    ['with a weight out of range', 'x', '10.9.0.29', 257, 'BAD_SERVER', /^weight: expected a number from 0 to 256/],
  ])('are refused %s', (_what, name, address, weight, code, message) => {
    const { added, add } = setup();
    add('s2', '10.9.0.22');
    expect(() => add(name, address, weight)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error,
    );
    expect(added.of(web).map((server) => server.name)).toEqual(['s2']);
  });

  it('make way for one of the same name in the file, and come back when that goes', () => {
    const { added, add } = setup();
    add('s2', '10.9.0.22');
    const withS2 = configured(
      pair.replace('      - {name: s1', "      - {name: s2, address: '10.9.0.29:80'}\n      - {name: s1"),
    );
    expect([added.of(withS2), added.has(withS2, 's2'), added.has(web, 's2')]).toEqual([[], false, true]);
    added.retain([web]);
    expect(added.of(web)).toHaveLength(1);
    added.retain([withS2]);
    expect(added.of(web)).toEqual([]);
  });

  it('go with their service, and by their name', () => {
    const { added, add } = setup();
    add('s2', '10.9.0.22');
    add('s3', '10.9.0.23');
    added.remove('web', 's2');
    expect(added.of(web).map(({ name }) => name)).toEqual(['s3']);
    added.retain([]);
    expect(added.of(web)).toEqual([]);
  });

  it('are passed over where the peer says what this node cannot use', () => {
    const { added, state } = setup();
    state.servers.set('web/new', { address: '10.9.0.22:80', unheard: true }, 0);
    expect(added.of(web)).toEqual([]);
  });
});

function setup() {
  const ignore = (): void => undefined;
  const state = createReplicatedState('lb1/boot', {
    ...{ onOverride: ignore, onServer: ignore, onStick: ignore, onEjection: ignore },
  });
  const added = new AddedServers({ table: state.servers, clock: new ManualClock() });
  const add = (name: string, address: string, weight?: number): void => {
    const all = { ...web, servers: [...web.servers, ...added.of(web)] };
    added.add(all, { service: 'web', name, address, weight });
  };
  return { added, add, state };
}

function configured(text: string): ServiceConfig {
  const parsed = parseConfig(text, 'f');
  const service = parsed.ok ? parsed.value.services[0] : undefined;
  if (service === undefined) throw new Error('the pair is right');
  return service;
}

function at({ address, port }: ServiceConfig['listen']): string {
  return formatEndpoint(address, port);
}
