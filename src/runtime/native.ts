import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { OperatorError } from './operator-error.ts';

/** An epoll instance of the addon; opaque. */
export type PollerHandle = { readonly __poller: never };

/**
 * The addon: Linux calls as thin as in libc (see native/). Every function answers with its result (>= 0) or with
 * -errno; none throws for what the kernel refuses. Descriptors are non-blocking and close-on-exec.
 */
export type Native = {
  /**
   * A listening socket with SO_REUSEPORT and IP_FREEBIND: the address need not be this host's (yet). Connections can be
   * reset after it has left (IP_TRANSPARENT, where that is permitted).
   */
  tcpListen(address: string, port: number, backlog: number): number;
  /** A socket that is connecting; from `source` if given, whose port is chosen at connect when `sourcePort` is 0. */
  tcpConnect(address: string, port: number, source: string | undefined, sourcePort: number): number;
  /** Accepts one connection; `endpoint` (20 bytes) gets the client's address, see `readEndpoint`. */
  accept(listener: number, endpoint: Uint8Array): number;
  localName(fd: number, endpoint: Uint8Array): number;
  remoteName(fd: number, endpoint: Uint8Array): number;
  /** Bytes read into `bytes` at `offset`; 0 at the end of the stream. */
  receive(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  /** The same, and the bytes stay in the kernel: the next call finds them again. */
  peek(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  /** Bytes that the kernel took. */
  send(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  /** Sends FIN; reading goes on. */
  shutdownWrite(fd: number): number;
  close(fd: number): number;
  setOption(fd: number, level: number, option: number, value: number | Uint8Array): number;
  /** How many bytes of the option the kernel wrote into `value`. */
  getOption(fd: number, level: number, option: number, value: Uint8Array): number;
  /** Lets a classic BPF program pick the socket of a listener's SO_REUSEPORT group, in place of the one before. */
  steerListeners(fd: number, program: Uint8Array): number;
  /** A socket that sends whole Ethernet frames out of an interface (AF_PACKET); it receives nothing. */
  packetOpen(interfaceIndex: number): number;
  /** A netlink socket (AF_NETLINK); what is sent goes to the kernel. */
  netlinkOpen(protocol: number): number;
  /** A raw IP socket of protocol `protocol`. Needs CAP_NET_RAW. */
  rawOpen(family: 4 | 6, protocol: number): number;
  /** Sends one datagram to an address, "192.0.2.1" or "2001:db8::1"; bytes that the kernel took. */
  sendTo(fd: number, bytes: Uint8Array, address: string): number;
  /**
   * Receives one packet from a raw IPv6 socket and puts the header back that the kernel has taken off: the length of
   * both in `bytes` (40..65575 long). Hop limit and destination are there with IPV6_RECVHOPLIMIT and IPV6_RECVPKTINFO.
   */
  receiveIpv6(fd: number, bytes: Uint8Array): number;
  /**
   * An epoll instance in Node's event loop. Once per turn, when anything is ready, `ready` is filled with pairs
   * (id, events) and the callback gets their number. Level-triggered unless EPOLLET is asked for.
   */
  pollerOpen(ready: Int32Array, callback: (count: number) => void): PollerHandle | number;
  pollerAdd(poller: PollerHandle, fd: number, events: number, id: number): number;
  pollerModify(poller: PollerHandle, fd: number, events: number, id: number): number;
  pollerRemove(poller: PollerHandle, fd: number): number;
  pollerClose(poller: PollerHandle): number;
  /** A timer of the kernel; readable when the time that was set is over. */
  timerOpen(): number;
  /** Sets the one time of a timer, from now on, in whole microseconds; 0: none. It is not readable until then. */
  timerSet(fd: number, delayUs: number): number;
  /** SCHED_FIFO for the calling process's main thread, 1..99; not inherited. Needs CAP_SYS_NICE. */
  scheduleFifo(priority: number): number;
  /** Keeps code, libraries, stack and malloc's heap in memory, but not V8's: see process.c. Needs CAP_IPC_LOCK. */
  lockMemory(): number;
  /**
   * Leaves every thread no more than the capabilities of the mask (bits 0..31); `isFinal` (1 or 0): of what is given up
   * nothing can be had again, by starting a program either. -ETIMEDOUT: a thread blocks all signals.
   */
  limitCapabilities(mask: number, isFinal: number): number;
  /** The number of a group of this host; -ENOENT if there is none of that name. */
  groupId(name: string): number;
  /** A memory file without a name, all zeros, for processes that inherit it; pages that nobody touches cost nothing. */
  memoryOpen(bytes: number): number;
  /** The file's bytes as this process's memory, shared with every other one that maps it. */
  memoryMap(fd: number, bytes: number): ArrayBuffer | number;
  /** Adds to a cell of shared memory, atomically, and answers its new value. */
  cellAdd(cells: Int32Array, index: number, amount: number): number;
  cellSet(cells: Int32Array, index: number, value: number): number;
  /**
   * Adds one to the cell `own` unless the sum of `count` cells, every `step`th from `first` on, with it among them,
   * would then be above the limit: answers the new sum, or 0. Exact, however many processes do so at once.
   */
  cellAcquire(cells: Int32Array, own: number, first: number, step: number, count: number, limit: number): number;
  /** A descriptor that is readable after it was signalled (eventfd). */
  eventOpen(): number;
  eventSignal(fd: number): number;
  /** Takes all signals at once. */
  eventTake(fd: number): number;
};

let loaded: Native | undefined;

/** Loads the addon once. Throws OperatorError `NATIVE_MISSING` when it has not been built. */
export function loadNative(): Native {
  const path = new URL('../../native/build/tandem.node', import.meta.url).pathname;
  try {
    loaded ??= createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    throw new OperatorError('NATIVE_MISSING', `the native addon ${path} cannot be loaded`, 'build it: make setup', {
      cause,
    });
  }
  return loaded;
}

/** "EADDRINUSE" for a negative result of a native call. */
export function errnoName(result: number): string {
  return getSystemErrorName(result);
}

/** Errors that the relay and the listeners tell apart, negative as the addon answers them. */
export const errno = {
  again: -constants.errno.EAGAIN,
  interrupted: -constants.errno.EINTR,
  tooManyFilesProcess: -constants.errno.EMFILE,
  tooManyFilesSystem: -23, // ENFILE
  addressInUse: -constants.errno.EADDRINUSE,
  notPermitted: -constants.errno.EPERM,
  accessDenied: -constants.errno.EACCES,
  noEntry: -constants.errno.ENOENT,
} as const;

/** epoll_event.events, from the kernel's include/uapi/linux/eventpoll.h. */
export const epoll = {
  in: 0x001,
  out: 0x004,
  error: 0x008,
  hangUp: 0x010,
  readHangUp: 0x2000,
  /** EPOLLET: told once per change, not as long as it is so. */
  edgeTriggered: -0x8000_0000,
} as const;
