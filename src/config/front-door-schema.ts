/** What a service wants of its clients before a server hears of them: who they are, where they want to, how many. */

import { formatPrefix, parsePrefix } from '../base/index.ts';
import { parseDuration } from './duration.ts';
import { choice, duration, integer, list, section, text } from './fields.ts';

const second = 1_000;
const minute = 60 * second;

const prefixPattern = /^[0-9A-Fa-f:.]{2,45}(?:\/[0-9]{1,3})?$/;
const label = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const serverNamePattern = new RegExp(`^(?=.{1,253}$)(?:\\*\\.)?${label}(?:\\.${label})*$`);
/** Some connections in a unit of time, or in several: "20/s", "100/10s". */
const ratePattern = /^([1-9]\d{0,6})\/(\d{0,5})(ms|s|m|h)$/;
const protocolPattern = /^[\x21-\x7e]{1,255}$/;

export type Rate = { readonly connections: number; readonly periodMs: number };

function prefixes(about: string, min: number) {
  const item = text<string>({
    about: 'An address, or a network as address/length.',
    expected: 'an IP address, with or without /length',
    example: '10.9.0.0/24',
    pattern: prefixPattern,
    read(value) {
      const prefix = parsePrefix(value);
      return prefix && formatPrefix(prefix);
    },
  });
  return list(about, item, min, 100_000, '[10.9.0.0/24]');
}

const serverName = text<string>({
  about: 'A name, or *. and a domain for all names below it.',
  expected: 'a host name, or *. and a domain',
  example: 'www.example.com',
  pattern: serverNamePattern,
  read: (value) => value.toLowerCase(),
  advise: (value) => (typeof value === 'string' && value.endsWith('.') ? 'leave out the final dot' : undefined),
});

const protocol = text<string>({
  about: 'A protocol, as IANA lists it for ALPN.',
  expected: 'the name of a protocol',
  example: 'h2',
  pattern: protocolPattern,
  read: (value) => value,
});

const rate = text<Rate>({
  about: 'New connections of one source in a period: 20/s, 100/10s, 600/m.',
  expected: 'connections/period',
  example: '20/s',
  pattern: ratePattern,
  read(value) {
    const [, connections, count, unit = ''] = ratePattern.exec(value) ?? [];
    const periodMs = parseDuration(`${count === '' ? '1' : count}${unit}`) ?? 0;
    const fits = periodMs >= 10 && periodMs <= 60 * minute;
    return fits ? { connections: Number(connections), periodMs } : undefined;
  },
});

export function sendProxy(about: string) {
  return choice(about, ['v1', 'v2']);
}

export const frontDoorShape = {
  acceptProxy: section(
    'Who sends a PROXY protocol header (version 1 or 2), and must.',
    {
      from: prefixes('The addresses of the proxies that are trusted to say who the client is.', 1),
      timeout: duration('How long to wait for the header.', { minMs: 100, maxMs: minute }, '3s').prefault('3s'),
    },
    '{from: [10.9.0.5]}',
  ).optional(),
  sendProxy: sendProxy(
    'PROXY protocol header for the servers, which says who the client is. Default: none.',
  ).optional(),
  sni: list(
    'The names of TLS servers for which this service is; several services may then share one `listen`.',
    serverName,
    1,
    1024,
    '[www.example.com]',
  ).optional(),
  alpn: list(
    'Of the clients that ask for one of these names, only those that offer one of these protocols.',
    protocol,
    1,
    32,
    '[h2]',
  ).optional(),
  clientHelloTimeout: duration(
    'How long to wait for the ClientHello where services are told apart by `sni`.',
    { minMs: 100, maxMs: minute },
    '5s',
  ).prefault('5s'),
  deny: prefixes('Clients that are sent away; goes before `allow`.', 0).prefault([]),
  allow: prefixes('Clients that are taken; all others are sent away. Default: everybody.', 1).optional(),
  perSource: section(
    'What one source of clients may have.',
    {
      connections: integer('Connections at once.', 1, 1_000_000, 100).optional(),
      rate: rate.optional(),
      ipv6Prefix: integer('IPv6 addresses with so many first bits in common are one source.', 1, 128, 64).prefault(64),
    },
    '{connections: 100, rate: 20/s}',
  ).optional(),
  maxconn: integer('Clients at once, in all workers of a node. Default: any number.', 1, 10_000_000, 10_000).optional(),
  backlog: integer(
    'Clients that the kernel keeps for each worker until they are accepted; at most net.core.somaxconn.',
    1,
    65_535,
    4096,
  ).prefault(4096),
};
