/**
 * A client that holds many connections and knows of every byte whether it came back, in its place and once.
 *
 *   node verifier.ts --target 10.9.0.100:80 [--connections 1] [--mode stream|block|idle] [--rate BYTES/S]
 *                    [--block BYTES] [--think MS] [--stall MS] [--duration MS] [--seed N]
 *
 * stream: sends all the time, at a rate for each connection or, with rate 0, as fast as it is taken.
 * block:  sends a block, waits until all of it came back, thinks, and sends the next.
 * idle:   sends one block when opened and one when stopped: was the connection still alive?
 *
 * It prints lines of JSON: {"event":"ready"} when every connection is open or has failed, {"event":"ended"} for each
 * that ends before its time, {"event":"progress"} each second, and at last {"event":"report","report":VerifierReport}.
 * It runs until the duration is over, `stop` comes on standard input, or that ends. On stop it sends no more, waits
 * for what is due, and closes in order. Times are CLOCK_MONOTONIC milliseconds, the same for all processes here.
 */

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { GapMeter, gapMs } from './gaps.ts';
import type { Gap } from './gaps.ts';
import { printJson } from './json-lines.ts';
import type { StreamFaultKind } from './stream-checker.ts';
import { monotonicMs } from './time.ts';
import { VerifiedConnection } from './verified-connection.ts';
import type { ConnectionReport, Ending } from './verified-connection.ts';

export const modes = ['stream', 'block', 'idle'] as const;
export type Mode = (typeof modes)[number];

export type VerifierOptions = {
  readonly address: string;
  readonly port: number;
  readonly connections: number;
  readonly mode: Mode;
  /** Bytes per second and connection in mode stream; 0: as fast as possible. */
  readonly rate: number;
  readonly blockBytes: number;
  readonly thinkMs: number;
  /** A connection that owes bytes and sends none for so long is given up. */
  readonly stallMs: number;
  readonly seed: number;
};

type Longest = Gap & { readonly ms: number };

export type VerifierReport = {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Connections that got as far as a server's name. */
  readonly opened: number;
  readonly endings: Readonly<Record<Ending, number>>;
  readonly bytesSent: number;
  readonly bytesVerified: number;
  readonly wrongBytes: Readonly<Record<StreamFaultKind, number>>;
  /** The longest time in which some connection was waiting for bytes and no connection got any. */
  readonly longestGap: Longest | undefined;
  /** The longest time in which one connection was waiting for bytes and got none. */
  readonly longestConnectionGap: (Longest & { readonly connection: number }) | undefined;
  readonly byServer: Readonly<Record<string, number>>;
  readonly connections: readonly ConnectionReport[];
};

export type VerifierEvent =
  | { readonly event: 'ready'; readonly opened: number; readonly failed: number }
  | ({ readonly event: 'ended' } & ConnectionReport)
  | { readonly event: 'progress'; readonly open: number; readonly bytesVerified: number }
  | { readonly event: 'report'; readonly report: VerifierReport };

const connectingMax = 200;
const streamChunkBytes = 64 * 1024;
const rateTickMs = 10;
const stallTickMs = 20;
/** After so many connections have ended early, further ones are only in the report. */
const endedEventsMax = 1000;

export class Verifier {
  readonly #options: VerifierOptions;
  readonly #emit: (event: VerifierEvent) => void;
  readonly #connections: VerifiedConnection[] = [];
  readonly #gaps = new GapMeter();
  readonly #startedAtMs = monotonicMs();
  readonly #ended = Promise.withResolvers<VerifierReport>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Connections that wait for bytes. */
  readonly #waiting = new Set<VerifiedConnection>();
  #opened = 0;
  #over = 0;
  #failedToOpen = 0;
  #isReady = false;
  #stopping = false;

  constructor(options: VerifierOptions, emit: (event: VerifierEvent) => void) {
    this.#options = options;
    this.#emit = emit;
  }

  get connections(): readonly VerifiedConnection[] {
    return this.#connections;
  }

  /** Resolves when every connection has ended: after `stop`, or because all broke. */
  get ended(): Promise<VerifierReport> {
    return this.#ended.promise;
  }

