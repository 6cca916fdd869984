import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { formatEndpoint } from '../../base/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import { Admission } from '../index.ts';
import { handshakeFailure, serverPskOptions } from './psk.ts';
import type { SyncKeys } from './psk.ts';

export type ListenerOptions = {
  readonly selfAddress: string;
  readonly peerAddress: string;
  readonly port: number;
  readonly keys: SyncKeys;
};

export type ListenerDependencies = {
  readonly clock: Clock;
  /** A connection with its handshake done; it counts as half-open until `greeted`, or until it closes. */
  readonly onSocket: (socket: TLSSocket) => void;
  /** A connection was turned away before its handshake or failed in it. */
  readonly onTurnedAway: (reason: string) => void;
};

/** Listens on this node's sync address, for the peer alone. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #dependencies: ListenerDependencies;
  readonly #admission: Admission;
  readonly #server: Server;
  /** Without a port of its own; another one for other keys. */
  #tlsServer: TlsServer;
  readonly #sockets = new Set<Socket>();
  /** The peer's ports of connections that are not through with handshake and greeting. */
  readonly #halfOpen = new Set<number | undefined>();

  constructor(options: ListenerOptions, dependencies: ListenerDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#admission = new Admission(options.peerAddress);
    this.#server = createServer({ noDelay: true });
    this.#tlsServer = this.#createTlsServer(options.keys);
  }

  /** The port that is listened on, once started. */
  get port(): number | undefined {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : undefined;
  }

  /** Throws OperatorError when the address cannot be listened on. */
  async start(): Promise<void> {
    this.#server.on('connection', (socket) => this.#admit(socket));
    await listen(this.#server, this.#options.selfAddress, this.#options.port);
  }

  /** Stops listening and drops connections in their handshake; greeted ones are the caller's. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) if (this.#halfOpen.has(socket.remotePort)) socket.destroy();
    await closed;
  }

  /** For the handshakes to come. */
  setKeys(keys: SyncKeys): void {
    this.#tlsServer = this.#createTlsServer(keys);
  }

  /** The connection has been accepted as the peer's. */
  greeted(socket: TLSSocket): void {
    this.#halfOpen.delete(socket.remotePort);
  }

  #createTlsServer(keys: SyncKeys): TlsServer {
    const server = createTlsServer(serverPskOptions(keys));
    server.on('secureConnection', (socket) => this.#dependencies.onSocket(socket));
    server.on('tlsClientError', (error, socket) => {
      // Node leaves a socket whose handshake failed or took too long to whoever listens here.
      socket.destroy();
      this.#dependencies.onTurnedAway(handshakeFailure(error));
    });
    return server;
  }

  #admit(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    // It may break at any time; then it closes, and that is all that matters here.
    socket.on('error', () => undefined);
    const refusal = this.#admission.refusalOf(remoteAddress, this.#halfOpen.size, this.#dependencies.clock.nowMs());
    if (refusal !== undefined) {
      socket.destroy();
      this.#dependencies.onTurnedAway(refusal);
      return;
    }
    this.#sockets.add(socket);
    this.#halfOpen.add(remotePort);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#halfOpen.delete(remotePort);
    });
    // The documented way to give a TLS server connections that somebody else accepted.
    this.#tlsServer.emit('connection', socket);
  }
}

/**
 * Throws OperatorError unless the address is this host's. The dialing node would otherwise only see connections fail,
 * again and again, with a reason that looks like the network's.
 */
export async function requireLocalAddress(address: string): Promise<void> {
  const server = createServer();
  await listen(server, address, 0);
  await new Promise((resolve) => server.close(resolve));
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen({ host, port }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): OperatorError {
  const endpoint = formatEndpoint(host, port);
  switch (cause.code) {
    case 'EADDRNOTAVAIL':
      return new OperatorError(
        'SYNC_ADDRESS_MISSING',
        `the sync address ${host} is not on this host`,
        "add it to an interface, or correct the node's address in the configuration",
        { cause },
      );
    case 'EADDRINUSE':
      return new OperatorError(
        'SYNC_PORT_IN_USE',
        `another program listens on the sync port ${endpoint}`,
        'stop it, or give both nodes another sync port',
        { cause },
      );
    default:
      return new OperatorError(
        'SYNC_LISTEN_FAILED',
        `cannot listen on the sync port ${endpoint}: ${cause.code ?? cause.message}`,
        'check the address, the port and the permissions',
        { cause },
      );
  }
}
