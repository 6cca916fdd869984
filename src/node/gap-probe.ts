import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../runtime/index.ts';

export type GapProbeTarget = {
  readonly address: string;
  readonly port: number;
  /**
   * The node's own address: a connection from the virtual one would be answered to whoever holds it. Undefined: the
   * kernel chooses, and it does not choose a virtual one (they are deprecated) while it has another.
   */
  readonly source: string | undefined;
};

const intervalMs = 2;
/** While nobody answers, attempts pile up until the kernel gives up on them; more are not needed to see the end. */
const outstandingMax = 256;

/**
 * Measures a switchover as a client on the LAN sees it: opens a connection to the virtual address every 2 ms and notes
 * when the handshake completed. Bytes are never sent.
 */
export class GapProbe {
  readonly #target: GapProbeTarget;
  readonly #clock: Clock;
  readonly #answeredAtMs: number[] = [];
  readonly #open = new Set<Socket>();
  #timer: Timer | undefined;

  constructor(target: GapProbeTarget, dependencies: { clock: Clock }) {
    this.#target = target;
    this.#clock = dependencies.clock;
  }

  start(): void {
    this.#timer = this.#clock.every(intervalMs, () => this.#attempt());
    this.#attempt();
  }

  /** Whether a connection that was opened at or after the moment has been answered. */
  hasAnsweredSince(momentMs: number): boolean {
    return (this.#answeredAtMs.at(-1) ?? -Infinity) >= momentMs;
  }

  /** Ends the probing. The longest time between two answers, in milliseconds; undefined with fewer than two. */
  stop(): number | undefined {
    this.#timer?.cancel();
    for (const socket of this.#open) socket.destroy();
    let longest: number | undefined;
    for (const [index, answeredMs] of this.#answeredAtMs.entries()) {
      const previous = this.#answeredAtMs[index - 1];
      if (previous !== undefined) longest = Math.max(longest ?? 0, answeredMs - previous);
    }
    return longest;
  }

  #attempt(): void {
    if (this.#open.size >= outstandingMax) return;
    const { address, port, source } = this.#target;
    const socket = connect({ host: address, port, localAddress: source });
    this.#open.add(socket);
    socket.once('connect', () => {
      this.#answeredAtMs.push(this.#clock.nowMs());
      // Reset, not FIN: thousands of connections in TIME_WAIT would be a strange thing to leave behind.
      socket.resetAndDestroy();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => this.#open.delete(socket));
  }
}
