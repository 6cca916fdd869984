/**
 * Sends adverts from the virtual MAC (RFC 9568, 7.2: it is the source of every advert). They leave through the parent
 * as ready-made frames, not through the virtual interface: that one has to be down before the goodbye of a router that
 * releases its addresses.
 */
import { errnoName } from '../../runtime/index.ts';
import type { Service } from '../../runtime/index.ts';
import { encodeMulticastFrame } from '../index.ts';
import type { Link, Refusal } from './address-kernel.ts';
import { FrameSocket } from './frame-socket.ts';
import type { PacketCalls } from './frame-socket.ts';

export class VirtualMacSender implements Service {
  readonly name = 'virtual-mac-sender';
  readonly #macAddress: Uint8Array;
  readonly #socket: FrameSocket;
  readonly #parent: () => Link | undefined;

  /** `parent` answers with the interface that carries the frames, as it is now. */
  constructor(
    options: { readonly macAddress: Uint8Array },
    dependencies: { native: PacketCalls; parent: () => Link | undefined },
  ) {
    this.#macAddress = options.macAddress;
    this.#socket = new FrameSocket(dependencies);
    this.#parent = dependencies.parent;
  }

  /** Throws OperatorError `NET_RAW_MISSING`, `PACKET_SOCKET_REFUSED`. */
  start(): Promise<void> {
    const parent = this.#parent();
    return new Promise((resolve) => {
      if (parent !== undefined) this.#socket.open(parent.index);
      resolve();
    });
  }

  stop(): Promise<void> {
    this.#socket.close();
    return Promise.resolve();
  }

  /** A whole IP packet to a multicast group, checksums included; at once. Why it did not leave, or undefined. */
  send(packet: Uint8Array): Refusal {
    const parent = this.#parent();
    if (parent === undefined) return 'ENODEV';
    const refusal = this.#socket.send(parent.index, encodeMulticastFrame(packet, this.#macAddress));
    return refusal === undefined ? undefined : errnoName(refusal);
  }
}
