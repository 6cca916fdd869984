/** What the access log says of a connection: what HAProxy's tcplog tells, with the units in the names. */
import { formatEndpoint, formatIp } from '../../base/index.ts';
import { refusalCode, terminationCode } from '../index.ts';
import type { LogFields } from '../../runtime/index.ts';
import type { ClientAddresses, EndCause, Phase, RefusalReason } from '../index.ts';
import type { Connection, Trace } from './connection.ts';
import type { ServiceRuntime } from './service-runtime.ts';

/** How a connection has ended; `workerConnections`: how many its worker has, this one included. */
export type Ending = {
  readonly cause: EndCause;
  readonly phase: Exclude<Phase, 'closed'>;
  readonly workerConnections: number;
};

/** A client that was sent away at the door. */
export type TurnedAway = { readonly trace: Trace; readonly addresses: ClientAddresses | undefined };

/** `workerConnections`: how many the worker has. */
export type Refusal = { readonly reason: RefusalReason; readonly workerConnections: number };

/** Of a connection that ends now, and still has the place at its server. */
export function connectionRecord(connection: Connection, trace: Trace, ending: Ending, nowMs: number): LogFields {
  const { service, server, failures, excluded, front, back } = connection;
  const { acceptedMs, chosenMs, connectedMs } = trace;
  return {
    accepted: new Date(trace.acceptedWallMs).toISOString(),
    client: formatClient(trace, connection.addresses),
    service: service.spec.name,
    server: server?.name ?? [...excluded].at(-1),
    waitMs: since(acceptedMs, chosenMs),
    connectMs: since(chosenMs, connectedMs),
    totalMs: since(acceptedMs, nowMs),
    bytesIn: front.receivedBytes,
    bytesOut: back.receivedBytes,
    termination: terminationCode(ending.cause, ending.phase),
    cause: ending.cause,
    workerConnections: ending.workerConnections,
    serviceConnections: service.connections,
    serverConnections: server?.connections,
    retries: failures,
  };
}

/** Of a client that became no connection. */
export function refusalRecord(service: ServiceRuntime, client: TurnedAway, refusal: Refusal, nowMs: number): LogFields {
  const { trace, addresses } = client;
  return {
    accepted: new Date(trace.acceptedWallMs).toISOString(),
    client: formatClient(trace, addresses),
    service: service.spec.name,
    totalMs: since(trace.acceptedMs, nowMs),
    bytesIn: 0,
    bytesOut: 0,
    termination: refusalCode(refusal.reason),
    cause: refusal.reason,
    workerConnections: refusal.workerConnections,
    serviceConnections: service.connections,
    retries: 0,
  };
}

/** Milliseconds with microseconds; undefined if one of the moments never came. */
function since(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : Math.round((toMs - fromMs) * 1_000) / 1_000;
}

/** Behind a proxy it is the client that the proxy has named. */
function formatClient({ endpoint }: Trace, addresses: ClientAddresses | undefined): string {
  if (addresses !== undefined) return formatEndpoint(formatIp(addresses.source.ip), addresses.source.port);
  const [family, , high = 0, low = 0] = endpoint;
  return formatEndpoint(formatIp(endpoint.subarray(4, family === 4 ? 8 : 20)), high * 256 + low);
}
