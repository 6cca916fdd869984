import { describe, expect, test } from 'vitest';
import { pair, parsed, problemLines } from './fixtures.ts';

const servers = "servers: [{name: s1, address: '10.9.0.21:8080'}]";

/** The pair with services on one address and port, which have these keys besides. */
function services(...lists: readonly (readonly string[])[]): string {
  const common = `listen: '10.9.0.100:80'`;
  const all = lists.map((keys, index) => `  - {${[`name: web${index}`, common, ...keys].join(', ')}}\n`);
  return `${pair.slice(0, pair.indexOf('services:'))}services:\n${all.join('')}`;
}

describe('the front door of a service', () => {
  test('is what the file says', () => {
    const keys = [
      'acceptProxy: {from: [10.9.0.5, 10.9.2.0/24], timeout: 2s}',
      'sendProxy: v2',
      'sni: [Shop.Example.com, "*.shop.example.com"]',
      'alpn: [h2]',
      'clientHelloTimeout: 1s',
      'deny: [2001:DB8::/32]',
      'allow: [0.0.0.0/0]',
      'perSource: {connections: 5, rate: 100/10s, ipv6Prefix: 56}',
      'maxconn: 10',
      'backlog: 1',
      "servers: [{name: s1, address: '10.9.0.21:80'}, {name: s2, address: '10.9.0.22:80', sendProxy: v1}]",
    ];
    const [service] = parsed(services(keys)).services;
    expect(service?.frontDoor).toEqual({
      acceptProxy: { from: ['10.9.0.5/32', '10.9.2.0/24'], timeoutMs: 2_000 },
      sni: ['shop.example.com', '*.shop.example.com'],
      alpn: ['h2'],
      clientHelloTimeoutMs: 1_000,
      deny: ['2001:db8::/32'],
      allow: ['0.0.0.0/0'],
      perSource: { connections: 5, rate: { connections: 100, periodMs: 10_000 }, ipv6Prefix: 56 },
      maxconn: 10,
      backlog: 1,
    });
    expect([service?.sendProxy, ...(service?.servers ?? []).map((server) => server.sendProxy)]).toEqual([
      ...['v2', undefined, 'v1'],
    ]);
  });

  test.each([
    ['20/s', { connections: 20, periodMs: 1_000 }],
    ['1/500ms', { connections: 1, periodMs: 500 }],
    ['600/m', { connections: 600, periodMs: 60_000 }],
    ['5/1h', { connections: 5, periodMs: 3_600_000 }],
  ])('has a rate of %s', (text, rate) => {
    const [service] = parsed(services([`perSource: {rate: ${text}}`, servers])).services;
    expect(service?.frontDoor.perSource?.rate).toEqual(rate);
  });

  test.each(['0/s', '20', '20/', '20/2h', '20/0s', '1/9ms', '20/s/s', '-1/s'])('has no rate of %s', (text) => {
    expect(problemLines(services([`perSource: {rate: "${text}"}`, servers]))).toHaveLength(1);
  });
});

describe('services on one address and port', () => {
  const of = (...lists: readonly (readonly string[])[]): readonly string[] =>
    problemLines(services(...lists.map((keys) => [...keys, servers])));

  test('are told apart by names, protocols, and one without either', () => {
    expect(of(['sni: [a.example]'], ['sni: ["*.a.example"]'], ['sni: [a.example]', 'alpn: [h2]'], [])).toEqual([]);
  });

  test('must have a name, but for one', () => {
    expect(of([], ['sni: [a.example]'], [])).toEqual([expect.stringContaining('services[0] listens there already')]);
  });

  test('are not the same for the same clients', () => {
    expect(of(['sni: [a.example, b.example]'], ['sni: [b.example]'])).toEqual([
      expect.stringContaining('services[0].sni[1] is the same name'),
    ]);
    expect(
      of(['sni: [a.example]'], ['sni: [a.example]', 'alpn: [h2, h3]'], ['sni: [a.example]', 'alpn: [h3]']),
    ).toEqual([expect.stringContaining('services[1].sni[0] is the same name')]);
  });

  test.each([
    ['backlog', 'backlog: 5'],
    ['clientHelloTimeout', 'clientHelloTimeout: 1s'],
    ['acceptProxy', 'acceptProxy: {from: [10.9.0.5]}'],
  ])('agree in %s', (key, text) => {
    expect(of(['sni: [a.example]'], [text])).toEqual([
      expect.stringContaining(`services[1].${key}: services[0], on the same address and port, has it otherwise`),
    ]);
    expect(of(['sni: [a.example]', text], [text])).toEqual([]);
  });
});
