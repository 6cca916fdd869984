/** Servers by DNS name: the keys that such a server has in place of an address. */

import type { ServerConfig } from './config.ts';
import { dnsName, duration, integer, list, resolverAddress } from './fields.ts';
import type { ConfigFile } from './schema.ts';

const hour = 3_600_000;

export const dnsKeys = {
  resolve: dnsName(
    'In place of `address`: a name, each of whose addresses is a server; needs `port`.',
    'app.example.internal',
  ).optional(),
  srv: dnsName(
    'In place of `address`: the name of SRV records, which say hosts, ports and weights.',
    '_http._tcp.example.internal',
  ).optional(),
  port: integer('Port of the servers that `resolve` finds.', 1, 65_535, 8080).optional(),
  hold: duration(
    'How long servers stay when their name has no addresses any more. Default: 30s.',
    { minMs: 10, maxMs: hour, zero: 'none' },
    '30s',
  ).optional(),
};

export const resolvers = list(
  'DNS servers to ask, each an IP address, with or without a port. Default: those of /etc/resolv.conf.',
  resolverAddress('IP address of a DNS server, with or without a port.', '10.9.0.53'),
  0,
  8,
  '[10.9.0.53]',
);

/** A name that stands for servers. */
export type DiscoveryConfig = {
  /** The servers' names begin with it. */
  readonly name: string;
  readonly lookup: Lookup;
  readonly holdMs: number;
  /** What the servers have besides name and address. */
  readonly template: Omit<ServerConfig, 'name' | 'address'>;
};

export type Lookup =
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  | { readonly kind: 'srv'; readonly service: string };

const holdDefaultMs = 30_000;

/** A server with an address, or a name that stands for several. The file has been checked. */
export function serverOrDiscovery(
  entry: ConfigFile['services'][number]['servers'][number],
): { readonly server: ServerConfig } | { readonly discovery: DiscoveryConfig } {
  const { name, address, resolve, srv, port, hold = holdDefaultMs, ...others } = entry;
  const template = { ...others, maxconn: others.maxconn, sendProxy: others.sendProxy };
  if (address !== undefined) return { server: { name, address, ...template } };
  const lookup: Lookup =
    srv === undefined ? { kind: 'address', host: resolve ?? '', port: port ?? 0 } : { kind: 'srv', service: srv };
  return { discovery: { name, lookup, holdMs: hold, template } };
}
