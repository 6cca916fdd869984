/**
 * Clients of whom more has to be known before a service can have them: a PROXY protocol header, which is read, and a
 * TLS ClientHello, which is only looked at (MSG_PEEK). All else stays in the kernel until the relay fetches it, so that
 * nothing of a connection is ever in two places.
 *
 * While something is incomplete, the kernel wakes this process only when so much has come that there is something new
 * to learn (SO_RCVLOWAT): a client that sends one byte at a time is as cheap as any other.
 */
import { epoll, errno } from '../../runtime/index.ts';
import { ClientHelloReader, decodeProxyHeader, helloBytesMax } from '../index.ts';
import { streamEvents } from './poller.ts';
import { closeWithReset, wakeAt } from './socket-options.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import type { ClientAddresses, ClientHello, ProxyHeader, RefusalReason } from '../index.ts';
import type { Trace } from './connection.ts';
import type { Door } from './door.ts';
import type { Poller, PollerTarget } from './poller.ts';
import type { ServiceRuntime } from './service-runtime.ts';

/** A client that has just been accepted. */
export type Caller = {
  readonly fd: number;
  /** The client's address, 4 or 16 bytes; good until the next one comes. */
  readonly ip: Uint8Array;
  /** For the access log; undefined where there is none. */
  readonly trace: Trace | undefined;
};

/** A client that one service can have now. */
export type Newcomer = Caller & {
  /** What a PROXY protocol header said. */
  readonly addresses: ClientAddresses | undefined;
  /** -1 if it is not watched yet. */
  readonly pollerId: number;
  /** All that it was told of so far. */
  readonly events: number;
};

type PrefaceDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly poller: Poller;
  readonly onKnown: (service: ServiceRuntime, newcomer: Newcomer) => void;
  /** A client that waited here is to be sent away; the service counts it. */
  readonly onRefused: (service: ServiceRuntime, newcomer: Newcomer, reason: RefusalReason) => void;
};

type Stage = 'header' | 'hello';

const faults = {
  header: { timeout: 'proxy-timeout', cut: 'proxy-cut' },
  hello: { timeout: 'tls-timeout', cut: 'tls-cut' },
} as const;
const arrivedEvents = epoll.in | epoll.readHangUp | epoll.hangUp;

/** A client that waits here. */
class Arrival implements PollerTarget, Newcomer {
  readonly door: Door;
  readonly fd: number;
  readonly trace: Trace | undefined;
  readonly #onReady: (arrival: Arrival) => void;
  ip: Uint8Array;
  stage: Stage;
  addresses: ClientAddresses | undefined;
  pollerId = -1;
  events = 0;
  deadlineMs = 0;
  /** With how many bytes the kernel wakes us. */
  wakesAt = 1;
  readonly hello = new ClientHelloReader();

  constructor(door: Door, { fd, ip, trace }: Caller, stage: Stage, onReady: (arrival: Arrival) => void) {
    this.door = door;
    this.fd = fd;
    this.ip = ip.slice();
    this.trace = trace;
    this.stage = stage;
    this.#onReady = onReady;
  }

  onReady(events: number): void {
    this.events |= events;
    this.#onReady(this);
  }
}

export class Preface {
  readonly #native: Native;
  readonly #clock: Clock;
  readonly #poller: Poller;
  readonly #onKnown: (service: ServiceRuntime, newcomer: Newcomer) => void;
  readonly #onRefused: (service: ServiceRuntime, newcomer: Newcomer, reason: RefusalReason) => void;
  readonly #arrivalsMax: number;
  // In the order in which they came.
  readonly #arrivals = new Set<Arrival>();
  readonly #buffer = new Uint8Array(helloBytesMax);

  /** When `arrivalsMax` (>= 1) clients wait here, the one that does for longest makes room. */
  constructor(options: { arrivalsMax: number }, dependencies: PrefaceDependencies) {
    this.#arrivalsMax = options.arrivalsMax;
    this.#native = dependencies.native;
    this.#clock = dependencies.clock;
    this.#poller = dependencies.poller;
    this.#onKnown = dependencies.onKnown;
    this.#onRefused = dependencies.onRefused;
  }

  /** Clients that wait here now. */
  get size(): number {
    return this.#arrivals.size;
  }

