import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/index.ts';
import type { ServiceConfig } from '../../../src/config/index.ts';
import { agentTargets, checkTargets, workerWeights } from '../../../src/node/check-settings.ts';
import { createPool, hearAgent, setAdmin, setAgent, setWeight, silentAgent } from '../../../src/proxy/index.ts';
import type { PoolUpdate, ServerPool } from '../../../src/proxy/index.ts';
import { serverSpecs } from '../../../src/node/settings.ts';

const ownAddress = '10.9.0.11';

describe('what is checked', () => {
  it("is the server's own address and port unless the check, or else the server, names others", () => {
    const places = (check: string, server: string): string => {
      const service = serviceOf(`check: ${check}`, [`, ${server}`]);
      const [target] = checkTargets(service, poolOf(service), ownAddress);
      return `${target?.address ?? ''} ${target?.port ?? 0}`;
    };
    expect(places('{}', 'weight: 1')).toBe('10.9.0.21 8080');
    expect(places('{address: 10.9.0.5, port: 81}', 'weight: 1')).toBe('10.9.0.5 81');
    expect(places('{address: 10.9.0.5, port: 81}', 'checkPort: 82, checkAddress: 10.9.0.6')).toBe('10.9.0.6 82');
  });

  it("leaves from the node's own address, for a server of its family", () => {
    const service = serviceOf('check: {}', ['', ", checkAddress: '2001:db8::1'"]);
    const targets = checkTargets(service, poolOf(service), ownAddress);
    expect(targets.map(({ source }) => source)).toEqual([ownAddress, undefined]);
  });

  it('is told by a PROXY protocol header where the clients are, and not at another place', () => {
    const headers = (check: string, server: string): unknown => {
      const service = serviceOf(`sendProxy: v2\n    check: ${check}`, [`, ${server}`]);
      return checkTargets(service, poolOf(service), ownAddress)[0]?.sendProxy;
    };
    expect(headers('{}', 'weight: 1')).toBe('v2');
    expect(headers('{}', 'sendProxy: v1')).toBe('v1');
    expect(headers('{port: 8080}', 'weight: 1')).toBe('v2');
    expect(headers('{port: 81}', 'weight: 1')).toBeUndefined();
    expect(headers('{}', 'checkAddress: 10.9.0.6')).toBeUndefined();
    const service = serviceOf('sendProxy: v2\n    agent: {port: 9777}');
    expect(agentTargets(service, poolOf(service), ownAddress)[0]?.sendProxy).toBeUndefined();
  });

  it('is no server in maintenance, whoever has said so, but their agents are asked', () => {
    const service = serviceOf('agent: {port: 9777}', ['', ', agentPort: 9778', '']);
    const pool = [
      (before: ServerPool) => setAdmin(before, 's1', 'maint'),
      (before: ServerPool) => setAgent(before, 's2', hearAgent(silentAgent, 'maint')),
    ].reduce((before, change) => updated(change(before)), poolOf(service));
    expect(checkTargets(service, pool, ownAddress).map(({ server }) => server)).toEqual(['s3']);
    const asked = agentTargets(service, pool, ownAddress);
    expect(asked.map(({ server, port }) => `${server} ${port}`)).toEqual(['s1 9777', 's2 9778', 's3 9777']);
    expect(asked[0]?.probe).toEqual({ kind: 'agent', send: undefined });
  });

  it('is what the file says, in bytes', () => {
    const service = serviceOf('check: {type: expect, steps: [{send: "é\\r\\n"}, {expectHex: 2b 50}]}');
    const [target] = checkTargets(service, poolOf(service), ownAddress);
    expect(target?.probe).toEqual({
      kind: 'expect',
      tls: undefined,
      steps: [
        { kind: 'send', bytes: Uint8Array.of(0xc3, 0xa9, 0x0d, 0x0a), label: 'é' },
        { kind: 'expect', bytes: Uint8Array.of(0x2b, 0x50), label: '2b50' },
      ],
    });
  });
});

describe('weights for the workers', () => {
  it('are the configured ones where there are no agents', () => {
    const service = serviceOf('check: {}', ['', ', weight: 7', ', weight: 0']);
    expect([...workerWeights(service, poolOf(service)).values()]).toEqual([1, 7, 0]);
  });

  it('have their proportions whatever the agents say, and nothing is rounded to nothing', () => {
    const service = serviceOf('agent: {port: 9777}', ['', '', '', '']);
    const says = (server: string, word: string) => (pool: ServerPool) =>
      setAgent(pool, server, hearAgent(silentAgent, word));
    const pool = [says('s1', '75%'), says('s2', 'cpu:100%'), says('s3', '0%')].reduce(
      (before, change) => updated(change(before)),
      poolOf(service),
    );
    expect([...workerWeights(service, pool).values()]).toEqual([192, 3, 0, 256]);
    expect([...workerWeights(service, updated(setWeight(pool, 's1', 4))).values()]).toEqual([256, 1, 0, 64]);
  });
});

function serviceOf(line: string, servers: readonly string[] = ['']): ServiceConfig {
  const parsed = parseConfig(
    `nodes: [{name: lb1, address: ${ownAddress}}]
virtualRouters: [{name: web, vrid: 51, interface: eth0, addresses: [10.9.0.100/24]}]
services:
  - name: web
    listen: 10.9.0.100:80
    ${line}
    servers:
${servers.map((rest, index) => `      - {name: s${index + 1}, address: '10.9.0.2${index + 1}:8080'${rest}}`).join('\n')}
`,
    'f',
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.reason));
  const [service] = parsed.value.services;
  if (service === undefined) throw new Error('there is a service');
  return service;
}

function poolOf(service: ServiceConfig): ServerPool {
  return createPool(serverSpecs(service));
}

function updated(result: { ok: true; value: PoolUpdate } | { ok: false; reason: string }): ServerPool {
  if (!result.ok) throw new Error(result.reason);
  return result.value.pool;
}
