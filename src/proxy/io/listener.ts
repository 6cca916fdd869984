import { compareIp } from '../../base/index.ts';
import { epoll, errno } from '../../runtime/index.ts';
import { setStreamOptions, setVigilance, steerNoMore } from './socket-options.ts';
import type { TcpOptions } from '../index.ts';
import type { Native } from '../../runtime/index.ts';
import type { Poller, PollerTarget } from './poller.ts';

const acceptsPerTurn = 64;
const endpointBytes = 20;

/** Errors for which accept(2) leaves the connection in the queue: trying again at once would only burn time. */
const shortages: ReadonlySet<number> = new Set([errno.tooManyFilesProcess, errno.tooManyFilesSystem, -12, -105]);

export type ListenerEvents = {
  /** Whether there is room for one more connection. */
  mayAccept(): boolean;
  /** A client; `endpoint` holds its address (see Native.accept) until the next one. */
  onClient(fd: number, endpoint: Uint8Array): void;
  /** Accepting was suspended: for want of descriptors or memory, or because `mayAccept` said no. */
  onPaused(cause: 'shortage' | 'full'): void;
};

/** One listening socket. Connections that are not accepted now wait in its queue in the kernel. */
export class Listener implements PollerTarget {
  readonly address: string;
  readonly port: number;
  readonly backlog: number;
  readonly #native: Native;
  readonly #poller: Poller;
  readonly #events: ListenerEvents;
  readonly #endpoint = new Uint8Array(endpointBytes);
  #fd = -1;
  #pollerId = -1;
  #paused = false;
  #steering: Uint8Array | undefined;

  constructor(
    options: { address: string; port: number; backlog: number },
    dependencies: { native: Native; poller: Poller; events: ListenerEvents },
  ) {
    this.address = options.address;
    this.port = options.port;
    this.backlog = options.backlog;
    this.#native = dependencies.native;
    this.#poller = dependencies.poller;
    this.#events = dependencies.events;
  }

  /** 0, or -errno. The address need not be this host's. */
  open(tcp: TcpOptions): number {
    const fd = this.#native.tcpListen(this.address, this.port, this.backlog);
    if (fd < 0) return fd;
    const id = this.#poller.add(fd, epoll.in, this);
    if (id < 0) {
      this.#native.close(fd);
      return id;
    }
    this.#fd = fd;
    this.#pollerId = id;
    this.setOptions(tcp);
    return 0;
  }

  /** Of the clients that are accepted from now on. */
  setOptions(tcp: TcpOptions): void {
    setStreamOptions(this.#native, this.#fd, tcp);
    setVigilance(this.#native, this.#fd, tcp);
  }

  /**
   * Sets how the kernel chooses among the listeners of all workers for this address; undefined: as it likes. 0, or
   * -errno.
   */
  steer(program: Uint8Array | undefined): number {
    const before = this.#steering;
    if (program === undefined ? before === undefined : before !== undefined && compareIp(program, before) === 0)
      return 0;
    this.#steering = program;
    return program === undefined ? steerNoMore(this.#native, this.#fd) : this.#native.steerListeners(this.#fd, program);
  }

  /** Accepts what has been waiting, then closes: only a client that comes in between is refused. */
  close(): void {
    if (this.#fd < 0) return;
    this.#accept(this.backlog);
    this.#poller.release(this.#pollerId);
    this.#native.close(this.#fd);
    this.#fd = -1;
  }

  /** Accepts nothing until `resume`. */
  pause(cause: 'shortage' | 'full'): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#poller.modify(this.#fd, 0, this.#pollerId);
    this.#events.onPaused(cause);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#poller.modify(this.#fd, epoll.in, this.#pollerId);
  }

  onReady(): void {
    this.#accept(acceptsPerTurn);
  }

  /** The bound keeps a flood of clients from starving those that are served; epoll tells again of the rest. */
  #accept(countMax: number): void {
    for (let count = 0; count < countMax; count++) {
      if (!this.#events.mayAccept()) {
        this.pause('full');
        return;
      }
      const fd = this.#native.accept(this.#fd, this.#endpoint);
      if (fd >= 0) this.#events.onClient(fd, this.#endpoint);
      else if (fd === errno.again) return;
      else if (shortages.has(fd)) {
        this.pause('shortage');
        return;
      }
      // Any other error is of the one connection that could not be accepted (accept(2)).
    }
  }
}
