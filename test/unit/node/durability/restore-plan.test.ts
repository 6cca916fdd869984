import { describe, expect, it } from 'vitest';
import type { ServiceConfig } from '../../../../src/config/index.ts';
import { planRestore } from '../../../../src/node/durability/restore-plan.ts';
import type { SnapshotRecord } from '../../../../src/state/index.ts';
import { parsed } from '../../config/fixtures.ts';

const at = { writtenWallMs: 1_000_000, wallMs: 1_010_000, nowMs: 500 };

const file = `nodes: [{name: lb1, address: 10.9.0.11}]
virtualRouters: [{name: web, vrid: 51, interface: eth0, addresses: [10.9.0.100/24]}]
services:
  - name: web
    listen: 10.9.0.100:80
    stick: {by: source, size: 2}
    servers: [{name: s1, address: '10.9.0.21:80'}, {name: dyn, resolve: pods.example, port: 80}]
  - {name: plain, listen: '10.9.0.100:81', servers: [{name: s1, address: '10.9.0.21:80'}]}
`;
const services: readonly ServiceConfig[] = parsed(file).services;

describe('planRestore', () => {
  it('takes what fits, and overrides and sticky clients of servers that the backup adds', async () => {
    const plan = await planOf(
      recordOf('overrides', 'web/s9', { admin: 'drain' }),
      recordOf('sticks', 'web/10.0.0.1', 's9', 60_000),
      recordOf('servers', 'web/s9', { address: '10.9.0.29:80' }),
      recordOf('overrides', 'plain/s1', { weight: 3 }),
    );
    expect(plan).toEqual({
      ok: true,
      value: expect.objectContaining({
        overrides: new Map<string, unknown>([
          ['web/s9', { admin: 'drain' }],
          ['plain/s1', { weight: 3 }],
        ]),
        servers: new Map([['web/s9', { address: '10.9.0.29:80' }]]),
        sticks: [{ key: 'web/10.0.0.1', server: 's9', expiresAtMs: 50_500 }],
        expired: 0,
      }) as unknown,
    });
  });

  it('leaves out sticky clients whose time is over, and says how many', async () => {
    const plan = await planOf(
      recordOf('sticks', 'web/10.0.0.1', 's1', 10_000),
      recordOf('sticks', 'web/b', 's1', 10_001),
    );
    expect(plan).toMatchObject({ ok: true, value: { expired: 1, sticks: { length: 1 } } });
  });

  it('counts a sticky client once, and takes the last that is said of it', async () => {
    const twice = ['s1', 's1', 's1'].map((server) => recordOf('sticks', 'web/a', server, 20_000));
    const plan = await planOf(...twice, recordOf('sticks', 'web/a', 's1', 60_000));
    expect(plan).toMatchObject({ ok: true });
    expect(plan.ok && plan.value.sticks.at(-1)).toEqual({ key: 'web/a', server: 's1', expiresAtMs: 50_500 });
  });

  it('takes servers that a DNS name stands for, whether they are there now or not', async () => {
    expect(await planOf(recordOf('overrides', 'web/dyn-10.9.0.44', { weight: 1 }))).toMatchObject({ ok: true });
  });

  it('leaves out added servers that the file has by now', async () => {
    const plan = await planOf(recordOf('servers', 'web/s1', { address: '10.9.0.29:80' }));
    expect(plan).toMatchObject({ ok: true, value: { servers: { size: 0 } } });
  });

  it.each<[string, readonly SnapshotRecord[], readonly (string | RegExp)[]]>([
    ['a service that is unknown', [recordOf('overrides', 'shop/s1', { weight: 1 })], ['there is no service shop']],
    ['a server that is unknown', [recordOf('overrides', 'web/s7', { weight: 1 })], ['service web has no server s7']],
    ['sticky clients of an unknown server', [recordOf('sticks', 'web/a', 's7', 20_000)], [/web has no server s7/]],
    ['sticky clients of a service without', [recordOf('sticks', 'plain/a', 's1', 20_000)], [/plain has no stickiness/]],
    ['an added server of an unknown service', [recordOf('servers', 'shop/s1', {})], ['there is no service shop']],
    ['an added server that cannot be', [recordOf('servers', 'web/s8', { address: 'x' })], [/web\/s8 does not fit: /]],
    [
      'an added server on an address that is taken',
      [recordOf('servers', 'web/s8', { address: '10.9.0.21:80' })],
      [/web\/s8 does not fit: service web has the server s1 on 10\.9\.0\.21:80 already/],
    ],
    ['an override that cannot be read', [recordOf('overrides', 'web/s1', { weight: -1 })], [/web\/s1 cannot be read/]],
    ['a stick entry that cannot be read', [recordOf('sticks', 'web/a', 7, 20_000)], [/stick entry web\/a cannot be/]],
    ['a table that is unknown', [recordOf('other', 'web/a', 's1')], [/has a table other/]],
    [
      'more sticky clients than the table takes',
      ['a', 'b', 'c'].map((source) => recordOf('sticks', `web/${source}`, 's1', 20_000)),
      ["it has 3 sticky clients of service web, whose table's size is 2"],
    ],
    [
      'several things, each once',
      [
        recordOf('overrides', 'shop/s1', { weight: 1 }),
        recordOf('overrides', 'shop/s2', { weight: 1 }),
        recordOf('overrides', 'web/s7', { weight: 1 }),
      ],
      ['there is no service shop', 'service web has no server s7'],
    ],
  ])('refuses %s', async (_what, records, reasons) => {
    const texts = reasons.map((reason): unknown =>
      typeof reason === 'string' ? reason : expect.stringMatching(reason),
    );
    expect(await planOf(...records)).toEqual({ ok: false, reason: texts });
  });

  it('names no more than twenty things', async () => {
    const records = Array.from({ length: 50 }, (_, index) => recordOf('overrides', `web/x${index}`, { weight: 1 }));
    const plan = await planOf(...records);
    expect(plan.ok ? [] : plan.reason).toHaveLength(20);
  });
});

function planOf(...records: readonly SnapshotRecord[]) {
  return planRestore(records, services, at, () => Promise.resolve());
}

function recordOf(table: string, key: string, value: SnapshotRecord['value'], lifeMs?: number): SnapshotRecord {
  return { table, key, value, counter: 1, origin: 'lb1/boot', lifeMs };
}
