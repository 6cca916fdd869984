/**
 * Whether this node may preempt its peer: not before it has all that the active node knows. Taking over without that
 * would lose stickiness and what operators set, for nothing but the order of priorities. The election of a node that is
 * gone is not affected.
 */
import type { Clock, Service, Timer } from '../runtime/index.ts';

/**
 * Who has no sync link for this long has nothing to wait for: the other router may be no Tandem node at all. Enough for
 * a node that boots: links are tried again after seconds at most, and a bridge port needs some until it forwards.
 */
const patienceMs = 10_000;

export type PeerProgress = { readonly connected: boolean; readonly inSync: boolean };

export class PreemptGate implements Service {
  readonly name = 'preempt gate';
  readonly #clock: Clock;
  readonly #onChange: (isPermitted: boolean) => void;
  #isPermitted: boolean;
  #isConnected = false;
  #timer: Timer | undefined;

  constructor(options: { hasPeer: boolean }, ports: { clock: Clock; onChange: (isPermitted: boolean) => void }) {
    this.#isPermitted = !options.hasPeer;
    this.#clock = ports.clock;
    this.#onChange = ports.onChange;
  }

  get isPermitted(): boolean {
    return this.#isPermitted;
  }

  start(): Promise<void> {
    if (!this.#isPermitted && !this.#isConnected) this.#wait();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#timer?.cancel();
    return Promise.resolve();
  }

  /** Who was in sync when the link went is as good as it can be: a permission outlives the link. */
  onPeer({ connected, inSync }: PeerProgress): void {
    const isLost = this.#isConnected && !connected;
    this.#isConnected = connected;
    if (connected) {
      this.#timer?.cancel();
      this.#set(inSync);
    } else if (isLost && !this.#isPermitted) {
      this.#wait();
    }
  }

  #wait(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(patienceMs, () => this.#set(true));
  }

  #set(isPermitted: boolean): void {
    if (isPermitted === this.#isPermitted) return;
    this.#isPermitted = isPermitted;
    this.#onChange(isPermitted);
  }
}
