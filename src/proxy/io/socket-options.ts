/** The few socket options of the relay; numbers from the kernel's include/uapi. */
import { errno } from '../../runtime/index.ts';
import type { TcpOptions } from '../index.ts';
import type { Native } from '../../runtime/index.ts';

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_KEEPALIVE = 9;
const SO_OOBINLINE = 10;
const SO_LINGER = 13;
const SO_RCVLOWAT = 18;
const SO_DETACH_REUSEPORT_BPF = 68;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_INFO = 11;
const TCP_USER_TIMEOUT = 18;

// struct linger { int l_onoff; int l_linger; }: on, for no time.
const lingerNot = new Uint8Array(new Int32Array([1, 0]).buffer);
// struct tcp_info of include/uapi/linux/tcp.h, as far as it is looked at; in 32-bit words.
const infoWords = new Uint32Array(38);
const infoBytes = new Uint8Array(infoWords.buffer);
const tcpiUnacked = 24 / 4;
const tcpiBytesAcked = 120 / 4;
const tcpiNotsentBytes = 144 / 4;
const errorValue = new Int32Array(1);
const errorBytes = new Uint8Array(errorValue.buffer);

/**
 * What matters from the first byte on. TCP's urgent byte stays in its place in the stream, where it would otherwise be
 * lost. Sockets accepted from a listener inherit this and all the other options from it.
 */
export function setStreamOptions(native: Native, fd: number, { noDelay }: Pick<TcpOptions, 'noDelay'>): void {
  native.setOption(fd, IPPROTO_TCP, TCP_NODELAY, noDelay ? 1 : 0);
  native.setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

/** By which the kernel notices that a peer has vanished: what matters to connections that last. */
export function setVigilance(native: Native, fd: number, { keepalive, userTimeoutMs }: TcpOptions): void {
  native.setOption(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive === undefined ? 0 : 1);
  native.setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, userTimeoutMs);
  if (keepalive === undefined) return;
  native.setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, keepalive.idleS);
  native.setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, keepalive.intervalS);
  native.setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive.count);
}

/** Closes with RST instead of FIN: what is unsent or unread is thrown away, and nothing is left in TIME_WAIT. */
export function closeWithReset(native: Native, fd: number): void {
  native.setOption(fd, SOL_SOCKET, SO_LINGER, lingerNot);
  native.close(fd);
}

/** Fewer bytes than these make no event; FIN and errors always do. 1 is what every socket begins with. */
export function wakeAt(native: Native, fd: number, bytes: number): void {
  native.setOption(fd, SOL_SOCKET, SO_RCVLOWAT, bytes);
}

/** Takes away what `steerListeners` has set for a group: 0, or -errno. Another worker may have done so: no failure. */
export function steerNoMore(native: Native, fd: number): number {
  const result = native.setOption(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0);
  return result === errno.noEntry ? 0 : result;
}

/** The socket's pending error as -errno, 0 if there is none; reading takes it away. */
export function takeSocketError(native: Native, fd: number): number {
  const result = native.getOption(fd, SOL_SOCKET, SO_ERROR, errorBytes);
  return result < 0 ? result : -(errorValue[0] ?? 0);
}

/**
 * What the socket's peer has confirmed: bytes since the connection began (modulo 2^32, to compare), and whether that is
 * all that was written. A FIN counts as written.
 */
export function readDelivery(native: Native, fd: number): { confirmedBytes: number; isAllConfirmed: boolean } {
  if (native.getOption(fd, IPPROTO_TCP, TCP_INFO, infoBytes) < 0) return { confirmedBytes: 0, isAllConfirmed: true };
  return {
    confirmedBytes: infoWords[tcpiBytesAcked] ?? 0,
    isAllConfirmed: infoWords[tcpiUnacked] === 0 && infoWords[tcpiNotsentBytes] === 0,
  };
}
