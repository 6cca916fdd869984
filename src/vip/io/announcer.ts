/** Tells the link where the VIPs are: sends the announcements of the schedule out of a packet socket. */
import type { IpPrefix } from '../../base/index.ts';
import { errno, errnoName, OperatorError } from '../../runtime/index.ts';
import type { Clock, Native, Service, Timer } from '../../runtime/index.ts';
import { announcementFrames, nextDeadlineMs, silent, step } from '../index.ts';
import type { AnnouncementConfig, AnnouncementInput, AnnouncementState } from '../index.ts';
import type { Link } from './address-kernel.ts';

export type AnnouncerCounts = { readonly framesSent: number; readonly sendFailures: number };

type PacketSocket = { readonly descriptor: number; readonly interfaceIndex: number };

export class Announcer implements Service {
  readonly name = 'announcer';
  readonly #config: AnnouncementConfig;
  readonly #clock: Clock;
  readonly #native: Pick<Native, 'packetOpen' | 'send' | 'close'>;
  readonly #link: () => Link | undefined;
  #socket: PacketSocket | undefined;
  #state: AnnouncementState = silent;
  #timer: Timer | undefined;
  #framesSent = 0;
  #sendFailures = 0;

  /** `link` answers with the interface as it is now: its index and MAC may change at any time. */
  constructor(
    config: AnnouncementConfig,
    dependencies: {
      clock: Clock;
      native: Pick<Native, 'packetOpen' | 'send' | 'close'>;
      link: () => Link | undefined;
    },
  ) {
    this.#config = config;
    this.#clock = dependencies.clock;
    this.#native = dependencies.native;
    this.#link = dependencies.link;
  }

  get counts(): AnnouncerCounts {
    return { framesSent: this.#framesSent, sendFailures: this.#sendFailures };
  }

  /** Opens the socket now, not when it matters. Throws OperatorError `NET_RAW_MISSING`, `PACKET_SOCKET_REFUSED`. */
  start(): Promise<void> {
    const link = this.#link();
    const refusal = link === undefined ? undefined : this.#open(link.index);
    return refusal === undefined ? Promise.resolve() : Promise.reject(packetSocketRefused(refusal));
  }

  stop(): Promise<void> {
    this.silence();
    this.#close();
    return Promise.resolve();
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
    for (const frame of announcementFrames(address, link.macAddress)) {
      if (this.#sendFrame(link.index, frame)) this.#framesSent++;
      else this.#sendFailures++;
    }
  }

  #sendFrame(interfaceIndex: number, frame: Uint8Array): boolean {
    if (this.#open(interfaceIndex) !== undefined || this.#socket === undefined) return false;
    return this.#native.send(this.#socket.descriptor, frame, 0, frame.length) === frame.length;
  }

  /** Makes sure that the socket is one of this interface; a negative errno if the kernel refuses it. */
  #open(interfaceIndex: number): number | undefined {
    if (this.#socket?.interfaceIndex === interfaceIndex) return undefined;
    this.#close();
    const descriptor = this.#native.packetOpen(interfaceIndex);
    if (descriptor < 0) return descriptor;
    this.#socket = { descriptor, interfaceIndex };
    return undefined;
  }

  #close(): void {
    if (this.#socket !== undefined) this.#native.close(this.#socket.descriptor);
    this.#socket = undefined;
  }
}

function packetSocketRefused(refusal: number): OperatorError {
  if (refusal === errno.notPermitted || refusal === errno.accessDenied) {
    return new OperatorError(
      'NET_RAW_MISSING',
      'no permission to announce addresses',
      'run as root or grant CAP_NET_RAW (docker run --cap-add NET_RAW; AmbientCapabilities= in systemd)',
    );
  }
  return new OperatorError('PACKET_SOCKET_REFUSED', `no packet socket: ${errnoName(refusal)}`, "see the kernel's log");
}
