/**
 * Where the adverts of an IPv6 virtual router leave from. The kernel makes an interface's link-local address when the
 * link comes up, and tries it for duplicates first: at boot it may well be there only after this node has been started.
 */
import type { Clock, Timer } from '../../runtime/index.ts';

export type LinkLocalSourcePorts = {
  readonly clock: Pick<Clock, 'after'>;
  /** Undefined while there is none that is ready for use. */
  readonly find: () => Uint8Array | undefined;
  readonly onReady: (address: Uint8Array) => void;
  /** There is none yet; told once, then it is waited for. */
  readonly onMissing: () => void;
};

const pollIntervalMs = 100;

export class LinkLocalSource {
  readonly #ports: LinkLocalSourcePorts;
  #timer: Timer | undefined;

  constructor(ports: LinkLocalSourcePorts) {
    this.#ports = ports;
  }

  /** At start, and whenever the link has come up: one of the two is told before this returns. */
  look(): void {
    const wasWaiting = this.#timer !== undefined;
    this.stop();
    const address = this.#ports.find();
    if (address !== undefined) return this.#ports.onReady(address);
    this.#timer = this.#ports.clock.after(pollIntervalMs, () => this.look());
    if (!wasWaiting) this.#ports.onMissing();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
