/** One connection of the verifier: sends a known stream to a server's echo and checks what comes back. */

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { GapMeter } from './gaps.ts';
import type { Gap } from './gaps.ts';
import { pattern } from './pattern.ts';
import { StreamChecker } from './stream-checker.ts';
import type { StreamFault } from './stream-checker.ts';
import { monotonicMs } from './time.ts';

/**
 * completed: ended in order after `finish`, everything that was sent came back. refused, unreachable: never
 * established. reset: RST. closed: the end of the stream came too early. timeout: bytes were due (or the handshake
 * was) and none came for the time set. failed: any other error of the socket.
 */
export type Ending = 'completed' | 'refused' | 'unreachable' | 'reset' | 'closed' | 'timeout' | 'failed';

export type ConnectionReport = {
  readonly connection: number;
  /** Who echoes; undefined if the connection ended before it said so. */
  readonly server: string | undefined;
  readonly localPort: number | undefined;
  readonly startedAtMs: number;
  readonly openedAtMs: number | undefined;
  readonly ending: Ending | undefined;
  readonly endedAtMs: number | undefined;
  /** The socket's error, if that is how it ended. */
  readonly error: string | undefined;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Distinct bytes that came back right. */
  readonly bytesVerified: number;
  /** Bytes that were sent after the last one that came back; 0 unless the connection broke. */
  readonly bytesUnanswered: number;
  readonly faults: readonly StreamFault[];
  readonly longestGap: Gap | undefined;
};

export type ConnectionOptions = {
  readonly connection: number;
  readonly address: string;
  readonly port: number;
  readonly seed: number;
};

/** What the connection tells while it lives, each with the time it happened. */
export type ConnectionListener = {
  opened(): void;
  /** Bytes came back; they have been checked already. */
  received(nowMs: number): void;
  ended(nowMs: number): void;
};

const nameBytesMax = 100;

export class VerifiedConnection {
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  readonly #checker: StreamChecker;
  readonly #gaps = new GapMeter();
  readonly #startedAtMs = monotonicMs();
  readonly #socket: Socket;
  #server: string | undefined;
  #head = '';
  #localPort: number | undefined;
  #openedAtMs: number | undefined;
  #lastEventMs = this.#startedAtMs;
  #ending: Ending | undefined;
  #endedAtMs: number | undefined;
  #error: string | undefined;
  #sent = 0;
  #finishing = false;
  #faults: readonly StreamFault[] = [];

  constructor(options: ConnectionOptions, listener: ConnectionListener) {
    this.#options = options;
    this.#listener = listener;
    this.#checker = new StreamChecker(options.seed);
    this.#socket = connect({ host: options.address, port: options.port, noDelay: true, allowHalfOpen: true });
    this.#socket.on('connect', () => (this.#localPort = this.#socket.localPort));
    this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? error.message));
    this.#socket.on('end', () => this.#end(this.#finishing && this.#isAnswered() ? 'completed' : 'closed'));
    this.#socket.write('echo\n');
  }

  get isOpen(): boolean {
    return this.#openedAtMs !== undefined && this.#ending === undefined;
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  /** Bytes sent after the last one that came back: what got lost before it is not waited for. */
  get unanswered(): number {
    return Math.max(0, this.#sent - this.#checker.frontier);
  }

  get verified(): number {
    return this.#checker.verified;
  }

  get sent(): number {
    return this.#sent;
  }

  openForMs(nowMs: number): number {
    return this.#openedAtMs === undefined ? 0 : nowMs - this.#openedAtMs;
  }

  /** Whether the socket holds so much unsent that more would only fill memory. */
  get isCongested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  onDrain(callback: () => void): void {
    this.#socket.on('drain', callback);
  }

  /** Sends the next bytes of the stream; to be called only while open. */
  send(bytes: number): void {
    const nowMs = monotonicMs();
    if (this.unanswered === 0) this.#lastEventMs = nowMs;
    this.#gaps.expects(nowMs);
    this.#socket.write(pattern(this.#options.seed, this.#sent, bytes));
    this.#sent += bytes;
  }

  /** Sends the end; the connection is over when the server's end has come back. */
  finish(): void {
    this.#finishing = true;
    this.#lastEventMs = monotonicMs();
    this.#socket.end();
  }

  /** Ends the connection as timed out if it owes something and has been silent for so long. */
  checkStall(nowMs: number, stallMs: number): void {
    if (this.isOver || nowMs - this.#lastEventMs < stallMs) return;
    if (this.#openedAtMs === undefined || this.unanswered > 0 || this.#finishing) this.#end('timeout');
  }

  report(): ConnectionReport {
    return {
      connection: this.#options.connection,
      server: this.#server,
      localPort: this.#localPort,
      startedAtMs: this.#startedAtMs,
      openedAtMs: this.#openedAtMs,
      ending: this.#ending,
      endedAtMs: this.#endedAtMs,
      error: this.#error,
      bytesSent: this.#sent,
      bytesReceived: this.#checker.received,
      bytesVerified: this.#checker.verified,
      bytesUnanswered: this.unanswered,
      faults: this.#faults,
      longestGap: this.#gaps.longest,
    };
  }

  /** By number if not by place: bytes whose place is not known yet may be the last ones. */
  #isAnswered(): boolean {
    return this.unanswered === 0 || this.#checker.received >= this.#sent;
  }

  #receive(bytes: Buffer): void {
    const nowMs = monotonicMs();
    this.#lastEventMs = nowMs;
    const content = this.#openedAtMs === undefined ? this.#readName(bytes, nowMs) : bytes;
    if (content.length === 0) return;
    this.#checker.push(content);
    this.#gaps.arrived(nowMs, this.unanswered > 0);
    this.#listener.received(nowMs);
  }

  /** The server's name and a line feed stand before the stream. */
  #readName(bytes: Buffer, nowMs: number): Buffer {
    const end = bytes.indexOf(0x0a);
    this.#head += bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
    if (this.#head.length > nameBytesMax) this.#fail('no name of a server');
    if (end < 0) return Buffer.alloc(0);
    this.#server = this.#head;
    this.#openedAtMs = nowMs;
    this.#listener.opened();
    return bytes.subarray(end + 1);
  }

  #fail(code: string): void {
    this.#error ??= code;
    if (code === 'ECONNREFUSED') this.#end('refused');
    else if (code === 'ECONNRESET' || code === 'EPIPE') this.#end('reset');
    else if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') this.#end('unreachable');
    else if (code === 'ETIMEDOUT') this.#end('timeout');
    else this.#end('failed');
  }

  #end(ending: Ending): void {
    if (this.#ending !== undefined) return;
    this.#endedAtMs = monotonicMs();
    this.#ending = ending;
    this.#faults = this.#checker.finish();
    this.#gaps.gaveUp(this.#endedAtMs);
    this.#socket.destroy();
    this.#listener.ended(this.#endedAtMs);
  }
}
