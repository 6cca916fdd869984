/** The part of a service about stickiness. */

import type * as z from 'zod';
import { choice, duration, integer, section } from './fields.ts';

const second = 1_000;
const day = 86_400_000;

export const stick = section(
  'Sends a client to the server that it had before.',
  {
    by: choice("What a client is known by: the connection's source address.", ['source']),
    prefix: section(
      'How much of the address counts: clients of one network are one client.',
      {
        ipv4: integer('Bits of an IPv4 address.', 1, 32, 24).prefault(32),
        ipv6: integer('Bits of an IPv6 address.', 1, 128, 64).prefault(128),
      },
      '{ipv4: 24, ipv6: 64}',
    ).prefault({}),
    ttl: duration('How long a client is remembered.', { minMs: second, maxMs: 30 * day }, '30m').prefault('30m'),
    size: integer('How many clients are remembered; beyond that the oldest go.', 1, 1_000_000, 100_000).prefault(
      1_000_000,
    ),
  },
  '{by: source}',
);

export type StickConfig = {
  readonly by: 'source';
  /** Bits that count, by family. */
  readonly prefix: { readonly ipv4: number; readonly ipv6: number };
  readonly ttlMs: number;
  readonly size: number;
};

export function stickOf({ by, prefix, ttl, size }: z.output<typeof stick>): StickConfig {
  return { by, prefix, ttlMs: ttl, size };
}
