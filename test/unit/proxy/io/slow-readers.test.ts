/** What readers that do not read cost: one buffer each, and nothing for the others. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  connectTo,
  exchange,
  serviceSpec,
  startEchoServer,
  startServer,
  turn,
  until,
  untilStalled,
  workerOptions,
} from './harness.ts';
import { startWorkerProcess } from './processes.ts';

const readerCount = 200;
const megabyte = 1024 * 1024;
/** More than the kernel's buffers of one connection hold. */
const streamBytes = 8 * megabyte;
/** Of V8 and the allocator, beside the buffers. */
const slackBytes = 32 * megabyte;

describe('200 readers that do not read', () => {
  it('cost a buffer each, hold up nobody else, and have missed nothing when they read again', async () => {
    const source = await startServer('source', (socket) => void offer(socket, streamBytes));
    const spec = serviceSpec({ servers: [source] });
    const worker = await startWorkerProcess(spec);
    const before = worker.residentBytes();
    const readers = Array.from({ length: readerCount }, () => connectTo(spec.address, spec.port).pause());
    await Promise.all(readers.map((reader) => once(reader, 'connect')));
    await untilStalled(() => worker.service().bytesOut);
    await until(() => worker.service().unsentBytes > readerCount * 1024);

    const boundBytes = readerCount * workerOptions.bufferBytes;
    expect(worker.service().connectionsCurrent).toBe(readerCount);
    expect(worker.service().unsentBytes).toBeLessThanOrEqual(boundBytes);
    expect(worker.residentBytes() - before).toBeLessThan(boundBytes + slackBytes);
    const received = await Promise.all(readers.map(countBytes));
    expect(new Set(received)).toEqual(new Set([streamBytes]));
    await until(() => worker.service().connectionsCurrent === 0);
    expect(worker.residentBytes() - before).toBeLessThan(boundBytes + slackBytes);
  }, 120_000);

  it('and as many senders to servers that do not read leave echoes as they are', async () => {
    const [deaf, echo] = [await startServer('deaf', (socket) => socket.pause()), await startEchoServer()];
    const spec = serviceSpec({ servers: [deaf, echo], balance: 'roundrobin' });
    const worker = await startWorkerProcess(spec);
    const before = worker.residentBytes();
    const clients = Array.from({ length: 2 * readerCount }, () => connectTo(spec.address, spec.port));
    await Promise.all(clients.map((client) => once(client, 'connect')));
    await until(() => worker.service().servers.every((server) => server.connectionsCurrent === readerCount));
    const answered = new Set<Socket>();
    for (const client of clients) client.once('data', () => answered.add(client)).write('x');
    await until(() => answered.size === readerCount);
    const senders = clients.filter((client) => !answered.has(client));
    for (const sender of senders) void offer(sender, streamBytes);
    await untilStalled(() => worker.service().bytesIn);

    for (const client of answered) {
      expect(await exchange(client, 'still there?')).toBe('still there?');
    }
    const boundBytes = readerCount * workerOptions.bufferBytes;
    expect(worker.service().unsentBytes).toBeLessThanOrEqual(boundBytes);
    expect(worker.residentBytes() - before).toBeLessThan(boundBytes + slackBytes);
  }, 120_000);
});

async function countBytes(reader: Socket): Promise<number> {
  let count = 0;
  reader.on('data', (bytes: Buffer) => (count += bytes.length));
  reader.resume();
  await once(reader, 'end');
  reader.end();
  return count;
}

/** Writes zeros until that many are written, never more than the socket takes. */
async function offer(socket: Socket, size: number): Promise<void> {
  const piece = Buffer.alloc(256 * 1024);
  for (let left = size; left > 0 && !socket.destroyed; left -= piece.length) {
    if (!socket.write(left < piece.length ? piece.subarray(0, left) : piece)) await once(socket, 'drain');
    else await turn();
  }
  socket.end();
}
