/**
 * A client that opens a new connection each millisecond, asks who serves it, and so sees how long nobody did.
 *
 *   node prober.ts --target 10.9.0.100:80 [--interval 1] [--timeout 500] [--prompt 150] [--duration MS]
 *
 * Times are milliseconds. It runs until the duration is over, `stop` comes on standard input, or that ends; then it
 * prints one line {"event":"report", "report": ProberReport}. Attempts are started by an absolute schedule: one that
 * comes late does not shift those after it. What could not be started is in the report, never silently left out.
 */

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { gapMs, longestGap, serviceGaps } from './gaps.ts';
import type { Gap } from './gaps.ts';
import { printJson } from './json-lines.ts';
import { monotonicMs } from './time.ts';

export type ProberOptions = {
  readonly address: string;
  readonly port: number;
  /** Between two starts, at least 1. */
  readonly intervalMs: number;
  /** An attempt that has no answer after this time is abandoned. */
  readonly timeoutMs: number;
  /** An attempt served later than this after its start proves no service (see `serviceGaps`). */
  readonly promptMs: number;
};

/**
 * served: a server named itself. refused: RST instead of a handshake. reset: RST later. closed: the end instead of
 * an answer. unreachable: no route, or nobody has the address. failed: anything else, as the report's `errors` say.
 */
export type Outcome = 'served' | 'refused' | 'reset' | 'closed' | 'timeout' | 'unreachable' | 'failed';

export type ProberReport = Readonly<Record<Outcome, number>> & {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly attempts: number;
  readonly attemptsPerSecond: number;
  readonly byServer: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  /**
   * The longest time without service; see `serviceGaps` for what exactly that is. `pauseMs` is the longest time between
   * two starts in it or at its edges: what is not known of its length.
   */
  readonly longestGap: (Gap & { readonly ms: number; readonly pauseMs: number }) | undefined;
  /** All times without service of at least `listedGapMs`, at most `gapsMax` of them. */
  readonly gaps: readonly Gap[];
  /** The longest time between two starts: below it nothing can be said. */
  readonly longestPauseMs: number;
  /** Attempts of the schedule that were left out, because the prober was late or too many were open. */
  readonly skipped: number;
};

type Probe = { readonly startMs: number; endMs: number; outcome: Outcome | undefined; server: string | undefined };
type Open = { readonly attempt: Probe; readonly socket: Socket };

const openMax = 4000;
/** 20 minutes at one each millisecond; then the prober ends. */
const attemptsMax = 1_200_000;
const catchUpMax = 20;
const listedGapMs = 10;
const gapsMax = 1000;
const nameBytesMax = 100;

