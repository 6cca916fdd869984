/**
 * Stickiness of one worker. Its tables are replicas; a source that is not in them, or whose server is of no use, is
 * claimed from the main process first, which arbitrates, so that two workers never send one source to two servers.
 * When the answer does not come in time, the client is not made to wait for it any longer.
 */
import type { StickAssignment, StickClaim, StickTable } from '../index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { Connection } from './connection.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ServiceRuntime } from './service-runtime.ts';

type Touched = { readonly service: string; readonly source: string; readonly server: string };

/** Reports go out together, once per turn. */
export type StickReport = { readonly claims: readonly StickClaim[]; readonly touched: readonly Touched[] };

type PendingClaim = {
  readonly key: string;
  readonly claim: StickClaim;
  readonly service: ServiceRuntime;
  readonly deadlineMs: number;
  readonly waiting: Set<Connection>;
};

const answerTimeoutMs = 1000;

export class StickClaims {
  readonly #clock: Clock;
  readonly #report: (report: StickReport) => void;
  readonly #connect: (connection: Connection, server: ServerRuntime | undefined) => void;
  readonly #byRequest = new Map<number, PendingClaim>();
  readonly #byKey = new Map<string, PendingClaim>();
  #claims: StickClaim[] = [];
  #touched: Touched[] = [];
  #flushScheduled = false;
  #lastRequestId = 0;

  constructor(dependencies: {
    clock: Clock;
    report: (report: StickReport) => void;
    connect: (connection: Connection, server: ServerRuntime | undefined) => void;
  }) {
    this.#clock = dependencies.clock;
    this.#report = dependencies.report;
    this.#connect = dependencies.connect;
  }

  /** The server to connect to; undefined if there is none; `claimed`: `connect` will be called with it. */
  choose(connection: Connection, sticks: StickTable): ServerRuntime | undefined | 'claimed' {
    const { service, source } = connection;
    const known = sticks.lookup(source, this.#clock.nowMs());
    const server = known === undefined ? undefined : service.usableForSticky(known, connection.excluded);
    if (server !== undefined) {
      this.#touch(connection, sticks, server);
      return server;
    }
    const key = `${service.spec.name} ${source}`;
    const pending = this.#byKey.get(key) ?? this.#claim(key, connection, known);
    pending?.waiting.add(connection);
    return pending && 'claimed';
  }

  /** Takes the answers; those that come too late for their connections are still learned. */
  onAssigned(service: ServiceRuntime | undefined, assignment: StickAssignment): void {
    const { source, server } = assignment;
    service?.sticks?.learn({ source, server, ageMs: 0 }, this.#clock.nowMs());
    const pending = this.#byRequest.get(assignment.requestId);
    if (pending !== undefined) this.#settle(pending, server);
  }

  /** Lets connections go on whose claim is not answered; their source then has the server that was wanted for it. */
  sweep(nowMs: number): void {
    for (const pending of this.#byRequest.values()) {
      if (nowMs < pending.deadlineMs) continue;
      const { source, server } = pending.claim;
      pending.service.counters.stickClaimTimeouts++;
      pending.service.sticks?.learn({ source, server, ageMs: 0 }, nowMs);
      this.#settle(pending, server);
    }
  }

  /** The connection has ended while it waited. */
  forget(connection: Connection): void {
    this.#byKey.get(`${connection.service.spec.name} ${connection.source}`)?.waiting.delete(connection);
  }

  #touch({ service, source }: Connection, sticks: StickTable, server: ServerRuntime): void {
    service.counters.stickHits++;
    if (!sticks.touch(source, this.#clock.nowMs())) return;
    this.#touched.push({ service: service.spec.name, source, server: server.name });
    this.#scheduleFlush();
  }

  /** Undefined when there is no server to claim, or none with room; the connection has its place there from now on. */
  #claim(key: string, connection: Connection, replaces: string | undefined): PendingClaim | undefined {
    const { service, source } = connection;
    const server = connection.server ?? service.inUse.pick(connection);
    if (server === undefined || (connection.server === undefined && !service.occupy(connection, server)))
      return undefined;
    const requestId = ++this.#lastRequestId;
    const claim = { requestId, service: service.spec.name, source, server: server.name, replaces };
    const deadlineMs = this.#clock.nowMs() + answerTimeoutMs;
    const pending = { key, claim, service, deadlineMs, waiting: new Set<Connection>() };
    this.#byRequest.set(requestId, pending);
    this.#byKey.set(key, pending);
    service.counters.stickClaims++;
    this.#claims.push(claim);
    this.#scheduleFlush();
    return pending;
  }

  #settle(pending: PendingClaim, assigned: string): void {
    this.#byRequest.delete(pending.claim.requestId);
    this.#byKey.delete(pending.key);
    for (const connection of pending.waiting) {
      const { service, excluded } = connection;
      // The answer may be about a server that is known here to be of no use: better another one than none.
      const server = service.usableForSticky(assigned, excluded) ?? connection.server ?? service.inUse.pick(connection);
      this.#connect(connection, server);
    }
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#clock.afterPoll(() => {
      this.#flushScheduled = false;
      const report = { claims: this.#claims, touched: this.#touched };
      this.#claims = [];
      this.#touched = [];
      this.#report(report);
    });
  }
}
