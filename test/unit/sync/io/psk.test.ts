/** The keys of two real links on loopback: what TLS makes of them, and how one replaces the other. */

import { once } from 'node:events';
import type { Server, TLSSocket } from 'node:tls';
import { connect, createServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { clientPskOptions, keyId, serverPskOptions } from '../../../../src/sync/io/psk.ts';
import type { SyncKeys } from '../../../../src/sync/io/index.ts';
import type { Node } from './nodes.ts';
import { createNode, lb1, lb2 } from './nodes.ts';

const [old, young, strange] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];
const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function serve(keys: SyncKeys): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(serverPskOptions(keys));
  server.on('tlsClientError', (_, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  return { server, port: (server.address() as AddressInfo).port };
}

/** The socket when its handshake is done, or the code of the error that it ended with. */
async function greet(port: number, options: object): Promise<TLSSocket | string> {
  const socket = connect({ host: '127.0.0.1', port, ...options });
  stops.push(() => {
    socket.destroy();
    return Promise.resolve();
  });
  try {
    await once(socket, 'secureConnect');
    return socket;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

describe('the handshake', () => {
  it('has forward secrecy: an ephemeral key exchange, and one cipher only', async () => {
    const { port } = await serve([old]);
    const socket = await greet(port, clientPskOptions([old]));
    if (typeof socket === 'string') throw new Error(socket);
    expect(socket.getProtocol()).toBe('TLSv1.2');
    expect(socket.getCipher().name).toBe('ECDHE-PSK-CHACHA20-POLY1305');
    expect(socket.getEphemeralKeyInfo()).toMatchObject({ type: 'ECDH' });
    expect(socket.isSessionReused()).toBe(false);
  });

  it.each(['PSK-AES128-GCM-SHA256', 'PSK-CHACHA20-POLY1305', 'ECDHE-PSK-AES128-CBC-SHA256'])(
    'is refused with %s, whoever asks for it',
    async (ciphers) => {
      const { port } = await serve([old]);
      expect(await greet(port, { ...clientPskOptions([old]), ciphers })).toMatch(/^ERR_SSL|ECONNRESET/);
    },
  );

  it('is refused in another version of TLS', async () => {
    const { port } = await serve([old]);
    const options = { ...clientPskOptions([old]), minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' };
    expect(await greet(port, options)).toMatch(/^ERR_SSL|ECONNRESET/);
  });

  it('is not helped by the name of a key that one does not have', async () => {
    const { port } = await serve([old]);
    const pskCallback = () => ({ psk: strange, identity: keyId(old) });
    expect(await greet(port, { ...clientPskOptions([old]), pskCallback })).toMatch(/BAD_RECORD_MAC|DECRYPT/);
  });

  it('with a key that has been taken out is refused by its name', async () => {
    const { port } = await serve([young]);
    expect(await greet(port, clientPskOptions([old]))).toMatch(/PSK_IDENTITY|DECRYPT/);
  });

  it('lets a node of an earlier version in, which names itself instead of the key', async () => {
    const { port } = await serve([old]);
    const pskCallback = () => ({ psk: old, identity: 'lb1' });
    expect(typeof (await greet(port, { ...clientPskOptions([old]), pskCallback }))).toBe('object');
  });

  it.each<[string, SyncKeys, SyncKeys, string | undefined]>([
    ['the first of the dialer', [young, old], [old, young], keyId(young)],
    ['what the listener has', [young, old], [old], keyId(old)],
    ['what the dialer has', [old], [young, old], keyId(old)],
    ['none', [young], [old], undefined],
  ])('takes, of two keys, %s', async (_, dialer, listener, expected) => {
    const { server, port } = await serve(listener);
    const offered: string[] = [];
    const { pskCallback } = clientPskOptions(dialer);
    const socket = await greet(port, {
      ...clientPskOptions(dialer),
      pskCallback: (hint: string | null) => {
        const offer = pskCallback?.(hint) ?? null;
        offered.push(offer?.identity ?? '');
        return offer;
      },
    });
    expect(server.listening).toBe(true);
    expect(typeof socket === 'string' ? undefined : offered[0]).toBe(expected);
  });
});

describe('a key', () => {
  it('goes by a name that does not tell it', () => {
    expect(keyId(old)).toMatch(/^key:[0-9a-f]{16}$/);
    expect(keyId(old)).not.toBe(keyId(young));
    expect(keyId(old)).not.toContain(Buffer.from(old).toString('hex').slice(0, 8));
  });

  it('is exchanged node by node on a link that stands, and connects it anew; then the old one is refused', async () => {
    const listener = createNode({ self: lb2, peer: lb1, keys: [old] });
    await start(listener);
    const port = listener.link.state().port ?? 0;
    const dialer = createNode({ port, keys: [old] });
    await start(dialer);
    await inSync(dialer, listener);
    for (const keys of [[young, old], [young]] as SyncKeys[]) {
      for (const node of [dialer, listener]) {
        node.link.setKeys(keys);
        expect(await dialer.link.request('still there', null, 5_000)).toBeNull();
      }
    }
    expect(dialer.events.concat(listener.events).filter((event) => event.startsWith('lost'))).toEqual([]);
    expect(listener.link.state().counters.connections).toBe(1);
    await dialer.link.stop();
    await listener.until(() => !listener.link.state().connected);
    const again = await start(createNode({ port, keys: [young] }));
    await inSync(again, listener);
    await again.link.stop();
    await listener.until(() => !listener.link.state().connected);
    const late = await start(createNode({ port, keys: [old] }));
    await late.until(() => late.link.state().refusedReason === 'key');
    await listener.until(() => listener.link.state().refusedReason === 'key');
    expect(listener.link.state().counters.turnedAway.get('key')).toBeGreaterThan(0);
  });
});

async function start(node: Node): Promise<Node> {
  stops.push(() => node.link.stop());
  await node.link.start();
  return node;
}

async function inSync(...nodes: readonly Node[]): Promise<void> {
  await Promise.all(nodes.map(({ link, until }) => until(() => link.state().inSync)));
}
