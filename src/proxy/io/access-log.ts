/**
 * One record for each connection, written when it has ended; what HAProxy's tcplog tells, with the units in the names.
 * Without an access log, nothing of this is done: `trace` of the connections stays undefined.
 */
import { formatEndpoint, formatIp } from '../../base/index.ts';
import { refusalCode, terminationCode } from '../index.ts';
import type { Clock, RecordLog } from '../../runtime/index.ts';
import type { ClientAddresses, EndCause, Phase, RefusalReason } from '../index.ts';
import type { Connection } from './connection.ts';
import type { ServiceRuntime } from './service-runtime.ts';

/** When the stages of a connection were reached. */
export type Trace = {
  /** The client, as Native.accept writes it. */
  readonly endpoint: Uint8Array;
  readonly acceptedWallMs: number;
  readonly acceptedMs: number;
  /** The first server was chosen. */
  chosenMs: number | undefined;
  /** A server has answered. */
  connectedMs: number | undefined;
};

export class AccessLog {
  readonly #log: RecordLog;
  readonly #clock: Clock;

  constructor(dependencies: { readonly log: RecordLog; readonly clock: Clock }) {
    this.#log = dependencies.log;
    this.#clock = dependencies.clock;
  }

  get droppedRecords(): number {
    return this.#log.droppedRecords;
  }

  /** Of a client that has just been accepted. */
  begin(endpoint: Uint8Array): Trace {
    return {
      endpoint: endpoint.slice(),
      acceptedWallMs: this.#clock.wallMs(),
      acceptedMs: this.#clock.nowMs(),
      chosenMs: undefined,
      connectedMs: undefined,
    };
  }

  /** `workerConnections`: how many this worker has, this one included. */
  write(
    connection: Connection,
    trace: Trace,
    ending: { cause: EndCause; phase: Exclude<Phase, 'closed'>; workerConnections: number },
  ): void {
    const { service, server, failures, excluded, front, back } = connection;
    const { acceptedMs, chosenMs, connectedMs } = trace;
    this.#log.write({
      accepted: new Date(trace.acceptedWallMs).toISOString(),
      client: formatClient(trace, connection.addresses),
      service: service.spec.name,
      server: server?.name ?? [...excluded].at(-1),
      waitMs: since(acceptedMs, chosenMs),
      connectMs: since(chosenMs, connectedMs),
      totalMs: since(acceptedMs, this.#clock.nowMs()),
      bytesIn: front.receivedBytes,
      bytesOut: back.receivedBytes,
      termination: terminationCode(ending.cause, ending.phase),
      cause: ending.cause,
      workerConnections: ending.workerConnections,
      serviceConnections: service.connections,
      serverConnections: server?.connections,
      retries: failures,
    });
  }

  /** Of a client that was sent away at the door; `workerConnections`: how many this worker has. */
  writeRefusal(
    service: ServiceRuntime,
    client: { readonly trace: Trace; readonly addresses: ClientAddresses | undefined },
    ending: { reason: RefusalReason; workerConnections: number },
  ): void {
    const { trace, addresses } = client;
    this.#log.write({
      accepted: new Date(trace.acceptedWallMs).toISOString(),
      client: formatClient(trace, addresses),
      service: service.spec.name,
      totalMs: since(trace.acceptedMs, this.#clock.nowMs()),
      bytesIn: 0,
      bytesOut: 0,
      termination: refusalCode(ending.reason),
      cause: ending.reason,
      workerConnections: ending.workerConnections,
      serviceConnections: service.connections,
      retries: 0,
    });
  }

  close(): Promise<void> {
    return this.#log.close();
  }
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
