/** The listening sockets of all services of a worker, kept as the configuration wants them. */
import { errnoName } from '../../runtime/index.ts';
import { Listener } from './listener.ts';
import type { Logger, Native } from '../../runtime/index.ts';
import type { TcpOptions, WorkerCounters } from '../index.ts';
import type { Poller } from './poller.ts';

/** A listener that is wanted, by a name that it keeps. */
export type WantedListener = {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly backlog: number;
  /** What its clients are accepted with. */
  readonly tcp: TcpOptions;
  /** See `Native.steerListeners`. */
  readonly steering: Uint8Array | undefined;
};

export type ListenFailure = { readonly service: string; readonly error: string };

type Dependencies = {
  readonly native: Native;
  readonly poller: Poller;
  readonly logger: Logger;
  readonly mayAccept: () => boolean;
  readonly onClient: (service: string, fd: number, endpoint: Uint8Array) => void;
};

export class ServiceListeners {
  readonly #counters = { acceptPauses: 0, connectionLimitHits: 0 };
  readonly #dependencies: Dependencies;
  readonly #listeners = new Map<string, Listener>();
  #starved = false;
  #full = false;

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Opens what is missing, then closes what is not wanted any more: an address and port that goes from one service to
   * another is listened for all the time (SO_REUSEPORT). What could not be opened is answered and tried again with the
   * next call, and nothing is closed: whoever asked for it may want back what was there before. Then those in `moved`,
   * which stand for what has a listener elsewhere, are not opened either.
   */
  configure(services: readonly WantedListener[], moved: ReadonlySet<string> = new Set()): readonly ListenFailure[] {
    const before = new Map(this.#listeners);
    const isOpen = (service: WantedListener): boolean => {
      const listener = before.get(service.name);
      return listener !== undefined && isAsWanted(listener, service);
    };
    const failures = services.filter((service) => !isOpen(service)).flatMap((service) => this.#open(service) ?? []);
    if (failures.length > 0) {
      this.#takeBack(before, moved);
      return failures;
    }
    const wanted = new Map(services.map((service) => [service.name, service]));
    for (const [name, listener] of before) {
      const service = wanted.get(name);
      if (service === undefined || !isOpen(service)) this.#close(name, listener);
      else listener.setOptions(service.tcp);
    }
    for (const { name, steering } of services) this.#steer(name, steering);
    return [];
  }

  /** Closes what was opened in place of something else, which stays. */
  #takeBack(before: ReadonlyMap<string, Listener>, moved: ReadonlySet<string>): void {
    for (const [name, listener] of this.#listeners) {
      const known = before.get(name);
      if (known !== listener && (known !== undefined || moved.has(name))) this.#close(name, listener);
    }
    for (const [name, listener] of before) this.#listeners.set(name, listener);
  }

  get counters(): Pick<WorkerCounters, 'acceptPauses' | 'connectionLimitHits' | 'isFull'> {
    return { ...this.#counters, isFull: this.#full };
  }

  /** Lets clients wait in the kernel's queues for a moment: there are no descriptors for them now. */
  pauseForShortage(): void {
    for (const listener of this.#listeners.values()) listener.pause('shortage');
  }

  /** Descriptors may have become free since accepting was suspended. */
  retryAfterShortage(): void {
    if (!this.#starved) return;
    this.#starved = false;
    this.#resume();
  }

  /** A connection has ended, so that there may be room for another one. */
  resumeAfterLimit(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#resume();
  }

  #resume(): void {
    for (const listener of this.#listeners.values()) listener.resume();
  }

  #open({ name, address, port, backlog, tcp }: WantedListener): ListenFailure | undefined {
    const { native, poller, logger, mayAccept, onClient } = this.#dependencies;
    const events = {
      mayAccept,
      onClient: (fd: number, endpoint: Uint8Array) => onClient(name, fd, endpoint),
      onPaused: (cause: 'shortage' | 'full') => this.#onPaused(cause),
    };
    const listener = new Listener({ address, port, backlog }, { native, poller, events });
    const result = listener.open(tcp);
    if (result < 0) {
      const error = errnoName(result);
      return { service: name, error };
    }
    this.#listeners.set(name, listener);
    logger.info({ address, port }, 'listening');
    return undefined;
  }

  #steer(name: string, steering: Uint8Array | undefined): void {
    const result = this.#listeners.get(name)?.steer(steering) ?? 0;
    if (result >= 0) return;
    const error = errnoName(result);
    this.#dependencies.logger.warn({ listener: name, error }, 'limits for each source are those of each worker');
  }

  #close(name: string, listener: Listener): void {
    listener.close();
    if (this.#listeners.get(name) === listener) this.#listeners.delete(name);
    this.#dependencies.logger.info({ address: listener.address, port: listener.port }, 'closed listener');
  }

  /** Either may come and go with every client: the first time is for the log, all of them for the counters. */
  #onPaused(cause: 'shortage' | 'full'): void {
    if (cause === 'full') {
      if (this.#full) return;
      if (this.#counters.connectionLimitHits === 0) {
        this.#dependencies.logger.warn({}, 'as many connections as its descriptors allow: new clients wait');
      }
      this.#counters.connectionLimitHits++;
      this.#full = true;
      return;
    }
    if (this.#counters.acceptPauses === 0) {
      this.#dependencies.logger.warn({}, 'the machine has no descriptors or memory left: new clients wait');
    }
    this.#counters.acceptPauses++;
    this.#starved = true;
  }
}

function isAsWanted(listener: Listener, { address, port, backlog }: WantedListener): boolean {
  return listener.address === address && listener.port === port && listener.backlog === backlog;
}
