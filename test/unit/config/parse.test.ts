import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { configWarnings, parseConfig } from '../../../src/config/index.ts';
import type { Config } from '../../../src/config/index.ts';
import { pair, pairWith, parsed } from './fixtures.ts';

/** Of a service that says nothing about its clients. */
const openDoor = {
  acceptProxy: undefined,
  sni: undefined,
  alpn: [],
  clientHelloTimeoutMs: 5_000,
  deny: [],
  allow: undefined,
  perSource: undefined,
  maxconn: undefined,
  backlog: 4_096,
};

describe('a correct file', () => {
  test('gets every default, resolved for each node', () => {
    expect(parsed(pair)).toEqual({
      nodes: [
        { name: 'lb1', address: '10.9.0.11', syncAddress: '10.9.1.11' },
        { name: 'lb2', address: '10.9.0.12', syncAddress: '10.9.1.12' },
      ],
      sync: { port: 7400, keyFile: '/etc/tandem/sync.key', heartbeatMs: 250 },
      virtualRouters: [
        {
          name: 'web',
          version: 3,
          vrid: 51,
          interface: { lb1: 'eth0', lb2: 'eth0' },
          family: 4,
          addresses: [{ address: '10.9.0.100', prefixLength: 24 }],
          advertIntervalMs: 100,
          priority: { lb1: 200, lb2: 100 },
          preempt: false,
          preemptDelayMs: 0,
          mode: 'multicast',
          mac: 'interface',
          checksum: 'auto',
          simplePassword: undefined,
          hmac: undefined,
          announceRefreshMs: 60_000,
          track: [],
          hooks: { onActive: undefined, onBackup: undefined, onFault: undefined, timeoutMs: 10_000 },
        },
      ],
      syncGroups: [],
      services: [
        {
          name: 'web',
          listen: { address: '10.9.0.100', port: 80 },
          mode: 'proxy',
          balance: 'roundrobin',
          stick: undefined,
          check: {
            ...{ interMs: 2_000, fastinterMs: 2_000, downinterMs: 2_000, timeoutMs: 1_000, rise: 2, fall: 3 },
            ...{ address: undefined, port: undefined, probe: { kind: 'tcp' } },
          },
          agent: undefined,
          outlier: undefined,
          timeouts: { connectMs: 4_000, clientMs: 3_600_000, serverMs: 3_600_000 },
          tcp: { noDelay: true, keepalive: { idleS: 60, intervalS: 10, count: 6 }, userTimeoutMs: 0 },
          retries: 3,
          queue: { length: 10_000, timeoutMs: 4_000 },
          allBackups: false,
          slowStartMs: undefined,
          onMarkedDown: undefined,
          drainTimeMs: undefined,
          frontDoor: openDoor,
          servers: [
            {
              ...{ name: 's1', address: { address: '10.9.0.21', port: 8080 }, weight: 1 },
              ...{ maxconn: undefined, backup: false, sendProxy: undefined },
            },
          ],
          discoveries: [],
        },
      ],
      resolvers: [],
      proxy: { workers: 'auto' },
      admin: { socket: '/run/tandem', group: undefined, listen: undefined },
      state: { directory: '/var/lib/tandem', stickIntervalMs: 60_000 },
      log: { level: 'info' },
    });
  });

  test('is believed in what it says instead of the defaults', () => {
    const config = parsed(`
nodes:
  - {name: a, address: '2001:DB8::0011'}
  - {name: b, address: '2001:db8::12'}
sync: {port: 1, keyFile: /k, heartbeat: 1s}
virtualRouters:
  - name: six
    vrid: 7
    interface: {a: eth1, b: ens3}
    addresses: ['FE80::0100', '2001:db8::101/64']
    advertInterval: 40.95s
    priority: {a: 10, b: 254}
    preempt: true
    preemptDelay: 2m
    mode: unicast
    mac: virtual
    checksum: messageOnly
    hmac: {keys: [{id: 1, keyFile: /k1}, {id: 255, keyFile: /k2}], activeKey: 255, mode: permissive}
    announceRefresh: 0s
    track:
      - {interface: eth7}
      - {interface: {a: eth8, b: eth9}, weight: -253}
      - {script: '/bin/check  -v x', inter: 500ms, timeout: 400ms, rise: 2, fall: 3, weight: 253}
      - {script: [/bin/sh, -c, 'a | b'], inter: 5s}
      - {file: /run/f, weight: 2}
      - {service: s}
    hooks: {onActive: /bin/a b, onBackup: [/bin/b, 'x y'], onFault: /bin/c, timeout: 1s}
services:
  - name: s
    listen: '[2001:db8:0::101]:65535'
    balance: leastconn
    stick: {by: source, ttl: 1d}
    check: {inter: 100ms, timeout: 50ms, rise: 1, fall: 1, port: 9}
    timeouts: {connect: 1.5s, client: 0s, server: 2m, tunnel: 0s, clientFin: 30s}
    keepalive: false
    noDelay: false
    tcpUserTimeout: 30s
    retries: 0
    queue: {length: 5}
    allBackups: true
    slowStart: 30s
    onMarkedDown: shutdownSessions
    drainTime: 1m
    servers: [{name: x, address: '[2001:db8::21]:1', weight: 0, maxconn: 7, backup: true}]
  - name: unchecked
    listen: '[2001:db8::101]:1'
    check: false
    servers: [{name: x, address: '[2001:db8::21]:1', weight: 256}]
proxy: {workers: 64}
admin: {socket: /tmp/t, listen: '[::1]:9600'}
log: {level: debug}
`);
    expect(config.nodes[0]).toEqual({ name: 'a', address: '2001:db8::11', syncAddress: '2001:db8::11' });
    expect(config.sync).toEqual({ port: 1, keyFile: '/k', heartbeatMs: 1_000 });
    expect(config.virtualRouters[0]).toEqual({
      name: 'six',
      version: 3,
      vrid: 7,
      interface: { a: 'eth1', b: 'ens3' },
      family: 6,
      addresses: [
        { address: 'fe80::100', prefixLength: 128 },
        { address: '2001:db8::101', prefixLength: 64 },
      ],
      advertIntervalMs: 40_950,
      priority: { a: 10, b: 254 },
      preempt: true,
      preemptDelayMs: 120_000,
      mode: 'unicast',
      mac: 'virtual',
      checksum: 'messageOnly',
      simplePassword: undefined,
      hmac: {
        keys: [
          { id: 1, keyFile: '/k1' },
          { id: 255, keyFile: '/k2' },
        ],
        activeKey: 255,
        mode: 'permissive',
      },
      announceRefreshMs: undefined,
      track: [
        { weight: 'fatal', subject: { kind: 'interface', interface: { a: 'eth7', b: 'eth7' } } },
        { weight: -253, subject: { kind: 'interface', interface: { a: 'eth8', b: 'eth9' } } },
        { weight: 253, subject: script(['/bin/check', '-v', 'x'], 500, 400, 2, 3) },
        { weight: 'fatal', subject: script(['/bin/sh', '-c', 'a | b'], 5_000, 5_000, 1, 1) },
        { weight: 2, subject: { kind: 'file', path: '/run/f' } },
        { weight: 'fatal', subject: { kind: 'service', service: 's' } },
      ],
      hooks: { onActive: ['/bin/a', 'b'], onBackup: ['/bin/b', 'x y'], onFault: ['/bin/c'], timeoutMs: 1_000 },
    });
    expect(config.services[0]).toEqual({
      name: 's',
      listen: { address: '2001:db8::101', port: 65_535 },
      mode: 'proxy',
      balance: 'leastconn',
      stick: { by: 'source', prefix: { ipv4: 32, ipv6: 128 }, ttlMs: 86_400_000, size: 1_000_000 },
      check: {
        ...{ interMs: 100, fastinterMs: 100, downinterMs: 100, timeoutMs: 50, rise: 1, fall: 1 },
        ...{ address: undefined, port: 9, probe: { kind: 'tcp' } },
      },
      agent: undefined,
      outlier: undefined,
      timeouts: { connectMs: 1_500, clientMs: 0, serverMs: 120_000, tunnelMs: 0, clientFinMs: 30_000 },
      tcp: { noDelay: false, keepalive: undefined, userTimeoutMs: 30_000 },
      retries: 0,
      queue: { length: 5, timeoutMs: 1_500 },
      allBackups: true,
      slowStartMs: 30_000,
      onMarkedDown: 'shutdownSessions',
      drainTimeMs: 60_000,
      frontDoor: openDoor,
      servers: [
        {
          ...{ name: 'x', address: { address: '2001:db8::21', port: 1 }, weight: 0 },
          ...{ maxconn: 7, backup: true, sendProxy: undefined },
        },
      ],
      discoveries: [],
    });
    expect(config.services[1]?.check).toBeUndefined();
    expect(config.proxy.workers).toBe(64);
    expect(config.admin).toEqual({ socket: '/tmp/t', group: undefined, listen: { address: '::1', port: 9_600 } });
    expect(config.log.level).toBe('debug');
  });

  test('has names beside servers, with what else they have', () => {
    const config = parsed(
      pairWith(
        [
          "      - {name: s1, address: '10.9.0.21:8080'}",
          `      - {name: s1, address: '10.9.0.21:8080'}
      - {name: app, resolve: App.Example.internal., port: 8080, weight: 3, hold: 0s}
      - {name: web, srv: _http._tcp.example.internal}`,
        ],
        ['services:', "resolvers: [10.9.0.53, '10.9.0.54:8600', '2001:db8::53', '[2001:db8::54]:5353']\nservices:"],
      ),
    );
    expect(config.services[0]?.servers.map(({ name }) => name)).toEqual(['s1']);
    expect(config.services[0]?.discoveries).toEqual([
      {
        name: 'app',
        lookup: { kind: 'address', host: 'app.example.internal', port: 8080 },
        holdMs: 0,
        template: { weight: 3, maxconn: undefined, backup: false },
      },
      {
        name: 'web',
        lookup: { kind: 'srv', service: '_http._tcp.example.internal' },
        holdMs: 30_000,
        template: { weight: 1, maxconn: undefined, backup: false },
      },
    ]);
    expect(config.resolvers).toEqual([
      { address: '10.9.0.53', port: 53 },
      { address: '10.9.0.54', port: 8600 },
      { address: '2001:db8::53', port: 53 },
      { address: '2001:db8::54', port: 5353 },
    ]);
  });

  test('with one node needs no sync', () => {
    const config = parsed(`
nodes: [{name: only, address: 10.0.0.1}]
virtualRouters: [{name: r, vrid: 1, interface: lo, addresses: [10.0.0.9], priority: 7}]
`);
    expect(config.sync).toBeUndefined();
    expect(config.services).toEqual([]);
    expect(config.virtualRouters[0]?.priority).toEqual({ only: 7 });
    expect(config.virtualRouters[0]?.addresses).toEqual([{ address: '10.0.0.9', prefixLength: 32 }]);
  });

  test.each<[check: string, probe: object]>([
    [
      '{type: http}',
      {
        ...{ kind: 'http', method: 'GET', path: '/', host: undefined, expectBody: undefined, tls: undefined },
        expectStatus: [{ from: 200, to: 399 }],
      },
    ],
    [
      "{type: http, method: HEAD, path: /a, host: 'x:81', expectStatus: '200-299, 304', tls: {caFile: /ca.pem}}",
      {
        ...{ kind: 'http', method: 'HEAD', path: '/a', host: 'x:81', expectBody: undefined },
        expectStatus: [
          { from: 200, to: 299 },
          { from: 304, to: 304 },
        ],
        tls: { sni: undefined, verify: true, caFile: '/ca.pem' },
      },
    ],
    ['{type: tls}', { kind: 'tls', tls: { sni: undefined, verify: false, caFile: undefined } }],
    [
      '{type: tls, tls: {sni: x, verify: required}}',
      { kind: 'tls', tls: { sni: 'x', verify: true, caFile: undefined } },
    ],
    [
      '{type: expect, steps: [{send: "PING\\r\\n"}, {expect: +PONG}, {sendHex: 0D 0A}]}',
      {
        kind: 'expect',
        tls: undefined,
        steps: [
          { kind: 'send', form: 'text', value: 'PING\r\n' },
          { kind: 'expect', form: 'text', value: '+PONG' },
          { kind: 'send', form: 'hex', value: '0d0a' },
        ],
      },
    ],
    ['{type: command, command: /bin/check -v}', { kind: 'command', words: ['/bin/check', '-v'] }],
  ])('knows what is checked by %s', (check, probe) => {
    const config = parsed(pairWith(['    servers:', `    check: ${check}\n    servers:`]));
    expect(config.services[0]?.check?.probe).toEqual(probe);
  });

  test('has agents and takes out outliers only where it says so', () => {
    const lines = '    agent: {port: 9777}\n    outlier: {panic: 25.5%}\n    servers:';
    expect(parsed(pairWith(['    servers:', lines])).services[0]).toMatchObject({
      agent: { port: 9_777, address: undefined, interMs: 2_000, send: undefined },
      outlier: { consecutiveFailures: 5, ejectionTimeMs: 30_000, ejectionTimeMaxMs: 300_000, panicShare: 0.255 },
    });
  });

  test('that checks often gets a timeout that fits into the interval', () => {
    const config = parsed(pairWith(['    servers:', '    check: {inter: 300ms}\n    servers:']));
    expect(config.services[0]?.check).toMatchObject({ interMs: 300, timeoutMs: 300 });
  });

  test('may let a check last as long as its interval', () => {
    const config = parsed(pairWith(['    servers:', '    check: {inter: 3s, timeout: 3s}\n    servers:']));
    expect(config.services[0]?.check).toMatchObject({ interMs: 3_000, timeoutMs: 3_000 });
  });

  test('may say common things once, with an anchor', () => {
    const config = parsed(`${pair.replace('    servers:', '    check: &often {inter: 1s}\n    servers:')}
  - {name: b, listen: '10.9.0.100:81', check: *often, servers: [{name: s, address: '10.9.0.21:81'}]}
`);
    expect(config.services[1]?.check?.interMs).toBe(1_000);
  });

  test('may use a VRID for IPv4 and IPv6 on one interface, or on two interfaces', () => {
    const six = "  - {name: six, vrid: 51, interface: eth0, addresses: ['fe80::1', '2001:db8::1']}\n";
    const other = '  - {name: other, vrid: 51, interface: eth1, addresses: [10.8.0.1]}\n';
    expect(parsed(pairWith(['services:', `${six}${other}services:`])).virtualRouters).toHaveLength(3);
  });
});

