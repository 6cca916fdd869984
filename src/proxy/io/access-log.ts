/**
 * The access log of a worker, opened and closed as the configuration wants it: one record for each connection, written
 * when it has ended. While there is none, nothing of this is done: `trace` of the connections stays undefined.
 */
import { createRecordLog } from '../../runtime/index.ts';
import { connectionRecord, refusalRecord } from './access-record.ts';
import type { Clock, RecordLog } from '../../runtime/index.ts';
import type { AccessLogDestination } from '../index.ts';
import type { Ending, Refusal, TurnedAway } from './access-record.ts';
import type { Connection, Trace } from './connection.ts';
import type { ServiceRuntime } from './service-runtime.ts';

/** For a reader that lags; less than a process gets to stop. */
const closeTimeoutMs = 1_000;

export class AccessLog {
  readonly #clock: Clock;
  #log: RecordLog | undefined;
  #destination = '';
  /** Of logs that were closed. */
  #droppedBefore = 0;

  constructor(dependencies: { readonly clock: Clock }) {
    this.#clock = dependencies.clock;
  }

  get isOpen(): boolean {
    return this.#log !== undefined;
  }

  /** Records that were lost since the worker was started. */
  get droppedRecords(): number {
    return this.#droppedBefore + (this.#log?.droppedRecords ?? 0);
  }

  /** Why its destination takes nothing now, an errno's name. */
  get trouble(): string | undefined {
    return this.#log?.trouble;
  }

  /** Writes there from now on; undefined: nowhere. */
  configure(destination: AccessLogDestination | undefined): void {
    const name = destination === undefined ? '' : JSON.stringify(destination);
    if (name === this.#destination) return;
    this.#destination = name;
    void this.close();
    if (destination === undefined) return;
    this.#log = createRecordLog('connection', destination, { clock: this.#clock });
  }

  /** Resolves when its last records are written, or will not be. */
  async close(): Promise<void> {
    const log = this.#log;
    if (log === undefined) return;
    const { droppedRecords } = log;
    this.#droppedBefore += droppedRecords;
    this.#log = undefined;
    await log.close(closeTimeoutMs);
    this.#droppedBefore += log.droppedRecords - droppedRecords;
  }

  /** Of a client that has just been accepted, at that endpoint as Native.accept writes it. */
  begin(endpoint: Uint8Array): Trace | undefined {
    if (this.#log === undefined) return undefined;
    return {
      endpoint: endpoint.slice(),
      acceptedWallMs: this.#clock.wallMs(),
      acceptedMs: this.#clock.nowMs(),
      chosenMs: undefined,
      connectedMs: undefined,
    };
  }

  write(connection: Connection, trace: Trace, ending: Ending): void {
    this.#log?.write(connectionRecord(connection, trace, ending, this.#clock.nowMs()));
  }

  writeRefusal(service: ServiceRuntime, client: TurnedAway, refusal: Refusal): void {
    this.#log?.write(refusalRecord(service, client, refusal, this.#clock.nowMs()));
  }
}