  start(): void {
    this.#timers.push(setInterval(() => this.#checkStalls(), stallTickMs));
    this.#timers.push(setInterval(() => this.#tellProgress(), 1000));
    if (this.#options.mode === 'stream' && this.#options.rate > 0) {
      this.#timers.push(setInterval(() => this.#sendByRate(), rateTickMs));
    }
    this.#openMore();
  }

  stop(): Promise<VerifierReport> {
    if (this.#stopping) return this.#ended.promise;
    this.#stopping = true;
    for (const connection of this.#connections.filter((candidate) => candidate.isOpen)) {
      if (this.#options.mode === 'idle') this.#send(connection, this.#options.blockBytes);
      else if (connection.unanswered === 0) connection.finish();
    }
    this.#settle();
    return this.#ended.promise;
  }

  /** A burst of thousands of SYNs overflows a listener's queue and would look like a fault of the service. */
  #openMore(): void {
    const connecting = (): number => this.#connections.length - this.#opened - this.#failedToOpen;
    while (!this.#stopping && this.#connections.length < this.#options.connections && connecting() < connectingMax) {
      this.#open(this.#connections.length);
    }
  }

  #open(index: number): void {
    const { address, port, seed } = this.#options;
    const connection: VerifiedConnection = new VerifiedConnection(
      { connection: index, address, port, seed: seed + index },
      {
        opened: () => this.#onOpened(connection),
        received: (nowMs) => this.#onReceived(connection, nowMs),
        ended: (nowMs) => this.#onEnded(connection, nowMs),
      },
    );
    this.#connections.push(connection);
  }

  #onOpened(connection: VerifiedConnection): void {
    this.#opened++;
    this.#tellReady();
    this.#openMore();
    if (this.#stopping) {
      connection.finish();
    } else if (this.#options.mode !== 'stream') {
      this.#send(connection, this.#options.blockBytes);
    } else if (this.#options.rate === 0) {
      connection.onDrain(() => this.#sendFlatOut(connection));
      this.#sendFlatOut(connection);
    }
  }

