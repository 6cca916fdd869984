/**
 * The server behind the balancer, as tests need it: it says who it is, and checks or makes streams whose every byte
 * is known. One port speaks both HTTP/1.1 and lines; the first line decides.
 *
 *   who            answers its name and closes
 *   echo           answers its name, then returns every byte
 *   sink SEED      answers its name, swallows a stream, and answers its end with a line of JSON: what was wrong
 *   source SEED N  answers its name, then sends N bytes of the stream and closes
 *
 *   GET /who                       its name
 *   GET /file?bytes=N&seed=S       N bytes of the stream, as fast as they are read
 *   GET /sha256?bytes=N&seed=S     their SHA-256 in hexadecimal
 *
 * Lines on standard input change how it meets new connections: serve, refuse (nobody listens), hang (accepts and says
 * nothing), reset (accepts and resets).
 */

import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { printJson } from './json-lines.ts';
import { pattern } from './pattern.ts';
import { StreamChecker } from './stream-checker.ts';

export const behaviours = ['serve', 'refuse', 'hang', 'reset'] as const;
export type Behaviour = (typeof behaviours)[number];

export type TestServerOptions = {
  readonly name: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Default: every address of the host. */
  readonly address?: string;
  readonly behaviour?: Behaviour;
};

const commandBytesMax = 200;
const chunkBytes = 64 * 1024;

export class TestServer {
  readonly name: string;
  readonly #options: TestServerOptions;
  readonly #http: HttpServer;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;
  #port: number;
  #behaviour: Behaviour;
  #accepted = 0;

  constructor(options: TestServerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#port = options.port;
    this.#behaviour = options.behaviour ?? 'serve';
    this.#http = createHttpServer((request, response) => this.#answerHttp(request, response));
  }

  get port(): number {
    return this.#port;
  }

  /** Connections accepted since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  async start(): Promise<void> {
    if (this.#behaviour !== 'refuse') await this.#listen();
  }

  /** Ends with all connections, each reset. */
  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.resetAndDestroy();
    await this.#unlisten();
  }

  /** Holds for connections that come from now on; those that exist go on. */
  async setBehaviour(behaviour: Behaviour): Promise<void> {
    this.#behaviour = behaviour;
    if (behaviour === 'refuse') await this.#unlisten();
    else await this.#listen();
  }

  async #listen(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: this.#port, host: this.#options.address, backlog: 4096 }, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  async #unlisten(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    // Only the listening ends here: `close` calls back when the last connection has ended, which may take for ever.
    server?.close();
    await Promise.resolve();
  }

  #accept(socket: Socket): void {
    this.#accepted++;
    this.#connections.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    if (this.#behaviour === 'reset') socket.resetAndDestroy();
    else if (this.#behaviour === 'serve') this.#readCommand(socket);
  }

  #readCommand(socket: Socket): void {
    let head = Buffer.alloc(0);
    const onData = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes]);
      const end = head.indexOf(0x0a);
      if (end < 0 && head.length <= commandBytesMax) return;
      socket.off('data', onData).off('end', onEnd).pause();
      this.#perform(socket, head, end);
    };
    const onEnd = (): void => {
      socket.end();
    };
    socket.on('data', onData).on('end', onEnd);
  }

  #perform(socket: Socket, head: Buffer, end: number): void {
    const line = head.toString('latin1', 0, end < 0 ? 0 : end).trimEnd();
    const [command, seed = '0', bytes = '0'] = line.split(' ');
    const isHttp = /^(GET|HEAD|POST) /.test(line);
    socket.unshift(isHttp ? head : head.subarray(end + 1));
    if (isHttp) this.#http.emit('connection', socket);
    else if (command === 'who') socket.end(`${this.name}\n`);
    else if (command === 'echo') echo(socket, this.name);
    else if (command === 'sink') sink(socket, this.name, Number(seed));
    else if (command === 'source') source(socket, this.name, Number(seed), Number(bytes));
    else socket.end(`unknown command\n`);
    socket.resume();
  }

  #answerHttp(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://server');
    const seed = Number(url.searchParams.get('seed') ?? 0);
    const bytes = Number(url.searchParams.get('bytes') ?? 0);
    response.setHeader('x-server', this.name);
    if (url.pathname === '/who') {
      response.end(`${this.name}\n`);
    } else if (url.pathname === '/file') {
      response.setHeader('content-length', bytes);
      const file = patternStream(seed, bytes).on('error', () => response.destroy());
      response.on('close', () => file.destroy());
      file.pipe(response);
    } else if (url.pathname === '/sha256') {
      response.end(`${patternSha256(seed, bytes)}\n`);
    } else {
      response.writeHead(404).end('nothing here\n');
    }
  }
}

/** The SHA-256 of the stream's first bytes, in hexadecimal. */
export function patternSha256(seed: number, bytes: number): string {
  const hash = createHash('sha256');
  for (const chunk of patternChunks(seed, bytes)) hash.update(chunk);
  return hash.digest('hex');
}

function echo(socket: Socket, name: string): void {
  socket.write(`${name}\n`);
  socket.pipe(socket);
}

function sink(socket: Socket, name: string, seed: number): void {
  const checker = new StreamChecker(seed);
  socket.write(`${name}\n`);
  socket.on('data', (bytes: Buffer) => checker.push(bytes));
  socket.on('end', () => {
    const faults = checker.finish();
    socket.end(`${JSON.stringify({ received: checker.received, verified: checker.verified, faults })}\n`);
  });
}

function source(socket: Socket, name: string, seed: number, bytes: number): void {
  socket.write(`${name}\n`);
  patternStream(seed, bytes).pipe(socket);
}

function patternStream(seed: number, bytes: number): Readable {
  return Readable.from(patternChunks(seed, bytes), { objectMode: false, highWaterMark: chunkBytes });
}

function* patternChunks(seed: number, bytes: number): Generator<Uint8Array> {
  for (let offset = 0; offset < bytes; offset += chunkBytes) {
    yield pattern(seed, offset, Math.min(chunkBytes, bytes - offset));
  }
}

function isBehaviour(text: string): text is Behaviour {
  return behaviours.some((behaviour) => behaviour === text);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      name: { type: 'string', default: 'server' },
      port: { type: 'string', default: '8080' },
      address: { type: 'string' },
      behaviour: { type: 'string', default: 'serve' },
    },
  });
  if (!isBehaviour(values.behaviour)) throw new Error(`--behaviour is one of ${behaviours.join(', ')}`);
  const server = new TestServer({
    name: values.name,
    port: Number(values.port),
    behaviour: values.behaviour,
    ...(values.address === undefined ? {} : { address: values.address }),
  });
  await server.start();
  await printJson({ event: 'listening', name: server.name, port: server.port });
  for await (const line of createInterface({ input: process.stdin })) {
    if (!isBehaviour(line)) continue;
    await server.setBehaviour(line);
    await printJson({ event: 'behaviour', behaviour: line });
  }
  // Whoever started this server is gone.
  process.exit(0);
}

if (import.meta.main) await main();
