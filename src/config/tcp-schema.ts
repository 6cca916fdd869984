/** What the kernel does with a service's connections, on both sides. */

import * as z from 'zod';
import { duration, flag, hints, integer, section } from './fields.ts';

const second = 1_000;
const hour = 3_600 * second;

export const keepalive = z
  .union([
    z.literal(false),
    section(
      'The kernel asks a silent peer whether it is still there; `false` switches it off.',
      {
        idle: wholeSeconds('Silence after which it is asked for the first time.', '60s').prefault('60s'),
        interval: wholeSeconds('Time from one question to the next.', '10s').prefault('10s'),
        count: integer('Questions without an answer until it counts as gone.', 1, 127, 6).prefault(6),
      },
      '{idle: 60s, interval: 10s, count: 6}',
    ),
  ])
  .describe('The kernel asks a silent peer whether it is still there; `false` switches it off.')
  .register(hints, { expected: 'a mapping or false', example: '{idle: 60s, interval: 10s, count: 6}' });

export const noDelay = flag('Sends every byte at once (TCP_NODELAY), instead of waiting to fill a segment.', true);

export const tcpUserTimeout = duration(
  'How long sent bytes may stay unconfirmed until the peer counts as gone; 0s: as the kernel has it.',
  { minMs: second, maxMs: hour, zero: 'off' },
  '30s',
);

/** What the kernel takes (TCP_KEEPIDLE, TCP_KEEPINTVL). */
function wholeSeconds(about: string, example: string) {
  return duration(about, { minMs: second, maxMs: 32_767 * second, multipleMs: second }, example);
}
