/** Tells the link where the VIPs are: sends the announcements of the schedule out of a packet socket. */
import { ipFamily } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import type { Clock, Service, Timer } from '../../runtime/index.ts';
import { announcementFrames, nextDeadlineMs, silent, step } from '../index.ts';
import type { AnnouncementConfig, AnnouncementInput, AnnouncementState } from '../index.ts';
import type { Link } from './address-kernel.ts';
import { FrameSocket } from './frame-socket.ts';
import type { PacketCalls } from './frame-socket.ts';

export type AnnouncerCounts = { readonly framesSent: number; readonly sendFailures: number };

export class Announcer implements Service {
  readonly name = 'announcer';
  #config: AnnouncementConfig;
  readonly #clock: Clock;
  readonly #socket: FrameSocket;
  readonly #link: () => Link | undefined;
  readonly #isIpv6Router: (interfaceName: string) => boolean;
  #state: AnnouncementState = silent;
  #timer: Timer | undefined;
  #framesSent = 0;
  #sendFailures = 0;

  /**
   * `link` answers with the interface as it is now: its index and MAC may change at any time; `isIpv6Router`, whether
   * this host forwards IPv6 packets that come in on it.
   */
  constructor(
    config: AnnouncementConfig,
    dependencies: {
      clock: Clock;
      native: PacketCalls;
      link: () => Link | undefined;
      isIpv6Router: (interfaceName: string) => boolean;
    },
  ) {
    this.#config = config;
    this.#clock = dependencies.clock;
    this.#socket = new FrameSocket(dependencies);
    this.#link = dependencies.link;
    this.#isIpv6Router = dependencies.isIpv6Router;
  }

  get counts(): AnnouncerCounts {
    return { framesSent: this.#framesSent, sendFailures: this.#sendFailures };
  }

  /** Opens the socket now, not when it matters. Throws OperatorError `NET_RAW_MISSING`, `PACKET_SOCKET_REFUSED`. */
  start(): Promise<void> {
    const link = this.#link();
    return new Promise((resolve) => {
      if (link !== undefined) this.#socket.open(link.index);
      resolve();
    });
  }

  stop(): Promise<void> {
    this.silence();
    this.#socket.close();
    return Promise.resolve();
  }

  /** Counts from the next announcement on. */
  reconfigure(config: AnnouncementConfig): void {
    this.#config = config;
  }

  /** The VIPs are on the interface: sends the first announcements before it returns, the others as scheduled. */
  announce(vips: readonly IpPrefix[]): void {
    this.#step({ type: 'claimed', addresses: vips.map((vip) => vip.address) });
  }

  /** The VIPs are no longer ours: nothing more is sent. */
  silence(): void {
    this.#step({ type: 'released' });
  }

  #step(input: AnnouncementInput): void {
    const nowMs = this.#clock.nowMs();
    const { state, effects } = step(this.#config, this.#state, input, nowMs);
    this.#state = state;
    for (const effect of effects) this.#send(effect.address);
    this.#timer?.cancel();
    const deadlineMs = nextDeadlineMs(state);
    this.#timer =
      deadlineMs === undefined ? undefined : this.#clock.after(deadlineMs - nowMs, () => this.#step({ type: 'tick' }));
  }

  #send(address: string): void {
    const link = this.#link();
    // An interface that is gone, or without an Ethernet address (a tunnel), has nobody to tell.
    if (link?.macAddress.length !== 6) {
      this.#sendFailures++;
      return;
    }
    // The answer is in a file, for which IPv4 does not wait.
    const isRouter = ipFamily(address) === 6 && this.#isIpv6Router(link.name);
    for (const frame of announcementFrames(address, link.macAddress, isRouter)) {
      if (this.#socket.send(link.index, frame) === undefined) this.#framesSent++;
      else this.#sendFailures++;
    }
  }
}
