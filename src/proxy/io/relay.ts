/**
 * Moves bytes between the two ends of each connection.
 *
 * One buffer serves all connections of the worker: what is read is sent on at once, and only what the other socket
 * does not take is kept (`unsent`). While there is such a rest, its source is not read: a slow reader costs at most one
 * buffer, the rest waits in the kernel and closes the sender's window.
 *
 * Events are edge-triggered: each is told once, so an end remembers that it is readable until a read has proved the
 * opposite. A read that returns less than it might have is such a proof (epoll(7), question 9) unless FIN, an error or
 * urgent data were announced.
 */
import { epoll, errno } from '../../runtime/index.ts';
import { closeWithReset } from './socket-options.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import type { Connection, ConnectionDriver, End } from './connection.ts';
import type { Poller } from './poller.ts';

export type RelayOptions = {
  /** Most that is read at once, and most that one direction can hold in user space. */
  readonly bufferBytes: number;
  /** Reads of one direction before the others' turn. */
  readonly readsPerTurn: number;
};

type RelayDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly poller: Poller;
  readonly onClosed: (connection: Connection) => void;
};

export class Relay implements ConnectionDriver {
  readonly #options: RelayOptions;
  readonly #native: Native;
  readonly #clock: Clock;
  readonly #poller: Poller;
  readonly #onClosed: (connection: Connection) => void;
  readonly #buffer: Uint8Array;
  #queue: End[] = [];

  constructor(options: RelayOptions, dependencies: RelayDependencies) {
    this.#options = options;
    this.#native = dependencies.native;
    this.#clock = dependencies.clock;
    this.#poller = dependencies.poller;
    this.#onClosed = dependencies.onClosed;
    this.#buffer = new Uint8Array(options.bufferBytes);
  }

  /** Takes over a connection whose server has just answered; `events` are those of the server's socket. */
  begin(connection: Connection, events: number): void {
    connection.driver = this;
    connection.phase = 'relaying';
    this.#pump(connection.front, connection.back);
    if (!connection.isClosed) this.onReady(connection.back, events);
  }

  onReady(end: End, events: number): void {
    const { connection, other } = end;
    end.note(events);
    if ((events & epoll.out) !== 0 && end.unsent !== undefined) this.#flush(end, end.unsent);
    // One that waits for its turn gets it after this round of events, not twice in it.
    if (!connection.isClosed && !end.queued) this.#pump(end, other);
    if ((events & epoll.error) !== 0 && !connection.isClosed) this.#onUnreadError(end);
  }

  /** Ends both sides at once, each with RST. */
  reset(connection: Connection): void {
    this.#close(connection, (fd) => closeWithReset(this.#native, fd));
  }

  /** Reads from one end and writes to the other for as long as both are ready, within the bound of one turn. */
  #pump(from: End, to: End): void {
    const buffer = this.#buffer;
    for (let reads = 0; from.readable && to.unsent === undefined; reads++) {
      if (reads === this.#options.readsPerTurn) {
        this.#continueLater(from);
        return;
      }
      const received = this.#native.receive(from.fd, buffer, 0, buffer.length);
      if (received <= 0) {
        this.#onNothingReceived(from, to, received);
        return;
      }
      if (received < buffer.length && !from.readFully) from.readable = false;
      count(from, received);
      const sent = this.#native.send(to.fd, buffer, 0, received);
      if (sent === received) continue;
      if (sent < 0 && sent !== errno.again) {
        this.#onError(to);
        return;
      }
      to.unsent = buffer.slice(Math.max(0, sent), received);
    }
  }

  #onNothingReceived(from: End, to: End, result: number): void {
    from.readable = false;
    if (result === 0) {
      from.readEnded = true;
      this.#passOnEnd(from, to);
    } else if (result !== errno.again) {
      this.#onError(from);
    }
  }

  #flush(end: End, unsent: Uint8Array): void {
    const sent = this.#native.send(end.fd, unsent, 0, unsent.length);
    if (sent === errno.again) return;
    if (sent < 0) {
      this.#onError(end);
      return;
    }
    end.connection.active = true;
    end.unsent = sent === unsent.length ? undefined : unsent.subarray(sent);
    if (!end.other.queued) this.#pump(end.other, end);
  }

  /**
   * An end is read only while the other one has nothing unsent, so FIN is always found behind bytes that are written.
   * When both directions have ended, closing says it with one call less.
   */
  #passOnEnd(from: End, to: End): void {
    if (to.readEnded) this.#close(from.connection, (fd) => this.#native.close(fd));
    else if (this.#native.shutdownWrite(to.fd) < 0) this.#onError(to);
  }

  /**
   * What the sender of a RST had sent before it is passed on first, reading meets the error in the end. Where nothing
   * is to be read any more, or where there is no room for it, the error counts at once.
   */
  #onUnreadError(end: End): void {
    if (end.readEnded || end.other.unsent !== undefined) this.#onError(end);
  }

  #onError(end: End): void {
    const { counters } = end.connection.service;
    if (end === end.connection.front) counters.clientResets++;
    else counters.serverResets++;
    this.reset(end.connection);
  }

  #close(connection: Connection, close: (fd: number) => void): void {
    connection.phase = 'closed';
    for (const end of [connection.front, connection.back]) {
      this.#poller.release(end.pollerId);
      close(end.fd);
      end.fd = -1;
    }
    this.#onClosed(connection);
  }

  #continueLater(end: End): void {
    if (end.queued) return;
    end.queued = true;
    if (this.#queue.push(end) === 1) this.#clock.afterPoll(() => this.#runQueue());
  }

  #runQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const end of queue) {
      end.queued = false;
      if (!end.connection.isClosed) this.#pump(end, end.other);
    }
  }
}

function count(from: End, bytes: number): void {
  const { connection } = from;
  const { service, server } = connection;
  connection.active = true;
  if (from === connection.front) {
    service.counters.bytesIn += bytes;
    if (server !== undefined) server.counters.bytesIn += bytes;
  } else {
    service.counters.bytesOut += bytes;
    if (server !== undefined) server.counters.bytesOut += bytes;
  }
}
