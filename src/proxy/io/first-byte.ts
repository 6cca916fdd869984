import { epoll } from '../../runtime/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { observeLatency } from '../index.ts';
import type { Connection, ConnectionDriver, End } from './connection.ts';
import type { Relay } from './relay.ts';

/**
 * Stands before the relay until a server's first byte has come, and measures how long that took: from the client's
 * first bytes, or from the connect where the server speaks first.
 */
export class FirstByteTimer implements ConnectionDriver {
  readonly #relay: Relay;
  readonly #clock: Clock;
  #hasAsked: boolean;
  #sinceMs: number;

  constructor(connection: Connection, dependencies: { relay: Relay; clock: Clock }) {
    this.#relay = dependencies.relay;
    this.#clock = dependencies.clock;
    this.#hasAsked = connection.front.readable;
    this.#sinceMs = dependencies.clock.nowMs();
  }

  onReady(end: End, events: number): void {
    const { connection } = end;
    const isByte = (events & epoll.in) !== 0 && (events & epoll.error) === 0;
    if (isByte && end === connection.back) this.observe(connection);
    else if (isByte && !this.#hasAsked) {
      this.#hasAsked = true;
      this.#sinceMs = this.#clock.nowMs();
    }
    this.#relay.onReady(end, events);
  }

  /** The byte is there: from now on the relay is alone with the connection. */
  observe(connection: Connection): void {
    const nowMs = this.#clock.nowMs();
    const { server } = connection;
    if (server !== undefined) {
      server.latency = observeLatency(server.latency, 'firstByte', nowMs - this.#sinceMs, nowMs);
    }
    connection.driver = this.#relay;
  }
}
