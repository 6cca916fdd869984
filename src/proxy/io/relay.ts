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
 *
 * RST is passed on as RST, but it does not overtake: resetting a socket throws away what its kernel has not brought to
 * the peer yet. So when one end is lost, the other one is reset when its peer has confirmed all that came before, or
 * has confirmed nothing more for a while.
 */
import { epoll, errno } from '../../runtime/index.ts';
import { closeWithReset, readDelivery } from './socket-options.ts';
import type { EndCause } from '../index.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import type { Connection, ConnectionDriver, End } from './connection.ts';
import type { Poller } from './poller.ts';

export type RelayOptions = {
  /** Most that is read at once, and most that one direction can hold in user space. */
  readonly bufferBytes: number;
  /** Reads of one direction before the others' turn. */
  readonly readsPerTurn: number;
};

/**
 * Measured on loopback: per byte, 128 KiB cost about a quarter less CPU than 64 KiB, and 256 KiB little less than that
 * for twice the memory of a slow reader. Two reads take in data and the FIN behind it in one turn.
 */
export const relayDefaults: RelayOptions = { bufferBytes: 128 * 1024, readsPerTurn: 2 };

type RelayDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly poller: Poller;
  readonly onClosed: (connection: Connection, cause: EndCause) => void;
};

/** How long the peer of a lost end's other one may confirm nothing before the rest is given up. */
const deliveryPatienceMs = 3_000;

export class Relay implements ConnectionDriver {
  readonly #options: RelayOptions;
  readonly #native: Native;
  readonly #clock: Clock;
  readonly #poller: Poller;
  readonly #onClosed: (connection: Connection, cause: EndCause) => void;
  readonly #buffer: Uint8Array;
  readonly #withLostEnd = new Set<Connection>();
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
    connection.active = true;
    this.#pump(connection.front, connection.back);
    if (!connection.isClosed) this.onReady(connection.back, events);
  }

  onReady(end: End, events: number): void {
    const { connection, other } = end;
    end.note(events);
    if ((events & epoll.error) !== 0) {
      this.#onError(end);
      return;
    }
    if ((events & epoll.out) !== 0 && end.unsent !== undefined) this.#flush(end, end.unsent);
    // One that waits for its turn gets it after this round of events, not twice in it.
    if (!connection.isClosed && !end.queued) this.#pump(end, other);
  }

  /** Ends both sides at once, each with RST. */
  reset(connection: Connection, cause: EndCause): void {
    this.#close(connection, (fd) => closeWithReset(this.#native, fd), cause);
  }

  /** Ends connections of which one end is lost, where the other one has got all or takes no more. */
  sweep(nowMs: number): void {
    for (const connection of this.#withLostEnd) this.#endIfDelivered(connection, nowMs);
  }

  /** Ends both sides at once, each with FIN, unless there is something that nobody has read. */
  end(connection: Connection, cause: EndCause): void {
    this.#close(connection, (fd) => this.#native.close(fd), cause);
  }

  /** Reads from one end and writes to the other for as long as both are ready, within the bound of one turn. */
  #pump(from: End, to: End): void {
    const { connection } = from;
    if (connection.lost === to) return;
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
      from.receivedBytes += received;
      connection.active = true;
      if (connection.awaitsFirstByte) noteFirstByte(from);
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
    const { connection } = from;
    from.readable = false;
    if (connection.lost === from) return;
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
    if (to.readEnded) this.#close(from.connection, (fd) => this.#native.close(fd), 'completed');
    else if (this.#native.shutdownWrite(to.fd) < 0) this.#onError(to);
  }

  /**
   * The end was reset, or its kernel has given it up. It takes nothing more; what it had sent can still be read, also
   * when a failed write was the first to tell.
   */
  #onError(end: End): void {
    const { connection, other } = end;
    if (connection.lost === other) {
      this.reset(connection, causeOf(other));
      return;
    }
    if (connection.lost === undefined) this.#lose(end);
    if (!end.queued) this.#pump(end, other);
    if (!connection.isClosed) this.#endIfDelivered(connection, this.#clock.nowMs());
  }

  #lose(end: End): void {
    const { connection } = end;
    if (end === connection.back && connection.awaitsFirstByte) connection.server?.failures.fail('reset');
    connection.lost = end;
    connection.deadlineMs = this.#clock.nowMs() + deliveryPatienceMs;
    this.#withLostEnd.add(connection);
    end.unsent = undefined;
    end.readable = !end.readEnded;
    end.readFully = true;
  }

  /** Passes the RST of the lost end on when everything before it has arrived, or when nothing more arrives. */
  #endIfDelivered(connection: Connection, nowMs: number): void {
    const { lost } = connection;
    if (lost === undefined) return;
    const { confirmedBytes, isAllConfirmed } = readDelivery(this.#native, lost.other.fd);
    const isDelivered = !lost.readable && lost.other.unsent === undefined && isAllConfirmed;
    const isMoving = confirmedBytes !== connection.confirmedBytes;
    if (isDelivered || (!isMoving && nowMs >= connection.deadlineMs)) {
      this.reset(connection, causeOf(lost));
    } else if (isMoving) {
      connection.confirmedBytes = confirmedBytes;
      connection.deadlineMs = nowMs + deliveryPatienceMs;
    }
  }

  /** The one place where connections end that had a server. */
  #close(connection: Connection, close: (fd: number) => void, cause: EndCause): void {
    if (connection.lost !== undefined) this.#withLostEnd.delete(connection);
    for (const end of [connection.front, connection.back]) {
      this.#poller.release(end.pollerId);
      close(end.fd);
      end.fd = -1;
    }
    this.#onClosed(connection, cause);
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

function causeOf(lost: End): EndCause {
  return lost === lost.connection.front ? 'client-reset' : 'server-reset';
}

/** Where the server is watched for failures, its first byte ends a row of them. */
function noteFirstByte({ connection }: End): void {
  if (!connection.awaitsFirstByte || connection.back.receivedBytes === 0) return;
  connection.awaitsFirstByte = false;
  connection.server?.failures.succeed();
}
