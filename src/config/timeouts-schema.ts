/** `services[].timeouts`, in HAProxy's words. */

import { duration, section } from './fields.ts';

const second = 1_000;
const minute = 60 * second;
const day = 24 * 60 * minute;

export const timeouts = section(
  'How long to wait. What is said of silence is exact to a second.',
  {
    connect: duration('For a server to accept.', { minMs: 10, maxMs: 5 * minute }, '4s').prefault('4s'),
    client: silence('Of a connection on which the client is expected to send or to take bytes', '1h').prefault('1h'),
    server: silence('Of a connection on which the server is expected to send or to take bytes', '1h').prefault('1h'),
    tunnel: silence('Instead of `client` and `server`, once both have sent bytes', '1h').optional(),
    clientFin: silence('Of the client, once the server has ended its direction; else as before', '30s').optional(),
    serverFin: silence('Of the server, once the client has ended its direction; else as before', '30s').optional(),
  },
  '{connect: 4s, client: 1h, server: 1h}',
  { idle: 'write the time for both, client and server' },
);

function silence(about: string, example: string) {
  return duration(`${about}; 0s: for ever.`, { minMs: second, maxMs: 30 * day, zero: 'none' }, example);
}
