/**
 * Takes the place of a node's peer, with its address, its name and the right key, and behaves as no peer should:
 * hostile.ts ADDRESS PORT KEY-FILE. One connection for each kind, one after the other; prints
 * {"event":"ended","kind":KIND} when the node has ended it, and {"event":"over"} at the end.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { pack } from 'msgpackr';
import { monotonicMs, sleep } from './time.ts';
import { printJson } from './json-lines.ts';

const hello = {
  ...{ type: 'hello', protocolVersion: 1, node: 'lb1', peer: 'lb2' },
  ...{ configHash: 'x', bootId: 'x', heartbeatMs: 250, tables: ['stick'] },
};
const welcome = { type: 'welcome' };

/** What follows the greeting; the first two are the greeting themselves. */
const kinds: Readonly<Record<string, (socket: TLSSocket) => void>> = {
  version: (socket) => send(socket, { ...hello, protocolVersion: 99 }),
  name: (socket) => send(socket, { ...hello, node: 'lb9' }),
  length: (socket) => greet(socket, Buffer.from('ffffffff00', 'hex')),
  // A list of 30 million in a list of as many, and so on.
  bomb: (socket) => greet(socket, frame(Buffer.from('dd01c9c380'.repeat(10), 'hex'))),
  nonsense: (socket) => greet(socket, frame(Buffer.alloc(1_000, 0x91))),
  'giant-table': (socket) => greet(socket, frame(pack(delta(1, 5_000, 'k')))),
  'long-key': (socket) => greet(socket, frame(pack(delta(1, 1, 'k'.repeat(600))))),
  order: (socket) => greet(socket, frame(pack(delta(7, 1, 'k')))),
  'second-hello': (socket) => greet(socket, frame(pack(hello))),
  flood: (socket) => {
    socket.pause();
    const request = (id: number): Buffer => frame(pack({ type: 'request', id, method: 'm'.repeat(128), params: null }));
    greet(socket, ...Array.from({ length: 50_000 }, (_, id) => request(id + 1)));
    // It would not notice its end otherwise.
    void sleep(2_000).then(() => socket.resume());
  },
  'half-a-frame': (socket) => greet(socket, frame(pack(hello)).subarray(0, 10)),
};

/** The node gives up on what is silent after three heartbeats; a flood ends when this side does not read. */
const endsWithinMs = 10_000;

async function main(): Promise<void> {
  const [host = '', port = '', keyFile = ''] = process.argv.slice(2);
  const psk = Buffer.from(readFileSync(keyFile, 'utf8').trim());
  for (const [kind, behave] of Object.entries(kinds)) {
    const socket = connect({
      ...{ host, port: Number(port), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' },
      ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
      pskCallback: () => ({ psk, identity: 'lb1' }),
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => undefined);
    const closed = new Promise<true>((resolve) => socket.once('close', () => resolve(true)));
    await once(socket, 'secureConnect');
    socket.on('data', () => undefined);
    behave(socket);
    const startedMs = monotonicMs();
    const isEnded = await Promise.race([closed, sleep(endsWithinMs)]);
    socket.destroy();
    await printJson({ event: isEnded === true ? 'ended' : 'left alone', kind, ms: monotonicMs() - startedMs });
  }
  await printJson({ event: 'over' });
}

function greet(socket: TLSSocket, ...then: readonly Uint8Array[]): void {
  socket.write(Buffer.concat([frame(pack(hello)), frame(pack(welcome)), ...then]));
}

function send(socket: TLSSocket, message: object): void {
  socket.write(frame(pack(message)));
}

function delta(seq: number, count: number, key: string): object {
  const columns = <Item>(item: (index: number) => Item): Item[] => Array.from({ length: count }, (_, i) => item(i));
  const batch = {
    nodes: ['lb1:x'],
    keys: columns((index) => `${key}${index}`),
    counters: columns(() => 1),
    origins: columns(() => 0),
    ttlsMs: columns(() => 60_000),
    deleted: columns(() => false),
    values: columns(() => 's1'),
  };
  return { type: 'delta', seq, table: 'stick', batch };
}

function frame(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

if (import.meta.main) await main();