describe('virtual routers together', () => {
  const inside = '  - {name: inside, vrid: 52, interface: eth1, addresses: [10.8.0.1]}\n';

  test('may be a sync group', () => {
    const groups = 'syncGroups: [{name: all, virtualRouters: [web, inside]}]\n';
    const config = parsed(pairWith(['services:', `${inside}${groups}services:`]));
    expect(config.syncGroups).toEqual([{ name: 'all', virtualRouters: ['web', 'inside'] }]);
  });

  test('may be a sync group when one writes out the default of the other', () => {
    const written = inside.replace('}', ', priority: {lb1: 200, lb2: 100}}');
    const groups = 'syncGroups: [{name: all, virtualRouters: [web, inside]}]\n';
    expect(parsed(pairWith(['services:', `${written}${groups}services:`])).syncGroups).toHaveLength(1);
  });
});

test('adverts may be sealed without insisting on it, which is warned about', () => {
  const hmac = (more: string): Config =>
    parsed(pairWith(['vrid: 51', `vrid: 51\n    hmac: {keys: [{id: 1, keyFile: /k}], activeKey: 1${more}}`]));
  expect(hmac('').virtualRouters[0]?.hmac?.mode).toBe('enforce');
  expect(configWarnings(hmac(''))).toEqual([]);
  expect(configWarnings(hmac(', mode: receive-only'))).toEqual([
    'virtual router web: hmac protects nothing yet, mode: receive-only believes adverts without a seal',
  ]);
});

