/** The configuration file: every key with its meaning, range and default. `docs/configuration.md` says it at length. */

import * as z from 'zod';
import {
  absolutePath,
  choice,
  duration,
  endpoint,
  hints,
  hostAddress,
  integer,
  list,
  name,
  section,
} from './fields.ts';
import { serverCapacity, serviceCapacity } from './capacity-schema.ts';
import { agent, check, outlier, serverCheckShape } from './check-schema.ts';
import { frontDoorShape, sendProxy } from './front-door-schema.ts';
import { accessLog } from './log-schema.ts';
import { syncGroup, virtualRouter } from './router-schema.ts';
import { dnsKeys, resolvers } from './dns-schema.ts';
import { state } from './state-schema.ts';
import { stick } from './stick-schema.ts';
import { keepalive, noDelay, tcpUserTimeout } from './tcp-schema.ts';
import { timeouts } from './timeouts-schema.ts';

const second = 1_000;

/** The defaults that depend on other values; all others stand with their keys below. */
export const dependentDefaults = {
  /** By the place of the node in `nodes`. */
  priorities: [200, 100],
  /** Of a tracked script; its time-out is its `inter`. */
  tracker: { interMs: second, rise: 1, fall: 1 },
} as const;

const node = section(
  'One node of the pair.',
  {
    name: name('Name of the node, which `tandem run --node` picks; the host name by default.', 'lb1'),
    address: hostAddress('Its address on the LAN: source of adverts and of health checks.', '10.9.0.11'),
    syncAddress: hostAddress('Its address on the sync link. Default: `address`.', '10.9.1.11').optional(),
  },
  '{name: lb1, address: 10.9.0.11}',
);

const sync = section(
  'The connection between the two nodes; required when there are two.',
  {
    port: integer('TCP port on the sync addresses.', 1, 65_535, 7400).prefault(7400),
    keyFile: absolutePath(
      'File with the key that both nodes share, or two, one per line; mode 0600. `openssl rand -hex 32` makes one.',
      '/etc/tandem/sync.key',
    ),
    heartbeat: duration(
      'How often each node tells the other that it lives, over the sync link.',
      { minMs: 50, maxMs: 10 * second },
      '250ms',
    ).prefault('250ms'),
  },
  '{keyFile: /etc/tandem/sync.key}',
);

export const server = section(
  'One server behind a service, or a DNS name that stands for several.',
  {
    name: name('Name of the server; unique in its service.', 's1'),
    address: endpoint('IP address and port; of the family of `listen`.', "'10.9.0.21:8080'").optional(),
    ...dnsKeys,
    weight: integer('Share of the connections, in relation to the other servers; 0: none.', 0, 256, 1).prefault(1),
    ...serverCheckShape,
    ...serverCapacity,
    sendProxy: sendProxy('PROXY protocol header for this server. Default: as the service has it.').optional(),
  },
  "{name: s1, address: '10.9.0.21:8080'}",
);

const service = section(
  'One virtual address and port, and the servers behind it.',
  {
    name: name('Name of the service; unique.', 'web'),
    listen: endpoint('Virtual address and port to accept connections on.', '10.9.0.100:80'),
    mode: choice('How bytes travel: through the proxy.', ['proxy']).prefault('proxy'),
    balance: choice('How a server is picked for a connection.', [
      'roundrobin',
      'leastconn',
      'random',
      'source',
      'maglev',
      'leasttime',
      'first',
    ]).prefault('roundrobin'),
    stick: stick.optional(),
    check: z
      .union([z.literal(false), check])
      .describe('Health check of the servers; `false` switches it off.')
      .register(hints, { expected: 'a mapping or false', example: '{inter: 2s}' })
      .prefault({}),
    agent: agent.optional(),
    outlier: outlier.optional(),
    timeouts: timeouts.prefault({}),
    keepalive: keepalive.prefault({}),
    noDelay: noDelay.prefault(true),
    tcpUserTimeout: tcpUserTimeout.prefault('0s'),
    retries: integer('How many other servers are tried after one that did not accept.', 0, 100, 3).prefault(3),
    ...serviceCapacity,
    ...frontDoorShape,
    servers: list('The servers.', server, 1, 1024, "[{name: s1, address: '10.9.0.21:8080'}]"),
  },
  "{name: web, listen: 10.9.0.100:80, servers: [{name: s1, address: '10.9.0.21:8080'}]}",
);

const workers = z
  .union([integer('Processes.', 1, 64, 2), z.literal('auto')])
  .describe("Proxy processes; 'auto' is one per core.")
  .register(hints, { expected: 'a number from 1 to 64 or auto', example: 'auto' });

export const fileSchema = section(
  'Configuration of a Tandem pair; the same file on both nodes.',
  {
    nodes: list('The nodes: two make a pair.', node, 1, 2, '[{name: lb1, address: 10.9.0.11}]'),
    sync: sync.optional(),
    virtualRouters: list(
      'The virtual routers.',
      virtualRouter,
      1,
      1024,
      '[{name: web, vrid: 51, interface: eth0, addresses: [10.9.0.100/24]}]',
    ),
    syncGroups: list(
      'Virtual routers that are always on the same node.',
      syncGroup,
      0,
      512,
      '[{name: all, virtualRouters: [inside, outside]}]',
    ).prefault([]),
    services: list('The services.', service, 0, 1024, '[]').prefault([]),
    resolvers: resolvers.prefault([]),
    proxy: section('The proxy.', { workers: workers.prefault('auto') }, '{workers: auto}').prefault({}),
    admin: section(
      'Where the node is operated and watched.',
      {
        socket: absolutePath(
          'Directory of the UNIX socket `<node>.sock`, which the commands talk to.',
          '/run/tandem',
        ).prefault('/run/tandem'),
        group: name(
          "Group of this host whose members may operate the node. Default: none, the node's own user only.",
          'tandem',
        ).optional(),
        listen: endpoint(
          'Address and port of the read-only metrics and status. Default: none.',
          '127.0.0.1:9600',
        ).optional(),
      },
      '{socket: /run/tandem}',
    ).prefault({}),
    state,
    log: section(
      'The log.',
      {
        level: choice('The least important lines that are still written.', ['error', 'warn', 'info', 'debug']).prefault(
          'info',
        ),
        access: accessLog.prefault('off'),
      },
      '{level: info}',
    ).prefault({}),
  },
  '{nodes: [...], virtualRouters: [...]}',
);

/** The file as the schema reads it: defaults filled in, values converted, nothing resolved yet. */
export type ConfigFile = z.output<typeof fileSchema>;
