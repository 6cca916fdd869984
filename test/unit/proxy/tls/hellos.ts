/** ClientHellos to order, and those of the real TLS client of this Node. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { concatBytes } from '../../../../src/base/index.ts';

export type Extension = readonly [type: number, data: Uint8Array];

/** The message, without records. */
export function helloMessage(extensions: readonly Extension[] | undefined): Uint8Array {
  const list = extensions?.map(([type, data]) => concatBytes(uint16(type), vector16(data))) ?? [];
  const body = concatBytes(
    Uint8Array.of(3, 3),
    new Uint8Array(32).fill(7),
    Uint8Array.of(0),
    vector16(Uint8Array.of(0x13, 0x01, 0x0a, 0x0a)),
    Uint8Array.of(1, 0),
    extensions === undefined ? new Uint8Array() : vector16(concatBytes(...list)),
  );
  return concatBytes(Uint8Array.of(1, 0), uint16(body.length), body);
}

export function serverName(name: string): Extension {
  return [0, vector16(concatBytes(Uint8Array.of(0), vector16(ascii(name))))];
}

export function alpn(...protocols: readonly string[]): Extension {
  return [16, vector16(concatBytes(...protocols.map((one) => concatBytes(Uint8Array.of(one.length), ascii(one)))))];
}

/** In records of at most so many bytes each. */
export function inRecords(message: Uint8Array, fragmentBytes = 16_384): Uint8Array {
  const records: Uint8Array[] = [];
  for (let start = 0; start < message.length; start += fragmentBytes) {
    records.push(concatBytes(Uint8Array.of(22, 3, 1), vector16(message.subarray(start, start + fragmentBytes))));
  }
  return concatBytes(...records);
}

export function helloFor(name: string, fragmentBytes?: number): Uint8Array {
  return inRecords(helloMessage([serverName(name)]), fragmentBytes);
}

/** The first bytes that OpenSSL sends. */
export async function opensslHello(options: ConnectionOptions): Promise<Uint8Array> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect({ ...options, host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [hello] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return Uint8Array.from(hello);
}

export function vector16(bytes: Uint8Array): Uint8Array {
  return concatBytes(uint16(bytes.length), bytes);
}

export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}
