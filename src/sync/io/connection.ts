import type { TLSSocket } from 'node:tls';
import { concatBytes } from '../../base/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import { decodeMessage, FrameDecoder, PeerSession } from '../index.ts';
import type { SessionEnd, SessionEvent, SessionOptions } from '../index.ts';

/** How a connection came to its end: what TCP said, or what the session decided. */
export type ConnectionEnd = { readonly how: 'fin' } | { readonly how: 'reset'; readonly code: string } | SessionEnd;

export type ConnectionDependencies = {
  readonly clock: Clock;
  readonly session: Omit<SessionOptions, 'nowMs' | 'onOutput'>;
  readonly onEvent: (event: Exclude<SessionEvent, { kind: 'ended' }>) => void;
  /** Called once, unless `stop` was called before. */
  readonly onEnd: (end: ConnectionEnd) => void;
  /** The session's status may have changed. */
  readonly onActivity: () => void;
};

/** Written in one turn at most; then other sockets have theirs. */
const turnBytesMax = 256 * 1024;
/**
 * After a small write of table data the next one waits this long: a write costs both nodes about as much as ten
 * changes, so changes that come one by one are gathered. The first after a pause goes at once, and so does bulk.
 */
const paceMs = 8;
const bulkBytes = 16 * 1024;
/** How long an orderly close may take: the peer may not read any more. */
const closeTimeoutMs = 1_000;

/** A session with the peer on its TLS connection: reads, writes once per turn, keeps the session's one timer. */
export class PeerConnection {
  readonly socket: TLSSocket;
  readonly session: PeerSession;
  readonly #dependencies: ConnectionDependencies;
  readonly #decoder = new FrameDecoder();
  #flushTimer: Timer | undefined;
  #deadlineTimer: Timer | undefined;
  #deadlineMs = Infinity;
  #paceTimer: Timer | undefined;
  #tablesAfterMs = 0;
  /** The socket has more than it wants until it says `drain`. */
  #isBlocked = false;
  #isOver = false;

  constructor(socket: TLSSocket, dependencies: ConnectionDependencies) {
    this.socket = socket;
    this.#dependencies = dependencies;
    this.session = new PeerSession({
      ...dependencies.session,
      nowMs: () => dependencies.clock.nowMs(),
      onOutput: () => this.#flushLater(),
    });
  }

  start(): void {
    this.socket.setNoDelay(true);
    this.socket.on('data', (bytes: Uint8Array) => this.#read(bytes));
    this.socket.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
    this.socket.on('end', () => this.#finish({ how: 'fin' }));
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#finish({ how: 'reset', code: error.code ?? 'unknown' });
    });
    this.socket.on('close', () => this.#finish({ how: 'reset', code: 'closed' }));
    this.#flush();
  }

  /** Closes in order, what was written first, without telling anybody on this side. */
  stop(): void {
    if (this.#isOver) return;
    this.#release();
    this.#closeInOrder();
  }

  /** Closes at once, without telling anybody on this side. */
  abandon(): void {
    if (this.#isOver) return;
    this.#release();
    this.socket.destroy();
  }

  /** Writes what goes ahead of table data now, in this turn; for notices, requests and answers. */
  flushControl(): void {
    if (this.#isOver || this.#isBlocked) return;
    this.#write(this.session.takeControlFrames());
    this.#arm();
  }

  #read(bytes: Uint8Array): void {
    const nowMs = this.#dependencies.clock.nowMs();
    for (const payload of this.#decoder.push(bytes)) {
      if (this.#isOver) return;
      this.#handle(payload.ok ? this.#receive(payload.value, nowMs) : this.session.fail(payload.reason));
    }
    // Acknowledgements and answers of everything that this turn brings go out together.
    this.#flushLater();
  }

  #receive(payload: Uint8Array, nowMs: number): SessionEvent[] {
    const decoded = decodeMessage(payload);
    if (decoded.ok) return this.session.receive(decoded.value, nowMs);
    return decoded.reason === 'unknown-type' ? this.session.skip(nowMs) : this.session.fail(decoded.reason);
  }

  #handle(events: readonly SessionEvent[]): void {
    for (const event of events) {
      if (event.kind === 'ended') this.#finish(event.end);
      else this.#dependencies.onEvent(event);
    }
  }

  #flushLater(): void {
    if (this.#isOver) return;
    this.#flushTimer ??= this.#dependencies.clock.afterPoll(() => {
      this.#flushTimer = undefined;
      this.#flush();
    });
  }

  /** Everything that can be written now: control frames, then table data while window and socket allow. */
  #flush(): void {
    if (this.#isOver) return;
    if (!this.#isBlocked) {
      const tableFrames = this.#takeTableFrames();
      this.#write([...this.session.takeControlFrames(), ...tableFrames]);
    }
    this.#arm();
    this.#dependencies.onActivity();
  }

  #takeTableFrames(): Uint8Array[] {
    const { clock } = this.#dependencies;
    const nowMs = clock.nowMs();
    if (nowMs < this.#tablesAfterMs) {
      this.#paceTimer ??= clock.after(this.#tablesAfterMs - nowMs, () => {
        this.#paceTimer = undefined;
        this.#flush();
      });
      return [];
    }
    const frames: Uint8Array[] = [];
    let bytes = 0;
    while (bytes < turnBytesMax) {
      const frame = this.session.nextTableFrame(nowMs);
      if (frame === undefined) break;
      frames.push(frame);
      bytes += frame.length;
    }
    if (bytes >= turnBytesMax) this.#flushLater();
    if (bytes > 0 && bytes < bulkBytes) this.#tablesAfterMs = nowMs + paceMs;
    return frames;
  }

  #write(frames: readonly Uint8Array[]): void {
    if (frames.length > 0) this.#isBlocked = !this.socket.write(concatBytes(...frames));
  }

  /** Moves the timer forward only: a deadline that has moved on is noticed when the timer fires. */
  #arm(): void {
    const deadlineMs = this.session.nextDeadlineMs();
    if (this.#isOver || (this.#deadlineTimer !== undefined && this.#deadlineMs <= deadlineMs)) return;
    this.#deadlineTimer?.cancel();
    this.#deadlineMs = deadlineMs;
    const { clock } = this.#dependencies;
    this.#deadlineTimer = clock.after(deadlineMs - clock.nowMs(), () => {
      // What lies in the socket since a stall of this process is read first: it may be the sign of life.
      this.#deadlineTimer = clock.afterPoll(() => {
        this.#deadlineTimer = undefined;
        this.#handle(this.session.tick(clock.nowMs()));
        this.#flush();
      });
    });
  }

  #finish(end: ConnectionEnd): void {
    if (this.#isOver) return;
    // A refusal is worth its bytes; a peer that is silent or talks nonsense would not read them.
    if (end.how === 'refused') this.#write(this.session.takeControlFrames());
    this.#release();
    if (end.how === 'refused') this.#closeInOrder();
    else this.socket.destroy();
    this.#dependencies.onEnd(end);
  }

  #closeInOrder(): void {
    const timer = this.#dependencies.clock.after(closeTimeoutMs, () => this.socket.destroy());
    this.socket.once('close', () => timer.cancel());
    this.socket.destroySoon();
  }

  #release(): void {
    this.#isOver = true;
    this.session.stop();
    this.#flushTimer?.cancel();
    this.#deadlineTimer?.cancel();
    this.#paceTimer?.cancel();
  }
}
