/**
 * A client of the bench `connections`: holds many connections open and sends requests over them at a fixed rate, each
 * over one that chance picks. The rate is kept whatever the answers do (open loop), and a latency counts from when its
 * request was due: what has to wait because something before it was slow is slow as well.
 *
 *   node exchange-client.ts ADDRESS PORT SEED SOURCE[,SOURCE…]
 *
 * Lines on standard input: `open CONNECTIONS`, then any number of `serve RATE MILLISECONDS`, then `close`. Each is
 * answered by a line of JSON (ClientEvent); the first line, before all commands, says `ready`.
 */

import { createInterface } from 'node:readline';
import { epoll, errno, loadNative, PreciseClock, seededRandom } from '../../src/runtime/index.ts';
import { Poller, streamEvents } from '../../src/proxy/io/poller.ts';
import type { PollerTarget } from '../../src/proxy/io/poller.ts';
import { closeWithReset, setStreamOptions } from '../../src/proxy/io/socket-options.ts';
import { printJson } from '../lab/json-lines.ts';
import { cutMessages, isMessage, makeMessage, requestBytes, responseBytes } from './exchange.ts';

/**
 * unconnected: no connection, or no first answer over it; lost: closed or reset by the other side; unsent: a request
 * over a connection that is lost, or not taken whole; wrong: an answer that is not the right one; unanswered: none in
 * time.
 */
export type ErrorKind = 'unconnected' | 'lost' | 'unsent' | 'wrong' | 'unanswered';
export type Errors = Partial<Readonly<Record<ErrorKind, number>>>;

/** Errors are those since the event before. */
export type ClientEvent =
  | { readonly event: 'ready'; readonly errors: Errors }
  | { readonly event: 'opened'; readonly errors: Errors }
  | { readonly event: 'served'; readonly errors: Errors; readonly latenciesMs: readonly number[] }
  | { readonly event: 'closed'; readonly errors: Errors };

type Target = { readonly address: string; readonly port: number };
/** A request whose answer has not come; `onAnswer` is called when it has, and is the right one. */
type Awaited = { readonly number: number; readonly onAnswer: () => void };

/** Connections that wait for their first answer at a time: below any backlog on the way. */
const openingMax = 250;
const openTimeoutMs = 20_000;
/** After the last request; later answers count as none. */
const graceMs = 5_000;

const native = loadNative();
const poller = new Poller({ native });
const clock = new PreciseClock({ native });
/** Of all connections, one after the other. */
const received = new Uint8Array(64 * 1024);

/** One connection. TCP answers in order, so its requests are answered in the order of sending. */
class HeldConnection implements PollerTarget {
  readonly #fd: number;
  readonly #pollerId: number;
  readonly #onError: (kind: ErrorKind) => void;
  readonly #awaited: Awaited[] = [];
  /** Set while somebody waits for the connection to be established. */
  #onConnected: (() => void) | undefined;
  #rest: Uint8Array | undefined;
  #isOpen: boolean;

