/**
 * Connects to a node's sync port as somebody who is not its peer: knock.ts KIND ADDRESS PORT KEY-FILE [COUNT]. Prints
 * {"event":"connected"} when every attempt has come to an answer of TCP, and {"event":"over"} when all have ended.
 *
 * garbage:   random bytes instead of a handshake
 * truncated: the begin of a handshake, then the end of the stream
 * silent:    nothing at all
 * oversized: with the right key, a frame that says to be 4 GiB long
 * malformed: with the right key, a frame that is not a message
 * stranger:  with the right key, the hello of a node of another name
 */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { pack } from 'msgpackr';
import { printJson } from './json-lines.ts';

const kinds = {
  garbage: (socket) => socket.write(randomBytes(4096)),
  // A TLS record that announces 512 bytes and has three.
  truncated: (socket) => socket.end(Buffer.from('1603010200010001', 'hex')),
  silent: () => undefined,
  oversized: (socket) => socket.write(Buffer.from('ffffffff00', 'hex')),
  malformed: (socket) => socket.write(frame(randomBytes(64))),
  stranger: (socket) => socket.write(frame(pack(hello))),
} as const satisfies Readonly<Record<string, (socket: Socket) => unknown>>;
export type KnockKind = keyof typeof kinds;

const hello = {
  ...{ type: 'hello', protocolVersion: 1, node: 'lb9', peer: 'lb2' },
  ...{ configHash: 'x', bootId: 'x', heartbeatMs: 250, tables: [] },
};

async function main(): Promise<void> {
  const [kind = '', address = '', port = '', keyFile = '', count = '1'] = process.argv.slice(2);
  if (!isKind(kind)) throw new Error(`KIND is one of ${Object.keys(kinds).join(', ')}`);
  const knows = kind === 'oversized' || kind === 'malformed' || kind === 'stranger';
  const key = knows ? Buffer.from(readFileSync(keyFile, 'utf8').trim()) : undefined;
  const knocks = Array.from({ length: Number(count) }, () => knock(kind, address, Number(port), key));
  await Promise.all(knocks.map(({ answered }) => answered));
  await printJson({ event: 'connected' });
  await Promise.all(knocks.map(({ over }) => over));
  await printJson({ event: 'over' });
}

function knock(
  kind: KnockKind,
  host: string,
  port: number,
  key: Buffer | undefined,
): { answered: Promise<void>; over: Promise<void> } {
  const answered = Promise.withResolvers<undefined>();
  const over = Promise.withResolvers<undefined>();
  const socket = key === undefined ? connect({ host, port }) : connectWithKey(host, port, key);
  socket.once(key === undefined ? 'connect' : 'secureConnect', () => {
    kinds[kind](socket);
    answered.resolve(undefined);
  });
  socket.on('data', () => undefined);
  // That it ends is what it is here for, however it ends.
  socket.on('error', () => undefined);
  socket.on('close', () => {
    answered.resolve(undefined);
    over.resolve(undefined);
  });
  return { answered: answered.promise, over: over.promise };
}

function connectWithKey(host: string, port: number, psk: Buffer): Socket {
  return connectTls({
    ...{ host, port, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'ECDHE-PSK-CHACHA20-POLY1305' },
    pskCallback: () => ({ psk, identity: 'lb1' }),
    checkServerIdentity: () => undefined,
  });
}

function frame(payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

function isKind(text: string): text is KnockKind {
  return text in kinds;
}

if (import.meta.main) await main();
