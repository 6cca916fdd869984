/** What is used of the npm package raw-socket 1.8.1, which comes without types. */
import { createRequire } from 'node:module';
import { OperatorError } from '../../runtime/index.ts';

export type RawSocket = {
  on(event: 'message', listener: (message: Uint8Array, source: string) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'close', listener: () => void): void;
  /** setsockopt; throws what the kernel says. */
  setOption(level: number, option: number, value: number): void;
  setOption(level: number, option: number, value: Uint8Array, length: number): void;
  close(): void;
  readonly wrap: {
    /** sendto, at once; throws what the kernel says. After close() it would open another, unbound socket. */
    send(bytes: Uint8Array, offset: number, length: number, address: string, sent: (count: number) => void): void;
  };
};

type RawSocketModule = {
  /** Throws what the kernel says. `message` is a view of one buffer of `bufferSize`, used again for the next one. */
  createSocket(options: { readonly protocol: number; readonly bufferSize: number }): RawSocket;
};

/** Throws OperatorError `RAW_SOCKET_MISSING` when the package has not been built. */
export function loadRawSocket(): RawSocketModule {
  try {
    return createRequire(import.meta.url)('raw-socket') as RawSocketModule;
  } catch (cause) {
    throw new OperatorError('RAW_SOCKET_MISSING', 'the package raw-socket cannot be loaded', 'build it: make setup', {
      cause,
    });
  }
}
