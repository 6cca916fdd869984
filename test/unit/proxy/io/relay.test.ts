import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { seededRandom, systemClock } from '../../../../src/runtime/index.ts';
import type { Native } from '../../../../src/runtime/index.ts';
import {
  SocketTestClock,
  native,
  startEchoServer,
  startProxy,
  startServer,
  until,
  untilStalled,
  workerOptions,
} from './harness.ts';

const megabyte = 1024 * 1024;

describe('relaying', () => {
  it.each([0, 1, 1000, 65_536, 65_537, 10 * megabyte])(
    'brings %i bytes there and others back, each stream whole and in order, at the same time',
    async (size) => {
      const toServer = randomBytes(size, 1);
      const toClient = randomBytes(size, 2);
      let atServer: Promise<string> | undefined;
      const server = await startServer('s1', (socket) => {
        atServer = digestOf(socket);
        writeInPieces(socket, toClient, 3);
      });
      const proxy = await startProxy([server]);
      const client = proxy.connect();
      writeInPieces(client, toServer, 4);
      expect(await digestOf(client)).toBe(digest(toClient));
      await until(() => atServer !== undefined);
      expect(await atServer).toBe(digest(toServer));
      await until(() => proxy.service().connectionsCurrent === 0);
      expect(proxy.service()).toMatchObject({
        connectionsTotal: 1,
        bytesIn: size,
        bytesOut: size,
        unsentBytes: 0,
        ended: { completed: 1 },
      });
    },
  );

  it('works with a buffer of one byte', async () => {
    const proxy = await startProxy([await startEchoServer()], { options: { bufferBytes: 1 } });
    const client = proxy.connect();
    const sent = randomBytes(3000, 5);
    client.end(sent);
    expect(await digestOf(client)).toBe(digest(sent));
  });

  it('serves many connections at once without mixing them up', async () => {
    const proxy = await startProxy([await startEchoServer('a'), await startEchoServer('b')]);
    const checks = Array.from({ length: 100 }, async (_, index) => {
      const client = proxy.connect();
      const sent = randomBytes(20_000 + index, 100 + index);
      writeInPieces(client, sent, index);
      expect(await digestOf(client)).toBe(digest(sent));
    });
    await Promise.all(checks);
    expect(proxy.service().servers.map((server) => server.connectionsTotal)).toEqual([50, 50]);
  });
});

describe('a slow reader', () => {
  it('costs one buffer in user space and no memory that grows, and misses nothing in the end', async () => {
    const offered = 200 * megabyte;
    const server = await startServer('s1', (socket) => void offer(socket, offered));
    const proxy = await startProxy([server]);
    const residentBefore = process.memoryUsage().rss;
    const client = proxy.connect();
    client.pause();
    await until(() => proxy.service().unsentBytes > 0);
    await untilStalled(() => proxy.service().bytesOut);
    expect(proxy.service().unsentBytes).toBeLessThanOrEqual(workerOptions.bufferBytes);
    expect(proxy.service().bytesOut).toBeLessThan(offered / 2);
    expect(process.memoryUsage().rss - residentBefore).toBeLessThan(48 * megabyte);
    let received = 0;
    client.on('data', (chunk: Buffer) => (received += chunk.length));
    client.resume();
    await once(client, 'end');
    expect(received).toBe(offered);
  });

  it('gets what was kept for it unharmed by the traffic of others meanwhile', async () => {
    const stream = randomBytes(20 * megabyte, 8);
    const slow = await startServer('slow', (socket) => void socket.end(stream));
    const proxy = await startProxy([slow, await startEchoServer()]);
    const client = proxy.connect();
    client.pause();
    await until(() => proxy.service().unsentBytes > 0);
    const other = proxy.connect();
    other.end(randomBytes(megabyte, 9));
    await digestOf(other);
    expect(proxy.service().unsentBytes).toBeGreaterThan(0);
    expect(await digestOf(client)).toBe(digest(stream));
  });
});

describe('fairness', () => {
  it('reads no side more often in one turn than agreed, however much there is', async () => {
    const meter = new ReadMeter();
    const server = await startServer('s1', (socket) => void offer(socket, 30 * megabyte));
    const options = { bufferBytes: 4096, readsPerTurn: 2 };
    const proxy = await startProxy([server], { options, native: meter.native, clock: meter.clock });
    await Promise.all(
      [1, 2].map(async () => {
        const client = proxy.connect();
        client.resume();
        await once(client, 'end');
      }),
    );
    // Once for its own event, once because the other side became writable.
    expect(meter.readsInOneTurnMax).toBeLessThanOrEqual(2 * options.readsPerTurn);
    expect(proxy.service().bytesOut).toBe(60 * megabyte);
  });
});

/** Counts the successful reads of each descriptor between two turns. */
class ReadMeter {
  readsInOneTurnMax = 0;
  readonly native: Native;
  readonly clock: SocketTestClock;
  readonly #reads = new Map<number, number>();

  constructor() {
    this.native = {
      ...native,
      pollerOpen: (ready, callback) => native.pollerOpen(ready, (count) => this.#inTurn(() => callback(count))),
      receive: (fd, bytes, offset, length) => {
        const received = native.receive(fd, bytes, offset, length);
        if (received > 0) this.#count(fd);
        return received;
      },
    };
    this.clock = new SocketTestClock();
    this.clock.afterPoll = (callback) => systemClock.afterPoll(() => this.#inTurn(callback));
  }

  #inTurn(callback: () => void): void {
    this.#reads.clear();
    callback();
  }

  #count(fd: number): void {
    const reads = (this.#reads.get(fd) ?? 0) + 1;
    this.#reads.set(fd, reads);
    this.readsInOneTurnMax = Math.max(this.readsInOneTurnMax, reads);
  }
}

function randomBytes(size: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = random.next() * 256;
  return bytes;
}

/** Sizes as the seed wants them, then FIN. */
function writeInPieces(socket: Socket, bytes: Buffer, seed: number): void {
  const random = seededRandom(seed);
  for (let offset = 0; offset < bytes.length;) {
    const size = 1 + Math.floor(random.next() ** 4 * 300_000);
    socket.write(bytes.subarray(offset, offset + size));
    offset += size;
  }
  socket.end();
}

/** Writes zeros until that many are written, never more than the socket takes. */
async function offer(socket: Socket, size: number): Promise<void> {
  const piece = Buffer.alloc(256 * 1024);
  for (let left = size; left > 0; left -= piece.length) {
    if (!socket.write(left < piece.length ? piece.subarray(0, left) : piece)) await once(socket, 'drain');
  }
  socket.end();
}

async function digestOf(socket: Socket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  socket.resume();
  await once(socket, 'end');
  return hash.digest('hex');
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