  #onReceived(connection: VerifiedConnection, nowMs: number): void {
    if (connection.unanswered === 0) this.#waiting.delete(connection);
    this.#gaps.arrived(nowMs, this.#waiting.size > 0);
    if (connection.unanswered > 0) return;
    if (this.#stopping) connection.finish();
    else if (this.#options.mode === 'block') this.#thinkThenSend(connection);
  }

  #onEnded(connection: VerifiedConnection, nowMs: number): void {
    const report = connection.report();
    this.#over++;
    if (report.openedAtMs === undefined) this.#failedToOpen++;
    this.#waiting.delete(connection);
    if (this.#waiting.size === 0) this.#gaps.gaveUp(nowMs);
    const isEarly = report.ending !== 'completed' || report.faults.length > 0;
    if (isEarly && this.#over <= endedEventsMax) this.#emit({ event: 'ended', ...report });
    this.#tellReady();
    this.#openMore();
    this.#settle();
  }

  #send(connection: VerifiedConnection, bytes: number): void {
    connection.send(bytes);
    this.#waiting.add(connection);
    this.#gaps.expects(monotonicMs());
  }

  #sendFlatOut(connection: VerifiedConnection): void {
    while (connection.isOpen && !this.#stopping && !connection.isCongested) this.#send(connection, streamChunkBytes);
  }

  /** What the rate allows since the connection was opened, unless the socket is still full of earlier bytes. */
  #sendByRate(): void {
    if (this.#stopping) return;
    const nowMs = monotonicMs();
    for (const connection of this.#connections) {
      if (!connection.isOpen || connection.isCongested) continue;
      const dueBytes = Math.floor((connection.openForMs(nowMs) * this.#options.rate) / 1000) - connection.sent;
      if (dueBytes > 0) this.#send(connection, Math.min(dueBytes, streamChunkBytes));
    }
  }

  #thinkThenSend(connection: VerifiedConnection): void {
    const next = (): void => {
      if (connection.isOpen && !this.#stopping) this.#send(connection, this.#options.blockBytes);
    };
    if (this.#options.thinkMs === 0) next();
    else setTimeout(next, this.#options.thinkMs);
  }

  #checkStalls(): void {
    const nowMs = monotonicMs();
    for (const connection of this.#connections) connection.checkStall(nowMs, this.#options.stallMs);
  }

  #tellReady(): void {
    if (this.#isReady || this.#opened + this.#failedToOpen < this.#options.connections) return;
    this.#isReady = true;
    this.#emit({ event: 'ready', opened: this.#opened, failed: this.#failedToOpen });
  }

  #tellProgress(): void {
    const open = this.#connections.filter((connection) => connection.isOpen).length;
    const bytesVerified = sum(this.#connections.map((connection) => connection.verified));
    this.#emit({ event: 'progress', open, bytesVerified });
  }

  #settle(): void {
    const isComplete = this.#stopping || this.#connections.length === this.#options.connections;
    if (!isComplete || this.#over < this.#connections.length) return;
    for (const timer of this.#timers) clearInterval(timer);
    const connections = this.#connections.map((connection) => connection.report());
    this.#ended.resolve(summarise(connections, this.#startedAtMs, this.#gaps.longest));
  }
}

function summarise(
  connections: readonly ConnectionReport[],
  startedAtMs: number,
  overallGap: Gap | undefined,
): VerifierReport {
  const endings = { completed: 0, refused: 0, unreachable: 0, reset: 0, closed: 0, timeout: 0, failed: 0 };
  const wrongBytes = { lost: 0, duplicated: 0, reordered: 0, altered: 0, foreign: 0 };
  const byServer: Record<string, number> = {};
  for (const { ending, faults, server } of connections) {
    if (ending !== undefined) endings[ending]++;
    if (server !== undefined) byServer[server] = (byServer[server] ?? 0) + 1;
    for (const fault of faults) wrongBytes[fault.kind] += fault.bytes;
  }
  const worst = connections.toSorted((a, b) => gapMs(b.longestGap) - gapMs(a.longestGap))[0];
  const worstGap = withLength(worst?.longestGap);
  return {
    startedAtMs,
    endedAtMs: monotonicMs(),
    opened: connections.filter((connection) => connection.openedAtMs !== undefined).length,
    endings,
    bytesSent: sum(connections.map((connection) => connection.bytesSent)),
    bytesVerified: sum(connections.map((connection) => connection.bytesVerified)),
    wrongBytes,
    longestGap: withLength(overallGap),
    longestConnectionGap: worstGap && worst && { ...worstGap, connection: worst.connection },
    byServer,
    connections,
  };
}

function withLength(gap: Gap | undefined): Longest | undefined {
  return gap && { ...gap, ms: gapMs(gap) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function isMode(text: string): text is Mode {
  return modes.some((mode) => mode === text);
}

function readOptions(): { options: VerifierOptions; durationMs: number } {
  const { values } = parseArgs({
    options: {
      target: { type: 'string' },
      connections: { type: 'string', default: '1' },
      mode: { type: 'string', default: 'block' },
      rate: { type: 'string', default: '0' },
      block: { type: 'string', default: '1000' },
      think: { type: 'string', default: '10' },
      stall: { type: 'string', default: '10000' },
      duration: { type: 'string', default: '0' },
      seed: { type: 'string', default: '1' },
    },
  });
  if (!isMode(values.mode)) throw new Error(`--mode is one of ${modes.join(', ')}`);
  const [address = '', port = ''] = values.target?.split(':') ?? [];
  const options = {
    address,
    port: Number(port),
    connections: Number(values.connections),
    mode: values.mode,
    rate: Number(values.rate),
    blockBytes: Number(values.block),
    thinkMs: Number(values.think),
    stallMs: Number(values.stall),
    seed: Number(values.seed),
  };
  return { options, durationMs: Number(values.duration) };
}

async function main(): Promise<void> {
  const { options, durationMs } = readOptions();
  const emit = (event: VerifierEvent): void => void printJson(event);
  const verifier = new Verifier(options, emit);
  const commands = createInterface({ input: process.stdin });
  commands.on('line', (line) => {
    if (line === 'stop') void verifier.stop();
  });
  commands.on('close', () => void verifier.stop());
  if (durationMs > 0) setTimeout(() => void verifier.stop(), durationMs);
  verifier.start();
  await printJson({ event: 'report', report: await verifier.ended } satisfies VerifierEvent);
  process.exit(0);
}

if (import.meta.main) await main();
