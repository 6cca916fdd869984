/**
 * One end of a connection, as a program of its own:
 *
 *   node end.ts listen|connect ADDRESS:PORT send-reset BYTES   sends zeros, waits until all are confirmed, sends RST
 *   node end.ts listen|connect ADDRESS:PORT send-on            sends zeros for ever
 *   node end.ts listen|connect ADDRESS:PORT read               reads to the end
 *
 * Prints a line of JSON when it is ready, when it is connected, and when the connection has ended: how many bytes came,
 * and "end" or the error's code.
 */
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { printJson } from './json-lines.ts';
import { readDelivery } from '../../src/proxy/io/socket-options.ts';
import { loadNative } from '../../src/runtime/index.ts';

const [how = '', target = '', mode = '', bytes = '0'] = process.argv.slice(2);
const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(target) ?? [];
const piece = Buffer.alloc(64 * 1024);

function start(socket: Socket): void {
  let received = 0;
  let error = 'end';
  socket.on('data', (chunk) => (received += chunk.length));
  socket.on('error', ({ code }: NodeJS.ErrnoException) => (error = code ?? 'unknown'));
  socket.on('close', () => void printJson({ event: 'ended', received, ending: error }).then(() => process.exit(0)));
  void printJson({ event: 'connected' });
  if (mode === 'send-reset') sendAndReset(socket, Number(bytes));
  else if (mode === 'send-on') sendOn(socket);
}

function sendAndReset(socket: Socket, length: number): void {
  socket.write(Buffer.alloc(length), () => {
    const native = loadNative();
    const descriptor = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
    const timer = setInterval(() => {
      if (!readDelivery(native, descriptor).isAllConfirmed) return;
      clearInterval(timer);
      socket.resetAndDestroy();
    }, 1);
  });
}

function sendOn(socket: Socket): void {
  while (!socket.destroyed && socket.write(piece));
  socket.once('drain', () => sendOn(socket));
}

if (how === 'connect') {
  const socket = connect({ host: address, port: Number(port) }, () => start(socket));
} else {
  const server = createServer(start);
  server.listen({ host: address, port: Number(port) }, () => void printJson({ event: 'ready' }));
}