  constructor(target: Target, source: string, onError: (kind: ErrorKind) => void) {
    this.#onError = onError;
    this.#fd = native.tcpConnect(target.address, target.port, source, 0);
    this.#isOpen = this.#fd >= 0;
    this.#pollerId = this.#isOpen ? poller.add(this.#fd, streamEvents, this) : -1;
    if (this.#isOpen) setStreamOptions(native, this.#fd, { noDelay: true });
  }

  request(awaited: Awaited): void {
    const message = makeMessage(requestBytes, awaited.number);
    if (this.#isOpen && native.send(this.#fd, message, 0, message.length) === message.length) {
      this.#awaited.push(awaited);
    } else {
      this.#onError('unsent');
    }
  }

  /** Resolves when the connection is through to its server: when a first request was answered. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#onConnected = () => {
        this.#onConnected = undefined;
        this.request({ number: 0, onAnswer: resolve });
      };
    });
  }

  /** With RST, so that nothing is left in TIME_WAIT to be in the way of the next run. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    poller.release(this.#pollerId);
    closeWithReset(native, this.#fd);
  }

  onReady(events: number): void {
    if ((events & epoll.out) !== 0) this.#onConnected?.();
    while (this.#isOpen) {
      const count = native.receive(this.#fd, received, 0, received.length);
      if (count === errno.again) return;
      if (count > 0) {
        this.#read(received.subarray(0, count));
      } else {
        this.close();
        this.#onError('lost');
      }
    }
  }

  #read(bytes: Uint8Array): void {
    const { messages, rest } = cutMessages(this.#rest, bytes, responseBytes);
    this.#rest = rest;
    for (const response of messages) {
      const awaited = this.#awaited.shift();
      if (awaited !== undefined && isMessage(response, awaited.number)) awaited.onAnswer();
      else this.#onError('wrong');
    }
  }
}

class ExchangeClient {
  readonly #target: Target;
  readonly #sources: readonly string[];
  readonly #random: ReturnType<typeof seededRandom>;
  #held: readonly HeldConnection[] = [];
  #errors: Partial<Record<ErrorKind, number>> = {};
  #lastNumber = 0;

  constructor(options: { target: Target; sources: readonly string[]; seed: number }) {
    this.#target = options.target;
    this.#sources = options.sources;
    this.#random = seededRandom(options.seed);
  }

  async perform(command: string, ...[first = 0, second = 0]: readonly number[]): Promise<void> {
    if (command === 'open') {
      await this.#open(first);
      await tell({ event: 'opened', errors: this.#takeErrors() });
    } else if (command === 'serve') {
      const latenciesMs = await this.#serve(first, second);
      await tell({ event: 'served', errors: this.#takeErrors(), latenciesMs });
    } else if (command === 'close') {
      for (const connection of this.#held) connection.close();
      await tell({ event: 'closed', errors: this.#takeErrors() });
    }
  }

  async #open(count: number): Promise<void> {
    const held: HeldConnection[] = [];
    this.#held = held;
    let openCount = 0;
    const openOneByOne = async (): Promise<void> => {
      while (held.length < count) {
        const source = this.#sources[held.length % this.#sources.length] ?? '';
        const connection = new HeldConnection(this.#target, source, (kind) => this.#addErrors(kind, 1));
        held.push(connection);
        await connection.open();
        openCount++;
      }
    };
    const all = Promise.all(Array.from({ length: openingMax }, openOneByOne));
    await Promise.race([all, clock.sleep(openTimeoutMs)]);
    this.#addErrors('unconnected', count - openCount);
  }

  /** The latencies of the requests that were answered rightly, in milliseconds. */
  async #serve(rate: number, forMs: number): Promise<readonly number[]> {
    const latenciesMs: number[] = [];
    const total = Math.round((rate * forMs) / 1_000);
    const { promise: finished, resolve } = Promise.withResolvers<undefined>();
    const startMs = clock.nowMs();
    let sent = 0;
    const sendDue = (): void => {
      for (; sent < total; sent++) {
        const dueMs = startMs + (sent * 1_000) / rate;
        const waitMs = dueMs - clock.nowMs();
        if (waitMs > 0) {
          clock.after(waitMs, sendDue);
          return;
        }
        this.#request(() => {
          latenciesMs.push(roundToUs(clock.nowMs() - dueMs));
          if (latenciesMs.length === total) resolve(undefined);
        });
      }
    };
    sendDue();
    await Promise.race([finished, clock.sleep(forMs + graceMs)]);
    const failed = (this.#errors.unsent ?? 0) + (this.#errors.wrong ?? 0);
    this.#addErrors('unanswered', Math.max(0, total - latenciesMs.length - failed));
    return latenciesMs;
  }

  #request(onAnswer: () => void): void {
    const connection = this.#held[Math.floor(this.#random.next() * this.#held.length)];
    this.#lastNumber++;
    connection?.request({ number: this.#lastNumber, onAnswer });
  }

  #addErrors(kind: ErrorKind, count: number): void {
    if (count > 0) this.#errors[kind] = (this.#errors[kind] ?? 0) + count;
  }

  #takeErrors(): Errors {
    const errors = this.#errors;
    this.#errors = {};
    return errors;
  }
}

function tell(event: ClientEvent): Promise<void> {
  return printJson(event);
}

function roundToUs(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

async function main(args: readonly string[]): Promise<void> {
  const [address = '', port = '', seed = '', sources = ''] = args;
  poller.open();
  const client = new ExchangeClient({
    target: { address, port: Number(port) },
    sources: sources.split(','),
    seed: Number(seed),
  });
  await tell({ event: 'ready', errors: {} });
  for await (const line of createInterface({ input: process.stdin })) {
    const [command = '', ...rest] = line.split(' ');
    await client.perform(command, ...rest.map(Number));
  }
  process.exit(0);
}

await main(process.argv.slice(2));
