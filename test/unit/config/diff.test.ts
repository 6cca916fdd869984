import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { configHash, diffConfig, formatChange, needsRestart } from '../../../src/config/index.ts';
import type { Config } from '../../../src/config/index.ts';
import { pair, pairWith, parsed } from './fixtures.ts';

const vrid = 'vrid: 51';
const s1 = "- {name: s1, address: '10.9.0.21:8080'}";

/** The lines of what changes in the pair. */
function linesOf(...changes: readonly (readonly [string, string])[]): readonly string[] {
  return diffConfig(parsed(pair), parsed(pairWith(...changes))).map(formatChange);
}

describe('the difference of two configurations', () => {
  test.each<[string, readonly [string, string], readonly string[]]>([
    ['a comment', [vrid, `${vrid} # the number`], []],
    ['a default written out', [vrid, `${vrid}\n    advertInterval: 100ms`], []],
    [
      'a server more',
      [s1, `${s1}\n      - {name: s3, address: '10.9.0.23:8080'}`],
      ['services.web.servers: + s3 10.9.0.23:8080'],
    ],
    [
      'another server',
      [s1, "- {name: s2, address: '10.9.0.22:8080'}"],
      ['services.web.servers: - s1 10.9.0.21:8080', 'services.web.servers: + s2 10.9.0.22:8080'],
    ],
    ['a weight', [s1, s1.replace('}', ', weight: 5}')], ['services.web.servers.s1.weight: 1 -> 5']],
    [
      'an address of a server',
      [s1, s1.replace('21', '29')],
      ['services.web.servers.s1.address: 10.9.0.21:8080 -> 10.9.0.29:8080'],
    ],
    ['a duration', [vrid, `${vrid}\n    advertInterval: 1s`], ['virtualRouters.web.advertInterval: 100ms -> 1s']],
    [
      'an optional duration',
      [vrid, `${vrid}\n    announceRefresh: 0s`],
      ['virtualRouters.web.announceRefresh: 1m -> none'],
    ],
    [
      'a number for each node',
      [vrid, `${vrid}\n    priority: {lb1: 150, lb2: 100}`],
      ['virtualRouters.web.priority.lb1: 200 -> 150'],
    ],
    [
      'an address of a virtual router',
      ['[10.9.0.100/24]', '[10.9.0.100/24, 10.9.0.101/24]'],
      ['virtualRouters.web.addresses: + 10.9.0.101/24'],
    ],
    [
      'a section more',
      ['    servers:', '    stick: {by: source}\n    servers:'],
      ['services.web.stick: none -> {by: source, prefix: {ipv4: 32, ipv6: 128}, ttl: 30m, size: 1000000}'],
    ],
    [
      'a tracker',
      [vrid, `${vrid}\n    track: [{service: web, weight: -50}]`],
      ['virtualRouters.web.track: + {weight: -50, subject: {kind: service, service: web}}'],
    ],
    [
      'a password, which is not said',
      [vrid, `${vrid}\n    version: 2\n    advertInterval: 1s\n    simplePassword: hush`],
      [
        'virtualRouters.web.version: 3 -> 2',
        'virtualRouters.web.advertInterval: 100ms -> 1s',
        'virtualRouters.web.simplePassword: none -> (hidden)',
      ],
    ],
  ])('is told in the words of the file: %s', (_name, change, lines) => {
    expect(linesOf(change)).toEqual(lines);
  });

  test('tells of a service and a virtual router that come and go', () => {
    const more = pairWith(
      ['services:', 'services:\n  - {name: api, listen: 10.9.0.100:81, servers: [{name: a, address: 10.9.0.21:81}]}'],
      ['services:', '  - {name: two, vrid: 52, interface: eth0, addresses: [10.9.0.101/24]}\nservices:'],
    );
    expect(diffConfig(parsed(pair), parsed(more)).map(formatChange)).toEqual([
      'virtualRouters: + two 10.9.0.101/24',
      'services: + api 10.9.0.100:81',
    ]);
    expect(diffConfig(parsed(more), parsed(pair)).map(formatChange)).toEqual([
      'virtualRouters: - two 10.9.0.101/24',
      'services: - api 10.9.0.100:81',
    ]);
  });

  test('tells of another order, which some ways to balance go by', () => {
    const two = `${s1}\n      - {name: s2, address: '10.9.0.22:8080'}`;
    const turned = `- {name: s2, address: '10.9.0.22:8080'}\n      ${s1}`;
    const changes = diffConfig(parsed(pairWith([s1, two])), parsed(pairWith([s1, turned])));
    expect(changes.map(formatChange)).toEqual(['services.web.servers: in the order s2, s1']);
  });

  test.each([
    ['nodes', 'address: 10.9.0.12', 'address: 10.9.0.13', true],
    ['sync', 'keyFile: /etc/tandem/sync.key', 'keyFile: /etc/tandem/sync.key\n  port: 7401', true],
    ['sync', 'keyFile: /etc/tandem/sync.key', 'keyFile: /etc/tandem/other.key', false],
    ['admin', 'services:', 'admin: {socket: /run/other}\nservices:', true],
    ['proxy', 'services:', 'proxy: {workers: 3}\nservices:', true],
    ['log', 'services:', 'log: {level: debug}\nservices:', false],
    ['services', s1, s1.replace('21', '29'), false],
    ['virtualRouters', vrid, 'vrid: 52', false],
  ])('knows whether %s has to wait for a restart', (section, from, to, expected) => {
    const changes = diffConfig(parsed(pair), parsed(pairWith([from, to])));
    expect(changes.length).toBeGreaterThan(0);
    for (const change of changes)
      expect([change.path.split('.')[0], needsRestart(change)]).toEqual([section, expected]);
  });

  test('is empty exactly when the hashes are equal, and back again it is as long', () => {
    fc.assert(
      fc.property(variant, variant, (a, b) => {
        const changes = diffConfig(a, b);
        expect(changes.length === 0).toBe(configHash(a) === configHash(b));
        expect(diffConfig(a, structuredClone(a))).toEqual([]);
        expect(diffConfig(b, a)).toHaveLength(changes.length);
      }),
    );
  });

  test('names every single leaf that changes', () => {
    fc.assert(
      fc.property(variant, fc.nat(), (config, choice) => {
        const leaves = leavesOf(config);
        const leaf = leaves[choice % leaves.length] ?? [];
        const changes = diffConfig(config, changedAt(config, leaf));
        const steps = leaf.filter((step) => typeof step === 'string').map((step) => step.replace(/Ms$/, ''));
        expect(changes.map(({ path }) => path).join(' ')).toContain(steps[0]);
        expect(changes.length).toBeGreaterThan(0);
      }),
    );
  });
});

