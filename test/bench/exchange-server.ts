/**
 * The server of the bench `connections`: answers each request of every connection, on epoll as the proxy itself, since
 * a server that is slower than what stands before it would be what is measured.
 *
 *   node exchange-server.ts ADDRESS PORT
 */

import { epoll, errno, errnoName, loadNative } from '../../src/runtime/index.ts';
import { Poller, streamEvents } from '../../src/proxy/io/poller.ts';
import type { PollerTarget } from '../../src/proxy/io/poller.ts';
import { closeWithReset, setStreamOptions } from '../../src/proxy/io/socket-options.ts';
import { printJson } from '../lab/json-lines.ts';
import { cutMessages, makeMessage, numberIn, requestBytes, responseBytes } from './exchange.ts';

const backlog = 4096;
const native = loadNative();
const poller = new Poller({ native });
const endpoint = new Uint8Array(20);
/** Of all connections, one after the other. */
const received = new Uint8Array(64 * 1024);

class Answering implements PollerTarget {
  readonly #fd: number;
  readonly #pollerId: number;
  #rest: Uint8Array | undefined;

  constructor(fd: number) {
    this.#fd = fd;
    this.#pollerId = poller.add(fd, streamEvents, this);
  }

  onReady(): void {
    for (;;) {
      const count = native.receive(this.#fd, received, 0, received.length);
      if (count === errno.again) return;
      if (count <= 0 || !this.#answer(received.subarray(0, count))) {
        this.#close();
        return;
      }
    }
  }

  /** False if a response was not taken whole: so many are never under way that the socket's buffer could be full. */
  #answer(bytes: Uint8Array): boolean {
    const { messages, rest } = cutMessages(this.#rest, bytes, requestBytes);
    this.#rest = rest;
    return messages.every((request) => {
      const response = makeMessage(responseBytes, numberIn(request));
      return native.send(this.#fd, response, 0, response.length) === response.length;
    });
  }

  #close(): void {
    poller.release(this.#pollerId);
    closeWithReset(native, this.#fd);
  }
}

function acceptAll(listener: number): void {
  for (;;) {
    const fd = native.accept(listener, endpoint);
    if (fd === errno.again) return;
    if (fd < 0) throw new Error(`accept: ${errnoName(fd)}`);
    // What has come until now is not announced any more where events are told once.
    new Answering(fd).onReady();
  }
}

async function main([address = '', port = '']: readonly string[]): Promise<void> {
  poller.open();
  const listener = native.tcpListen(address, Number(port), backlog);
  if (listener < 0) throw new Error(`${address}:${port}: ${errnoName(listener)}`);
  setStreamOptions(native, listener, { noDelay: true });
  poller.add(listener, epoll.in, { onReady: () => acceptAll(listener) });
  await printJson({ event: 'listening' });
  // Whoever started this server is gone when its standard input ends.
  process.stdin.on('end', () => process.exit(0)).resume();
}

await main(process.argv.slice(2));
