/** The few socket options of the relay; numbers from the kernel's include/uapi. */
import type { Native } from '../../runtime/index.ts';

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_OOBINLINE = 10;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

// struct linger { int l_onoff; int l_linger; }: on, for no time.
const lingerNot = new Uint8Array(new Int32Array([1, 0]).buffer);
const errorValue = new Int32Array(1);
const errorBytes = new Uint8Array(errorValue.buffer);

/**
 * A relay sends what it has at once, and TCP's urgent byte stays in its place in the stream, where it would otherwise
 * be lost. Sockets accepted from a listener inherit both from it.
 */
export function setStreamOptions(native: Native, fd: number): void {
  native.setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  native.setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

/** Closes with RST instead of FIN: what is unsent or unread is thrown away, and nothing is left in TIME_WAIT. */
export function closeWithReset(native: Native, fd: number): void {
  native.setOption(fd, SOL_SOCKET, SO_LINGER, lingerNot);
  native.close(fd);
}

/** The socket's pending error as -errno, 0 if there is none; reading takes it away. */
export function takeSocketError(native: Native, fd: number): number {
  const result = native.getOption(fd, SOL_SOCKET, SO_ERROR, errorBytes);
  return result < 0 ? result : -(errorValue[0] ?? 0);
}