const words = fc.constantFrom('a', 'b', 'c', 'd');

/** The pair with other servers, services, addresses and numbers. */
const variant: fc.Arbitrary<Config> = fc
  .record({
    servers: fc.uniqueArray(fc.record({ name: words, weight: fc.nat(3), last: fc.nat(2) }), {
      minLength: 1,
      selector: ({ name }) => name,
    }),
    stick: fc.boolean(),
    checked: fc.boolean(),
    priority: fc.integer({ min: 1, max: 3 }),
    addresses: fc.uniqueArray(fc.integer({ min: 100, max: 103 }), { minLength: 1 }),
    level: fc.constantFrom('info', 'debug'),
  })
  .map(({ servers, stick, checked, priority, addresses, level }) =>
    parsed(
      pairWith(
        [
          s1,
          servers
            .map((s) => `- {name: ${s.name}, address: '10.9.0.2${s.last}:80', weight: ${s.weight}}`)
            .join('\n      '),
        ],
        [
          '    servers:',
          `${stick ? '    stick: {by: source}\n' : ''}${checked ? '' : '    check: false\n'}    servers:`,
        ],
        [vrid, `${vrid}\n    priority: ${priority}`],
        ['[10.9.0.100/24]', `[${addresses.map((last) => `10.9.0.${last}/24`).join(', ')}]`],
        ['services:', `log: {level: ${level}}\nservices:`],
        ['listen: 10.9.0.100:80', `listen: 10.9.0.${addresses[0] ?? 0}:80`],
      ),
    ),
  );

type Step = string | number;

function leavesOf(value: unknown, path: readonly Step[] = []): (readonly Step[])[] {
  if (typeof value !== 'object' || value === null) return value === undefined ? [] : [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([step, part]) => leavesOf(part, [...path, step]));
}

function changedAt(config: Config, path: readonly Step[]): Config {
  const copy = structuredClone(config);
  type Container = Record<Step, unknown>;
  const parent = path.slice(0, -1).reduce((value: unknown, step) => (value as Container)[step], copy) as Container;
  const last = path.at(-1) ?? '';
  const value = parent[last];
  parent[last] = typeof value === 'number' ? value + 1 : typeof value === 'boolean' ? !value : `${String(value)}x`;
  return copy;
}
