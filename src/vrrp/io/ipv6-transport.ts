/**
 * VRRP on a network interface: IPv6 packets of next header 112. The package raw-socket delivers them without the header
 * and does not tell the hop limit, which a router has to check; so this one stands on the addon. Needs CAP_NET_RAW.
 */
import type { Result } from '../../base/index.ts';
import { concatBytes, fail, formatIp, ok } from '../../base/index.ts';
import type { Native, PollerHandle } from '../../runtime/index.ts';
import { epoll, errnoName } from '../../runtime/index.ts';
import { vrrpGroupIpv6, vrrpProtocol } from '../index.ts';
import { deviceName, interfaceIndex, openFailure } from './interface.ts';
import type { SendFailure, Transport, TransportOptions } from './transport.ts';

type UsedNative = Pick<
  Native,
  'rawOpen' | 'sendTo' | 'receiveIpv6' | 'setOption' | 'close' | 'pollerOpen' | 'pollerAdd' | 'pollerClose'
>;

/** From the kernel's include/uapi/linux/in6.h and include/uapi/asm-generic/socket.h. */
const socketLevel = { socket: 1, ipv6: 41 } as const;
const socketOption = {
  bindToDevice: 25,
  multicastInterface: 17,
  multicastLoop: 19,
  joinGroup: 20,
  headerIncluded: 36,
  receivePacketInfo: 49,
  receiveHopLimit: 51,
} as const;

/** The largest advert: 255 addresses and a seal. What is longer is cut, and dropped as such. */
const packetBytesMax = 8192;

/** Where a packet's destination begins, and how one begins that is multicast. */
const destinationOffset = 24;
const multicastPrefix = 0xff;

/** How many packets are read in one turn of the event loop: more than waits after a stall, too few to stop timers. */
const packetsPerTurn = 64;

type Open = { readonly fd: number; readonly poller: PollerHandle };

export class Ipv6Transport implements Transport {
  readonly #options: TransportOptions;
  readonly #native: UsedNative;
  readonly #listeners = new Set<(packet: Uint8Array) => void>();
  readonly #received = new Uint8Array(packetBytesMax);
  #open: Open | undefined;

  constructor(options: TransportOptions, dependencies: { native: UsedNative }) {
    this.#options = options;
    this.#native = dependencies.native;
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#open = this.#openSocket();
      resolve();
    });
  }

  stop(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) {
      this.#native.pollerClose(open.poller);
      this.#native.close(open.fd);
    }
    return Promise.resolve();
  }

  send(packet: Uint8Array, destination: Uint8Array): Result<void, SendFailure> {
    if (this.#open === undefined) return fail('stopped');
    const sent = this.#native.sendTo(this.#open.fd, packet, formatIp(destination));
    return sent < 0 ? fail(errnoName(sent)) : ok(undefined);
  }

  subscribe(listener: (packet: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #openSocket(): Open {
    const { interfaceName } = this.#options;
    const index = interfaceIndex(interfaceName);
    const fd = this.#native.rawOpen(6, vrrpProtocol);
    if (fd < 0) throw openFailure('VRRP cannot open a raw socket', errnoName(fd));
    const refused = this.#configure(fd, index);
    const poller = refused ?? this.#watch(fd);
    if (typeof poller !== 'number') return { fd, poller };
    this.#native.close(fd);
    throw openFailure(`VRRP cannot use the interface ${interfaceName}`, errnoName(poller));
  }

  /** The first refusal, if there is one. */
  #configure(fd: number, index: number): number | undefined {
    const device = deviceName(this.#options.interfaceName);
    const ipv6 = (option: number, value: number | Uint8Array) => [socketLevel.ipv6, option, value] as const;
    const settings = [
      [socketLevel.socket, socketOption.bindToDevice, device] as const,
      // The header is ours: its source must be the address that the peer knows us by, also next to virtual ones.
      ipv6(socketOption.headerIncluded, 1),
      ipv6(socketOption.receiveHopLimit, 1),
      ipv6(socketOption.receivePacketInfo, 1),
      ipv6(socketOption.multicastLoop, 0),
      ...(this.#options.isMulticast
        ? [ipv6(socketOption.joinGroup, multicastRequest(index)), ipv6(socketOption.multicastInterface, index)]
        : []),
    ];
    for (const [level, option, value] of settings) {
      const result = this.#native.setOption(fd, level, option, value);
      if (result < 0) return result;
    }
    return undefined;
  }

  #watch(fd: number): PollerHandle | number {
    const poller = this.#native.pollerOpen(new Int32Array(2), () => this.#read());
    if (typeof poller === 'number') return poller;
    const added = this.#native.pollerAdd(poller, fd, epoll.in, 0);
    if (added >= 0) return poller;
    this.#native.pollerClose(poller);
    return added;
  }

  /** Errors of reception pass (memory is short, the link is down), and the link is watched elsewhere. */
  #read(): void {
    for (let turn = 0; turn < packetsPerTurn && this.#open !== undefined; turn++) {
      const length = this.#native.receiveIpv6(this.#open.fd, this.#received);
      if (length < 0) return;
      // A raw IPv6 socket hears every group that any process on this host has joined, IPV6_MULTICAST_ALL or not.
      if (!this.#options.isMulticast && this.#received[destinationOffset] === multicastPrefix) continue;
      for (const listener of this.#listeners) listener(this.#received.slice(0, length));
    }
  }
}

/** struct ipv6_mreq: the group, and the interface's index in the machine's own byte order. */
function multicastRequest(index: number): Uint8Array {
  return concatBytes(vrrpGroupIpv6, new Uint8Array(Uint32Array.of(index).buffer));
}
