/** One server inside a worker: the connections to it, and what is counted of them; known for as long as it has any. */
import { startDrainPace } from '../index.ts';
import { FailureRun } from './failure-run.ts';
import type { Candidate, DrainPace, Latency, ServerCounters, WorkerServer } from '../index.ts';
import type { Slot } from './shared-counts.ts';

/** Counters where they are counted. */
export type Counting<Counters> = { -readonly [Key in keyof Counters]: Counters[Key] };

/** What a change of the specification is judged by. */
export type ServerStanding = Pick<WorkerServer, 'health' | 'drainMs'> & { readonly isLeaving: boolean };

export class ServerRuntime implements Candidate {
  spec: WorkerServer;
  /** Its connections, of all workers, and the clients that wait for it alone. */
  readonly slot: Slot;
  readonly counters: Counting<Omit<ServerCounters, 'server' | 'connectionsCurrent' | 'queued'>> = {
    connectionsTotal: 0,
    bytesIn: 0,
    bytesOut: 0,
    connectFailures: 0,
    connectTimeouts: 0,
    drained: 0,
    shutdowns: 0,
  };
  readonly failures = new FailureRun();
  /** Of this worker alone. */
  ownConnections = 0;
  /** Clients of this worker that wait for it alone. */
  queued = 0;
  configured = true;
  /** The effective weight, which rises while it is on its slow start. */
  weight: number;
  /** When it came into use, as long as it is on its slow start. */
  risingSinceMs: number | undefined;
  latency: Latency | undefined;
  turn = 0;
  /** How its connections are being ended; undefined: they go on. */
  pace: DrainPace | undefined;

  constructor(spec: WorkerServer, slot: Slot) {
    this.spec = spec;
    this.slot = slot;
    this.weight = spec.weight;
  }

  get name(): string {
    return this.spec.name;
  }

  get connections(): number {
    return this.slot.held;
  }

  get isFull(): boolean {
    const { maxconn } = this.spec;
    return maxconn !== undefined && this.slot.held >= maxconn;
  }

  /** It gives up its connections: in drain or maintenance, or removed. */
  get isLeaving(): boolean {
    return !this.configured || this.spec.admin !== 'ready';
  }

  get standing(): ServerStanding {
    const { health, drainMs } = this.spec;
    return { health, drainMs, isLeaving: this.isLeaving };
  }

  /** Takes over a changed specification. */
  update(spec: WorkerServer): void {
    // What failed before the server was out says nothing about how it is now.
    if (this.spec.isEjected === true && spec.isEjected !== true) this.failures.forget();
    this.spec = spec;
    this.configured = true;
  }

  /**
   * Its connections are ended from when it leaves; who is ready again keeps those that are left. `before` is undefined
   * for a server that is new; `fraction` in 0..1 keeps the workers from ending theirs at the same moments.
   */
  setPace(before: ServerStanding | undefined, nowMs: number, fraction: () => number): void {
    const { drainMs } = this.spec;
    if (!this.isLeaving) this.pace = undefined;
    else if (before !== undefined && (!before.isLeaving || before.drainMs !== drainMs))
      this.pace = drainMs === undefined ? undefined : startDrainPace(drainMs, nowMs, fraction());
  }

  snapshot(): ServerCounters {
    const { name, ownConnections, queued, counters } = this;
    return { server: name, connectionsCurrent: ownConnections, queued, ...counters };
  }
}
