import type { Result } from '../../base/index.ts';

/** Why a packet did not leave: errno's name as far as it is known ("EPERM"), otherwise the kernel's words. */
export type SendFailure = string;

export type TransportOptions = {
  readonly interfaceName: string;
  /** False for unicast: the group is then not joined. */
  readonly isMulticast: boolean;
};

/**
 * Carries whole IP packets of one family between the VRRP routers of one LAN. `RawTransport` (IPv4) and `Ipv6Transport`
 * are a network interface, `MemoryLan` is the fake of both. One may serve several virtual routers: each subscribes, and
 * picks its own packets.
 */
export type Transport = {
  /** Throws OperatorError when the interface or the privilege is missing. */
  start(): Promise<void>;
  /** Nothing is received or sent any more. */
  stop(): Promise<void>;
  /**
   * Hands the packet, header included, to the network before it returns, so that what is sent last is not lost when
   * the process ends. Multicast goes to all members but not back to the sender.
   */
  send(packet: Uint8Array, destination: Uint8Array): Result<void, SendFailure>;
  /**
   * Every packet that comes in, each in bytes of its own. Returns how to end it.
   */
  subscribe(listener: (packet: Uint8Array) => void): () => void;
};
