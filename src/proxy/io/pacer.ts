/**
 * Ends the connections of servers that drain, spread over the time that they are given: those first over which nothing
 * passes, with FIN, so that hardly anybody notices; in the end the others, with RST, as a stream that was cut off must
 * not look like one that is complete.
 */
import { stepDrainPace } from '../index.ts';
import type { Connection } from './connection.ts';
import type { Relay } from './relay.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ServiceRuntime } from './service-runtime.ts';

export function endDraining(
  services: Iterable<ServiceRuntime>,
  connections: Iterable<Connection>,
  relay: Relay,
  nowMs: number,
): void {
  const draining = new Map<ServerRuntime, Connection[]>();
  for (const { servers } of services)
    for (const server of servers) if (server.pace !== undefined) draining.set(server, []);
  if (draining.size === 0) return;
  for (const connection of connections) {
    if (connection.server !== undefined && connection.phase === 'relaying') {
      draining.get(connection.server)?.push(connection);
    }
  }
  for (const [server, own] of draining) endSome(server, own, relay, nowMs);
}

function endSome(server: ServerRuntime, connections: readonly Connection[], relay: Relay, nowMs: number): void {
  if (server.pace === undefined) return;
  const { pace, ending } = stepDrainPace(server.pace, connections.length, nowMs);
  server.pace = nowMs >= pace.untilMs ? undefined : pace;
  if (ending === 0) return;
  const idle = connections.filter(isIdle);
  const busy = ending > idle.length ? connections.filter((connection) => !isIdle(connection)) : [];
  server.counters.drained += ending;
  for (const connection of idle.slice(0, ending)) relay.end(connection, 'drained');
  for (const connection of busy.slice(0, ending - idle.length)) relay.reset(connection, 'drained');
}

/** No byte since the last look at all connections, and none on its way through here. */
function isIdle({ active, front, back }: Connection): boolean {
  return !active && front.unsent === undefined && back.unsent === undefined;
}
