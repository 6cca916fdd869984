import type { TcpSocketConnectOpts } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import type { Clock, Random, Timer } from '../../runtime/index.ts';
import { backoffMs } from '../index.ts';
import { clientPskOptions, handshakeFailure, handshakeTimeoutMs } from './psk.ts';
import type { SyncKeys } from './psk.ts';

export type DialerOptions = {
  readonly selfAddress: string;
  readonly peerAddress: string;
  readonly port: number;
  readonly keys: SyncKeys;
};

export type DialerDependencies = {
  readonly clock: Clock;
  readonly random: Random;
  /** A connection with its handshake done. When it is over, call `again`. */
  readonly onSocket: (socket: TLSSocket) => void;
  /** An attempt failed, see `handshakeFailure`; the next one follows by itself. */
  readonly onFailure: (reason: string) => void;
};

/** Connects to the peer, one attempt at a time, from this node's sync address. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #dependencies: DialerDependencies;
  #keys: SyncKeys;
  #failures = 0;
  #retryTimer: Timer | undefined;
  #attempt: TLSSocket | undefined;
  #isStopped = false;

  constructor(options: DialerOptions, dependencies: DialerDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#keys = options.keys;
  }

  start(): void {
    this.#dial();
  }

  stop(): void {
    this.#isStopped = true;
    this.#retryTimer?.cancel();
    this.#attempt?.destroy();
  }

  /** For the attempts to come. */
  setKeys(keys: SyncKeys): void {
    this.#keys = keys;
  }

  /** The connection works: the next loss is answered quickly. */
  forgiveFailures(): void {
    this.#failures = 0;
  }

  /** Dials again after a while. */
  again(): void {
    if (this.#isStopped) return;
    const { clock, random } = this.#dependencies;
    const delayMs = backoffMs(++this.#failures, random.next());
    this.#retryTimer = clock.after(delayMs, () => this.#dial());
  }

  #dial(): void {
    const { selfAddress, peerAddress, port } = this.#options;
    const target: TcpSocketConnectOpts = { host: peerAddress, port, localAddress: selfAddress };
    const socket = connect({ ...clientPskOptions(this.#keys), ...target });
    this.#attempt = socket;
    const timeout = this.#dependencies.clock.after(handshakeTimeoutMs, () => fail('handshake-timeout'));
    let isDecided = false;
    const fail = (reason: string): void => {
      if (isDecided) return;
      isDecided = true;
      timeout.cancel();
      socket.destroy();
      if (this.#isStopped) return;
      this.#dependencies.onFailure(reason);
      this.again();
    };
    socket.on('error', (error) => fail(handshakeFailure(error)));
    // A listener that does not want us closes without a word.
    socket.on('close', () => fail('closed-by-peer'));
    socket.once('secureConnect', () => {
      if (isDecided) return;
      isDecided = true;
      timeout.cancel();
      this.#attempt = undefined;
      this.#dependencies.onSocket(socket);
    });
  }
}
