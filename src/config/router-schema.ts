/** The part of the configuration file about virtual routers. */

import * as z from 'zod';
import {
  absolutePath,
  choice,
  command,
  duration,
  flag,
  hints,
  hostPrefix,
  integer,
  interfaceName,
  list,
  name,
  perNode,
  section,
  shortPassword,
} from './fields.ts';

const second = 1_000;
const hour = 3_600 * second;
const day = 24 * hour;

const hmac = section(
  'Adverts are authenticated with HMAC-SHA256, between Tandem nodes only.',
  {
    keys: list(
      'The keys that are accepted.',
      section(
        'One key.',
        {
          id: integer('Its number in adverts, the same on both nodes.', 1, 255, 1),
          keyFile: absolutePath(
            'File with the key: 32 to 256 bytes, mode 0600. `openssl rand -hex 32` makes one.',
            '/etc/tandem/vrrp-1.key',
          ),
        },
        '{id: 1, keyFile: /etc/tandem/vrrp-1.key}',
      ),
      1,
      8,
      '[{id: 1, keyFile: /etc/tandem/vrrp-1.key}]',
    ),
    activeKey: integer('The `id` of the key that this node sends with.', 1, 255, 1),
    mode: choice('What is sealed, and whether adverts without a seal are believed.', [
      'enforce',
      'permissive',
      'receive-only',
    ]).prefault('enforce'),
  },
  '{keys: [{id: 1, keyFile: /etc/tandem/vrrp-1.key}], activeKey: 1}',
);

const weight = z
  .union([
    z
      .int()
      .min(-253)
      .max(253)
      .refine((value) => value !== 0),
    z.literal('fatal'),
  ])
  .describe("What it does to the priority: added while it is up if positive, while it is down if negative; or 'fatal'.")
  .register(hints, {
    expected: 'a number from -253 to 253 but 0, or fatal',
    example: 'fatal',
    advise: (value) => (value === 0 ? "write fatal, which is what keepalived's 0 means" : undefined),
  });

const tracker = z
  .strictObject({
    interface: perNode(
      'An interface that must be up and have a carrier; one name, or one for each node.',
      interfaceName('Interface on this node.'),
      "an interface's name of up to 15 characters",
      'eth1',
    ).optional(),
    script: command('A command that must exit with 0.', '/usr/local/bin/check-uplink').optional(),
    file: absolutePath(
      'A file that must be there and hold a whole number, which multiplies the weight.',
      '/run/tandem/web.weight',
    ).optional(),
    service: name('A service of this file that must have a server for new connections.', 'web').optional(),
    weight: weight.prefault('fatal'),
    inter: duration(
      'Time from one run of a script to its next. Default: 1s.',
      { minMs: 100, maxMs: hour },
      '1s',
    ).optional(),
    timeout: duration(
      'How long a script may run; then it is killed. Default: `inter`.',
      { minMs: 10, maxMs: hour },
      '1s',
    ).optional(),
    rise: integer('How many runs in a row must succeed until a script is up. Default: 1.', 1, 100, 1).optional(),
    fall: integer('How many runs in a row must fail until a script is down. Default: 1.', 1, 100, 1).optional(),
  })
  // Not one of the cross checks: those cannot tell a subject that is absent from one that could not be read.
  .refine((value) => [value.interface, value.script, value.file, value.service].some((one) => one !== undefined))
  .describe('One thing that is tracked: exactly one of interface, script, file and service.')
  .register(hints, {
    expected: 'a mapping that names an interface, a script, a file or a service',
    example: '{interface: eth1}',
  });

const hooks = section(
  'Commands that are run when the virtual router has changed its state.',
  {
    onActive: command('Run when this node has become active.', '/usr/local/bin/on-active').optional(),
    onBackup: command('Run when this node has become backup.', '/usr/local/bin/on-backup').optional(),
    onFault: command(
      'Run when this node has left the election: a fault, or its end.',
      '/usr/local/bin/on-fault',
    ).optional(),
    timeout: duration('How long a hook may run; then it is killed.', { minMs: 10, maxMs: hour }, '10s').prefault('10s'),
  },
  '{onActive: /usr/local/bin/on-active}',
);

export const syncGroup = section(
  'Virtual routers that are always on the same node.',
  {
    name: name('Name of the group; unique.', 'all'),
    virtualRouters: list(
      'Their names; a virtual router is in one group at most.',
      name('Name of a virtual router.', 'web'),
      2,
      64,
      '[inside, outside]',
    ),
  },
  '{name: all, virtualRouters: [inside, outside]}',
);

export const virtualRouter = section(
  'Addresses that move together between the nodes (RFC 9568).',
  {
    name: name('Name of the virtual router; unique.', 'web'),
    version: z
      .union([z.literal(3), z.literal(2)])
      .describe('Version of VRRP: 2 only beside routers that know no other (IPv4, intervals of whole seconds).')
      .register(hints, { expected: '3 or 2', example: '3' })
      .prefault(3),
    vrid: integer('Virtual router identifier; unique per interface and address family.', 1, 255, 51),
    interface: perNode(
      'Interface that carries the addresses, or one for each node: `{lb1: eth0, lb2: ens3}`.',
      interfaceName('Interface on this node.'),
      "an interface's name of up to 15 characters",
      'eth0',
    ),
    addresses: list(
      'The virtual addresses, of one family; without a length an address stands alone (/32, /128). ' +
        'IPv6: a link-local one first.',
      hostPrefix('A virtual address.', '10.9.0.100/24'),
      1,
      255,
      '[10.9.0.100/24]',
    ),
    advertInterval: duration(
      'How often the active node sends an advert. The standby takes over after about three of them.',
      { minMs: 10, maxMs: 40_950, multipleMs: 10 },
      '100ms',
    ).prefault('100ms'),
    priority: perNode(
      'Who is preferred as active: the higher. One number for both, or one for each node. ' +
        'Default: 200 for the node listed first, 100 for the second.',
      integer('Priority of this node.', 1, 255, 200),
      'a number from 1 to 255',
      '{lb1: 200, lb2: 100}',
    ).optional(),
    preempt: flag('Whether a node of higher priority takes over from a healthy active one.', false).prefault(false),
    mode: choice('How adverts travel: to the VRRP group, or to the other node alone.', [
      'multicast',
      'unicast',
    ]).prefault('multicast'),
    preemptDelay: duration(
      'How long a node of higher priority waits before it takes over with `preempt`.',
      { minMs: 10, maxMs: hour, zero: 'none' },
      '30s',
    ).prefault('0s'),
    mac: choice("Which MAC address answers for the addresses: the interface's, or the virtual router's own.", [
      'interface',
      'virtual',
    ]).prefault('interface'),
    checksum: choice('What the checksum of IPv4 adverts covers in version 3; both are understood.', [
      'auto',
      'pseudoHeader',
      'messageOnly',
    ]).prefault('auto'),
    simplePassword: shortPassword(
      'Password in adverts of version 2, for migration: everybody on the LAN can read it.',
      'secret',
    ).optional(),
    hmac: hmac.optional(),
    announceRefresh: duration(
      'How often the active node announces the addresses again (gratuitous ARP, neighbour advertisement); 0s is off.',
      { minMs: second, maxMs: day, zero: 'off' },
      '60s',
    ).prefault('60s'),
    track: list('What must be well for this node to be active, besides its interface.', tracker, 0, 64, '[]').prefault(
      [],
    ),
    hooks: hooks.prefault({}),
  },
  '{name: web, vrid: 51, interface: eth0, addresses: [10.9.0.100/24]}',
);