export class Prober {
  readonly #options: ProberOptions;
  readonly #attempts: Probe[] = [];
  readonly #open = new Set<Open>();
  readonly #errors: Record<string, number> = {};
  readonly #ended = Promise.withResolvers<ProberReport>();
  #nextStartMs = 0;
  #skipped = 0;
  #stopping = false;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  start(): void {
    this.#nextStartMs = monotonicMs();
    this.#tick();
  }

  /** Starts no more attempts, waits for those that are open, and reports. */
  stop(): Promise<ProberReport> {
    this.#stopping = true;
    return this.#ended.promise;
  }

  /** The report when the prober has ended, by `stop` or because it has made all the attempts it can remember. */
  get ended(): Promise<ProberReport> {
    return this.#ended.promise;
  }

  #tick(): void {
    const nowMs = monotonicMs();
    this.#abandon(nowMs);
    if (!this.#stopping) this.#startDue(nowMs);
    if (this.#attempts.length >= attemptsMax) this.#stopping = true;
    if (this.#stopping && this.#open.size === 0) this.#ended.resolve(this.#report(nowMs));
    else setTimeout(() => this.#tick(), 1);
  }

  /** The oldest attempts come first in the set; those behind one that may still wait are younger. */
  #abandon(nowMs: number): void {
    for (const open of this.#open) {
      if (nowMs - open.attempt.startMs < this.#options.timeoutMs) break;
      this.#end(open, 'timeout');
    }
  }

  #startDue(nowMs: number): void {
    const due = Math.floor((nowMs - this.#nextStartMs) / this.#options.intervalMs) + 1;
    const possible = Math.max(0, Math.min(due, catchUpMax, openMax - this.#open.size));
    for (let i = 0; i < possible; i++) this.#attempt();
    this.#skipped += due - possible;
    this.#nextStartMs += due * this.#options.intervalMs;
  }

  #attempt(): void {
    const attempt: Probe = { startMs: monotonicMs(), endMs: Infinity, outcome: undefined, server: undefined };
    this.#attempts.push(attempt);
    const socket = connect({ host: this.#options.address, port: this.#options.port, noDelay: true });
    const open = { attempt, socket };
    this.#open.add(open);
    let answer = '';
    socket.on('data', (bytes: Buffer) => {
      answer += bytes.toString('latin1', 0, nameBytesMax);
      if (answer.includes('\n')) this.#end(open, 'served', answer.slice(0, answer.indexOf('\n')));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(open, error.code ?? error.message));
    socket.on('end', () => this.#end(open, 'closed'));
    socket.write('who\n');
  }

  #fail(open: Open, code: string): void {
    if (code === 'ECONNREFUSED') this.#end(open, 'refused');
    else if (code === 'ECONNRESET' || code === 'EPIPE') this.#end(open, 'reset');
    else if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') this.#end(open, 'unreachable');
    else if (this.#end(open, 'failed')) this.#errors[code] = (this.#errors[code] ?? 0) + 1;
  }

  /** The first outcome counts. Returns whether this was it. */
  #end(open: Open, outcome: Outcome, server?: string): boolean {
    if (open.attempt.outcome !== undefined) return false;
    open.attempt.endMs = monotonicMs();
    open.attempt.outcome = outcome;
    open.attempt.server = server;
    this.#open.delete(open);
    // The server closes first, so that the time-wait state, and with it the port, is not ours; it may be in trouble.
    if (outcome === 'served') open.socket.setTimeout(this.#options.timeoutMs, () => open.socket.destroy());
    else open.socket.destroy();
    return true;
  }

  #report(nowMs: number): ProberReport {
    const attempts = this.#attempts;
    const count = (outcome: Outcome): number => attempts.filter((attempt) => attempt.outcome === outcome).length;
    const startedAtMs = attempts[0]?.startMs ?? nowMs;
    const lastStartMs = attempts.at(-1)?.startMs ?? nowMs;
    const seen = attempts.map(({ startMs, endMs, outcome }) => ({ startMs, endMs, served: outcome === 'served' }));
    const gaps = serviceGaps(seen, { promptMs: this.#options.promptMs, untilMs: lastStartMs, atLeastMs: 0 });
    const longest = longestGap(gaps);
    const startsMs = attempts.map((attempt) => attempt.startMs);
    return {
      startedAtMs,
      endedAtMs: nowMs,
      attempts: attempts.length,
      attemptsPerSecond: Math.round((attempts.length * 1000) / Math.max(1, lastStartMs - startedAtMs)),
      served: count('served'),
      refused: count('refused'),
      reset: count('reset'),
      closed: count('closed'),
      timeout: count('timeout'),
      unreachable: count('unreachable'),
      failed: count('failed'),
      byServer: countBy(attempts.flatMap((attempt) => attempt.server ?? [])),
      errors: this.#errors,
      longestGap: longest && { ...longest, ms: gapMs(longest), pauseMs: longestPauseMs(startsMs, longest) },
      gaps: gaps.filter((gap) => gapMs(gap) >= listedGapMs).slice(0, gapsMax),
      longestPauseMs: longestPauseMs(startsMs, { startMs: startedAtMs, endMs: lastStartMs }),
      skipped: this.#skipped,
    };
  }
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Of the times between two starts that touch this one. */
function longestPauseMs(startsMs: readonly number[], { startMs, endMs }: Gap): number {
  let longestMs = 0;
  for (const [index, nextMs] of startsMs.entries()) {
    const beforeMs = startsMs[index - 1] ?? nextMs;
    if (nextMs >= startMs && beforeMs <= endMs) longestMs = Math.max(longestMs, nextMs - beforeMs);
  }
  return longestMs;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      target: { type: 'string' },
      interval: { type: 'string', default: '1' },
      timeout: { type: 'string', default: '500' },
      prompt: { type: 'string', default: '150' },
      duration: { type: 'string', default: '0' },
    },
  });
  const [address = '', port = ''] = values.target?.split(':') ?? [];
  const prober = new Prober({
    address,
    port: Number(port),
    intervalMs: Number(values.interval),
    timeoutMs: Number(values.timeout),
    promptMs: Number(values.prompt),
  });
  const commands = createInterface({ input: process.stdin });
  commands.on('line', (line) => {
    if (line === 'stop') void prober.stop();
  });
  commands.on('close', () => void prober.stop());
  if (Number(values.duration) > 0) setTimeout(() => void prober.stop(), Number(values.duration));
  prober.start();
  await printJson({ event: 'probing', target: values.target });
  await printJson({ event: 'report', report: await prober.ended });
  process.exit(0);
}

if (import.meta.main) await main();
