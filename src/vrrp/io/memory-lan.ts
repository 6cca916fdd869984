/** The fake of `RawTransport` and `Ipv6Transport`: a LAN in memory, for tests and simulations of whole nodes. */
import type { Result } from '../../base/index.ts';
import { compareIp, fail, ok } from '../../base/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { vrrpGroupOf } from '../index.ts';
import type { SendFailure, Transport } from './transport.ts';

export type MemoryLanOptions = {
  /** How long a packet travels; 0 is allowed, but delivery never happens within the send. */
  readonly delayMs: number;
};

export class MemoryLan {
  readonly #options: MemoryLanOptions;
  readonly #clock: Clock;
  readonly #ports = new Set<MemoryPort>();

  constructor(options: MemoryLanOptions, dependencies: { clock: Clock }) {
    this.#options = options;
    this.#clock = dependencies.clock;
  }

  /** A router's port on this LAN. */
  port(address: Uint8Array): MemoryPort {
    const port: MemoryPort = new MemoryPort(address, (packet, destination) => this.#carry(port, packet, destination));
    this.#ports.add(port);
    return port;
  }

  #carry(sender: MemoryPort, packet: Uint8Array, destination: Uint8Array): void {
    const isMulticast = compareIp(destination, vrrpGroupOf(sender.address)) === 0;
    for (const port of this.#ports) {
      if (port === sender || !port.isStarted || !(isMulticast || compareIp(destination, port.address) === 0)) continue;
      const copy = Uint8Array.from(packet);
      this.#clock.after(this.#options.delayMs, () => port.deliver(copy));
    }
  }
}

export class MemoryPort implements Transport {
  readonly address: Uint8Array;
  readonly #carry: (packet: Uint8Array, destination: Uint8Array) => void;
  readonly #listeners = new Set<(packet: Uint8Array) => void>();
  #isStarted = false;
  #failure: SendFailure | undefined;
  #isDeaf = false;

  constructor(address: Uint8Array, carry: (packet: Uint8Array, destination: Uint8Array) => void) {
    this.address = address;
    this.#carry = carry;
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  start(): Promise<void> {
    this.#isStarted = true;
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#isStarted = false;
    return Promise.resolve();
  }

  send(packet: Uint8Array, destination: Uint8Array): Result<void, SendFailure> {
    if (!this.#isStarted) return fail('stopped');
    if (this.#failure !== undefined) return fail(this.#failure);
    this.#carry(packet, destination);
    return ok(undefined);
  }

  subscribe(listener: (packet: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** From now on every send fails like this; undefined mends it. */
  failSends(failure: SendFailure | undefined): void {
    this.#failure = failure;
  }

  /** Whether nothing arrives here any more. */
  setDeaf(isDeaf: boolean): void {
    this.#isDeaf = isDeaf;
  }

  deliver(packet: Uint8Array): void {
    if (!this.#isStarted || this.#isDeaf) return;
    for (const listener of this.#listeners) listener(packet);
  }
}
