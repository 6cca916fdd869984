/** What a service and its servers can take, and how a server comes into use and out of it. */

import { choice, duration, flag, integer, section } from './fields.ts';

const second = 1_000;
const hour = 3_600 * second;
const day = 24 * hour;

/** Keys of a service. */
export const serviceCapacity = {
  queue: section(
    'Where clients wait while the servers have all the connections that `maxconn` lets them have.',
    {
      length: integer('How many clients may wait; more are refused.', 0, 1_000_000, 1000).prefault(10_000),
      timeout: duration(
        'How long a client waits before it is refused. Default: `timeouts.connect`.',
        { minMs: 10, maxMs: hour },
        '4s',
      ).optional(),
    },
    '{length: 1000, timeout: 4s}',
  ).prefault({}),
  allBackups: flag('All backup servers together take the place of the others, not the first alone.', true).prefault(
    false,
  ),
  slowStart: duration(
    'In this time a server that comes into use gets its full weight, from a tenth of it. Default: at once.',
    { minMs: 100, maxMs: day },
    '30s',
  ).optional(),
  onMarkedDown: choice('What happens to the connections of a server that goes down. Default: they go on.', [
    'shutdownSessions',
  ]).optional(),
  drainTime: duration(
    'In this time the connections of a server that drains, is in maintenance or was removed are ended, one after the ' +
      'other. Default: they go on.',
    { minMs: 100, maxMs: 7 * day },
    '30s',
  ).optional(),
};

/** Keys of a server. */
export const serverCapacity = {
  maxconn: integer('Connections that it may have at once; more wait. Default: no limit.', 1, 1_000_000, 100).optional(),
  backup: flag('It gets connections only when no other server may have any.', true).prefault(false),
};
