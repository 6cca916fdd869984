/** VRRP on a network interface: IPv4 packets of protocol 112 through a raw socket. Needs CAP_NET_RAW. */
import { endianness } from 'node:os';
import type { Result } from '../../base/index.ts';
import { assert, fail, formatIp, ok, viewOf } from '../../base/index.ts';
import { authDataLength, trailerLength, vrrpGroupIpv4, vrrpProtocol } from '../index.ts';
import { deviceName, interfaceIndex, openFailure } from './interface.ts';
import type { RawSocket } from './raw-socket.ts';
import { loadRawSocket } from './raw-socket.ts';
import type { SendFailure, Transport, TransportOptions } from './transport.ts';

/** From the kernel's include/uapi/linux/in.h and include/uapi/asm-generic/socket.h. */
const socketLevel = { socket: 1, ip: 0 } as const;
const socketOption = {
  bindToDevice: 25,
  headerIncluded: 3,
  multicastInterface: 32,
  multicastLoop: 34,
  addMembership: 35,
  multicastAll: 49,
} as const;

/**
 * The largest advert: an IP header with all options, 255 addresses, version 2's authentication data, and a seal. What
 * is longer is cut, and dropped as such.
 */
const packetBytesMax = 60 + 8 + 255 * 4 + authDataLength + trailerLength;

export class RawTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #listeners = new Set<(packet: Uint8Array) => void>();
  #socket: RawSocket | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket = this.#open();
      resolve();
    });
  }

  stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    return Promise.resolve();
  }

  /**
   * Past the package's own queue, on purpose. That one sends when the socket is polled writable and not readable, so a
   * flood of packets would keep our adverts back, and close() would lose a goodbye that still waits in it.
   */
  send(packet: Uint8Array, destination: Uint8Array): Result<void, SendFailure> {
    if (this.#socket === undefined) return fail('stopped');
    try {
      this.#socket.wrap.send(packet, 0, packet.length, formatIp(destination), () => undefined);
      return ok(undefined);
    } catch (error) {
      return fail(failureName(messageOf(error)));
    }
  }

  subscribe(listener: (packet: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #open(): RawSocket {
    const index = interfaceIndex(this.#options.interfaceName);
    const socket = openSocket();
    try {
      configure(socket, this.#options, index);
    } catch (cause) {
      socket.close();
      const failure = failureName(messageOf(cause));
      throw openFailure(`VRRP cannot use the interface ${this.#options.interfaceName}`, failure, cause);
    }
    socket.on('message', (message) => this.#onMessage(message));
    // Errors of reception pass (memory is short, the link is down), and the link is watched elsewhere.
    socket.on('error', () => undefined);
    // After an error of polling the package closes the socket by itself. Deaf, this node would soon believe that it is
    // alone: better to end, and be started anew.
    socket.on('close', () => assert(this.#socket !== socket, 'the raw socket is closed by stop() alone'));
    return socket;
  }

  #onMessage(message: Uint8Array): void {
    if (this.#socket === undefined) return;
    for (const listener of this.#listeners) listener(Uint8Array.from(message));
  }
}

function openSocket(): RawSocket {
  const rawSocket = loadRawSocket();
  try {
    return rawSocket.createSocket({ protocol: vrrpProtocol, bufferSize: packetBytesMax });
  } catch (cause) {
    throw openFailure('VRRP cannot open a raw socket', failureName(messageOf(cause)), cause);
  }
}

function configure(socket: RawSocket, { interfaceName, isMulticast }: TransportOptions, index: number): void {
  const { socket: solSocket, ip: solIp } = socketLevel;
  const device = deviceName(interfaceName);
  socket.setOption(solSocket, socketOption.bindToDevice, device, device.length);
  // The IP header is ours: its source must be the address that the peer knows us by, also next to virtual ones.
  socket.setOption(solIp, socketOption.headerIncluded, 1);
  socket.setOption(solIp, socketOption.multicastLoop, 0);
  // Without this the socket would hear every group that any process on this host has joined.
  socket.setOption(solIp, socketOption.multicastAll, 0);
  if (!isMulticast) return;
  const request = multicastRequest(index);
  socket.setOption(solIp, socketOption.addMembership, request, request.length);
  socket.setOption(solIp, socketOption.multicastInterface, request, request.length);
}

/** struct ip_mreqn: the group, an address (0: the index counts), the index in the machine's own byte order. */
function multicastRequest(index: number): Uint8Array {
  const request = new Uint8Array(12);
  request.set(vrrpGroupIpv4, 0);
  viewOf(request).setInt32(8, index, endianness() === 'LE');
  return request;
}

/** The package throws strerror's text alone. These are the errors that sending an advert can meet. */
const failureNames: Readonly<Record<string, SendFailure>> = {
  'Operation not permitted': 'EPERM',
  'Permission denied': 'EACCES',
  'Network is down': 'ENETDOWN',
  'Network is unreachable': 'ENETUNREACH',
  'No route to host': 'EHOSTUNREACH',
  'No buffer space available': 'ENOBUFS',
  'Resource temporarily unavailable': 'EAGAIN',
  'No such device': 'ENODEV',
  'No such device or address': 'ENXIO',
  'Message too long': 'EMSGSIZE',
};

function failureName(message: string): SendFailure {
  return failureNames[message] ?? message;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