  /** Brings a client that has just been accepted to a service, at once where nothing has to be known of it. */
  begin(door: Door, caller: Caller): void {
    const { fd, ip, trace } = caller;
    const sendsHeader = door.headerFrom?.has(ip) === true;
    if (!sendsHeader && door.routes === undefined) {
      this.#onKnown(door.accountable, { fd, ip, trace, addresses: undefined, pollerId: -1, events: 0 });
      return;
    }
    this.#makeRoom();
    const stage = sendsHeader ? 'header' : 'hello';
    const arrival = new Arrival(door, caller, stage, (one) => this.#onReady(one));
    this.#arrivals.add(arrival);
    this.#startTimer(arrival);
    const id = this.#poller.add(fd, streamEvents, arrival);
    if (id < 0) this.#refuse(arrival, 'no-descriptor');
    else arrival.pollerId = id;
  }

  /** Sends those away who have not said in time what they want. */
  sweep(nowMs: number): void {
    for (const arrival of this.#arrivals) {
      if (nowMs >= arrival.deadlineMs) this.#refuse(arrival, faults[arrival.stage].timeout);
    }
  }

  /** Resets all that wait here, or those that the services could have got. */
  stop(services?: readonly string[]): void {
    for (const arrival of this.#arrivals) {
      const isTheirs = arrival.door.services.some(({ spec }) => services?.includes(spec.name) !== false);
      if (isTheirs) this.#close(arrival);
    }
  }

  #onReady(arrival: Arrival): void {
    if ((arrival.events & epoll.error) !== 0) this.#refuse(arrival, faults[arrival.stage].cut);
    else if ((arrival.events & arrivedEvents) !== 0) this.#look(arrival);
  }

  #look(arrival: Arrival): void {
    const arrived = this.#native.peek(arrival.fd, this.#buffer, 0, this.#buffer.length);
    if (arrived === errno.again) return;
    if (arrived <= 0) {
      this.#refuse(arrival, faults[arrival.stage].cut);
      return;
    }
    const bytes = this.#buffer.subarray(0, arrived);
    if (arrival.stage === 'header') this.#readHeader(arrival, bytes);
    else this.#readHello(arrival, bytes);
  }

  #readHeader(arrival: Arrival, bytes: Uint8Array): void {
    const reading = decodeProxyHeader(bytes);
    switch (reading.kind) {
      case 'read':
        this.#onHeader(arrival, reading.header);
        return;
      case 'incomplete':
        this.#waitFor(arrival, reading.bytesNeeded, bytes.length);
        return;
      case 'refused':
        this.#refuse(arrival, reading.reason);
        return;
    }
  }

  /** Takes the header, and not a byte of what is behind it. */
  #onHeader(arrival: Arrival, { length, addresses }: ProxyHeader): void {
    if (this.#native.receive(arrival.fd, this.#buffer, 0, length) !== length) {
      this.#refuse(arrival, 'proxy-cut');
      return;
    }
    arrival.addresses = addresses;
    arrival.ip = addresses?.source.ip ?? arrival.ip;
    if (arrival.door.routes === undefined) {
      this.#handOver(arrival, arrival.door.accountable);
      return;
    }
    arrival.stage = 'hello';
    this.#startTimer(arrival);
    this.#wakeAt(arrival, 1);
    this.#look(arrival);
  }

  #readHello(arrival: Arrival, bytes: Uint8Array): void {
    const reading = arrival.hello.read(bytes);
    switch (reading.kind) {
      case 'hello':
        this.#onHello(arrival, reading.hello);
        return;
      case 'not-tls':
        if (arrival.door.fallback === undefined) this.#refuse(arrival, 'not-tls');
        else this.#handOver(arrival, arrival.door.fallback);
        return;
      case 'incomplete':
        this.#waitFor(arrival, reading.bytesNeeded, bytes.length);
        return;
      case 'refused':
        this.#refuse(arrival, reading.reason);
        return;
    }
  }

  #onHello(arrival: Arrival, hello: ClientHello): void {
    const { routes, fallback } = arrival.door;
    const service = routes?.find(hello) ?? fallback;
    if (service === undefined) this.#refuse(arrival, 'no-such-name');
    else this.#handOver(arrival, service);
  }

  #waitFor(arrival: Arrival, bytesNeeded: number, arrived: number): void {
    if ((arrival.events & epoll.readHangUp) !== 0) this.#refuse(arrival, faults[arrival.stage].cut);
    else if (bytesNeeded > arrived + 1) this.#wakeAt(arrival, bytesNeeded);
  }

  #wakeAt(arrival: Arrival, bytes: number): void {
    if (arrival.wakesAt === bytes) return;
    arrival.wakesAt = bytes;
    wakeAt(this.#native, arrival.fd, bytes);
  }

  #startTimer(arrival: Arrival): void {
    const { headerTimeoutMs, helloTimeoutMs } = arrival.door;
    arrival.deadlineMs = this.#clock.nowMs() + (arrival.stage === 'header' ? headerTimeoutMs : helloTimeoutMs);
  }

  #handOver(arrival: Arrival, service: ServiceRuntime): void {
    this.#wakeAt(arrival, 1);
    this.#arrivals.delete(arrival);
    this.#onKnown(service, arrival);
  }

  #makeRoom(): void {
    if (this.#arrivals.size < this.#arrivalsMax) return;
    const [oldest] = this.#arrivals;
    if (oldest !== undefined) this.#refuse(oldest, 'too-many-silent');
  }

  #refuse(arrival: Arrival, reason: RefusalReason): void {
    this.#arrivals.delete(arrival);
    this.#onRefused(arrival.door.accountable, arrival, reason);
  }

  #close(arrival: Arrival): void {
    this.#arrivals.delete(arrival);
    if (arrival.pollerId >= 0) this.#poller.release(arrival.pollerId);
    closeWithReset(this.#native, arrival.fd);
  }
}