test('version 2 may have a password, which is warned about', () => {
  const config = parsed(
    pairWith(['vrid: 51', 'vrid: 51\n    version: 2\n    advertInterval: 2s\n    simplePassword: secret']),
  );
  expect(config.virtualRouters[0]).toMatchObject({ version: 2, advertIntervalMs: 2_000, simplePassword: 'secret' });
  expect(configWarnings(config)).toEqual([
    'virtual router web: simplePassword protects nothing, everybody on the LAN can read it',
  ]);
  expect(configWarnings(parsed(pair))).toEqual([]);
});

test('virtual routers on several interfaces may have the same link-local address', () => {
  const six = (vrid: number, name: string): string =>
    `  - {name: ${name}, vrid: ${vrid}, interface: ${name}, addresses: ['fe80::1/64']}\n`;
  const config = parsed(pairWith(['services:', `${six(1, 'eth1')}${six(1, 'eth2')}services:`]));
  expect(config.virtualRouters.map(({ family }) => family)).toEqual([4, 6, 6]);
});

describe('the virtual MAC', () => {
  const router = (keys: string): Config => parsed(pairWith(['vrid: 51', `vrid: 51\n    mac: virtual\n    ${keys}`]));

  test('is no reason for a warning', () => {
    expect(configWarnings(router('mode: multicast\n    announceRefresh: 0s'))).toEqual([]);
    expect(configWarnings(router('mode: unicast'))).toEqual([]);
  });

  test.each(['0s', '5m'])('is warned about where the switch forgets it: unicast, announced every %s', (refresh) => {
    expect(configWarnings(router(`mode: unicast\n    announceRefresh: ${refresh}`))).toEqual([
      'virtual router web: with mode: unicast the switch learns the virtual MAC from announcements alone; ' +
        'write announceRefresh: 60s',
    ]);
  });
});

test('the example is correct', () => {
  const path = 'deploy/examples/pair.yaml';
  const result = parseConfig(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8'), path);
  expect(result).toMatchObject({ ok: true, value: { nodes: [{ name: 'lb1' }, { name: 'lb2' }] } });
});

function script(command: readonly string[], interMs: number, timeoutMs: number, rise: number, fall: number): object {
  return { kind: 'script', command, interMs, timeoutMs, rise, fall };
}
