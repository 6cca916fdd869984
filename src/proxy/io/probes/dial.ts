/** The connection of a probe that talks: TCP, and TLS in it where the check wants so. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../../../runtime/index.ts';
import { encodeProxyHeader } from '../../index.ts';
import type { ProbeTls } from '../../index.ts';
import type { ProbeTarget } from './probe.ts';

export type Dialed = {
  readonly stream: Socket;
  /** The same, where it speaks TLS. */
  readonly tls: TLSSocket | undefined;
  /** Ends it with RST, so that neither side keeps a TIME_WAIT; once is enough. */
  close(): void;
};

/** The error's short name: "ECONNREFUSED", "CERT_HAS_EXPIRED". */
export function errorName(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.message;
}

/** Dials for one check, whose certificates are read once. Throws the file system's errors and OpenSSL's. */
export function dialer(tls: ProbeTls | undefined, { clock }: { clock: Clock }): (target: ProbeTarget) => Dialed {
  let context: SecureContext | undefined;
  return (target) => {
    if (tls !== undefined) {
      context ??= createSecureContext(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) });
    }
    const socket = connect({
      host: target.address,
      port: target.port,
      noDelay: true,
      ...(target.source === undefined ? {} : { localAddress: target.source }),
    });
    // Whoever asked has its outcome before it closes; what comes after that concerns nobody.
    socket.on('error', () => undefined);
    // Waits in the socket until it is connected, and so goes before all that is said later on.
    if (target.sendProxy !== undefined) socket.write(encodeProxyHeader(target.sendProxy, undefined));
    if (tls === undefined || context === undefined) {
      return { stream: socket, tls: undefined, close: () => reset(socket) };
    }
    const stream = secure(socket, target, tls, context);
    // The last message of the handshake leaves in this turn: the server shall not take it for a failed one.
    return { stream, tls: stream, close: () => void clock.afterPoll(() => reset(socket)) };
  };
}

function secure(socket: Socket, { address }: ProbeTarget, tls: ProbeTls, context: SecureContext): TLSSocket {
  const stream = connectTls({
    socket,
    secureContext: context,
    // What the certificate is verified for if no name is asked for.
    host: address,
    servername: tls.sni ?? '',
    rejectUnauthorized: tls.verify,
  });
  stream.on('error', () => undefined);
  socket.on('error', (error) => stream.destroy(error));
  return stream;
}

function reset(socket: Socket): void {
  if (socket.destroyed) return;
  // One that is still connecting would be reset only when it is connected.
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}
