/** Real links on loopback, a relay that can cut them, and peers that are not what they should be. */

import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { pack, unpack } from 'msgpackr';
import { silentLogger, systemClock, systemRandom } from '../../../../src/runtime/index.ts';
import { FrameDecoder, originOf, ReplicaTable } from '../../../../src/sync/index.ts';
import type { SyncLinkDependencies, SyncLinkOptions, SyncState } from '../../../../src/sync/io/index.ts';
import { SyncLink } from '../../../../src/sync/io/index.ts';

export const key = new Uint8Array(32).fill(7);
/** lb1 sorts first: it dials. lb2 listens. */
export const lb1 = { name: 'lb1', address: '127.0.0.1' };
export const lb2 = { name: 'lb2', address: '127.0.0.2' };

export type Node = {
  readonly link: SyncLink;
  readonly table: ReplicaTable<number>;
  /** "notice epoch", "merged k", "lost fin", in the order of their coming. */
  readonly events: string[];
  readonly states: SyncState[];
  /** Resolves when the condition holds after a change of state, a merge or a notice. */
  readonly until: (condition: () => boolean) => Promise<void>;
};

export function createNode(
  options: Partial<SyncLinkOptions>,
  overrides: Partial<Pick<SyncLinkDependencies, 'clock' | 'onRequest'>> = {},
): Node {
  const waiting = new Set<() => void>();
  const events: string[] = [];
  const states: SyncState[] = [];
  const look = (): void => {
    for (const each of [...waiting]) each();
  };
  const see = (event: string): void => {
    events.push(event);
    look();
  };
  const table = createTable(options.self?.name ?? 'lb1', (key) => see(`merged ${key}`));
  const link = new SyncLink(
    {
      self: lb1,
      peer: lb2,
      port: 0,
      keys: [key],
      heartbeatMs: 1_000,
      paceMs: 1_000,
      configHash: 'c0ffee',
      bootId: `boot-${options.self?.name ?? 'lb1'}`,
      ...options,
    },
    {
      clock: systemClock,
      logger: silentLogger,
      random: systemRandom,
      tables: [table],
      onNotice: (name) => see(`notice ${name}`),
      onRequest: () => Promise.resolve(null),
      onStateChanged: (state) => {
        states.push(state);
        look();
      },
      onDifference: ({ kind }) => see(kind),
      onQuiet: (isQuiet) => see(isQuiet ? 'quiet' : 'heard again'),
      onConnectionLost: (how) => see(`lost ${how}`),
      ...overrides,
    },
  );
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  return { link, table, events, states, until };
}

function createTable(node: string, onMerged: (key: string) => void): ReplicaTable<number> {
  return new ReplicaTable<number>({
    name: 'stick',
    origin: originOf(node, '1'),
    entriesMax: 1_000_000,
    whenFull: 'refuse',
    parse: (value) => (typeof value === 'number' ? value : undefined),
    onMerged: (change) => onMerged(change.key),
  });
}

export type Relay = {
  readonly port: number;
  /** Ends all its connections: with RST on both sides. */
  readonly reset: () => void;
  /** Carries nothing any more, or again; connections stay. */
  readonly hold: (isHeld: boolean) => void;
  readonly stop: () => Promise<void>;
};

export const relayAddress = '127.0.0.3';

/** Stands between lb1, which takes it for lb2, and lb2, to which it comes from lb1's address. */
export async function createRelay(targetPort: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ host: lb2.address, port: targetPort, localAddress: lb1.address });
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, relayAddress);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    reset: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    hold: (isHeld) => {
      for (const socket of sockets) {
        if (isHeld) socket.pause();
        else socket.resume();
      }
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** A client at lb1's address that knows the key and says what the test wants. */
export class OddPeer {
  readonly socket: TLSSocket;
  readonly #received: Fields[] = [];
  #onReceived: () => void = () => undefined;

  constructor(port: number, pskKey: Uint8Array = key) {
    const target = { host: lb2.address, port, localAddress: lb1.address };
    this.socket = connectTls({
      ...target,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ psk: pskKey, identity: 'odd' }),
    });
    const decoder = new FrameDecoder();
    this.socket.on('data', (bytes: Uint8Array) => {
      for (const frame of decoder.push(bytes)) if (frame.ok) this.#received.push(unpack(frame.value) as Fields);
      this.#onReceived();
    });
    this.socket.on('error', () => undefined);
  }

  send(fields: Fields): void {
    const payload = pack(fields);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(payload.length);
    this.socket.write(Buffer.concat([header, payload]));
  }

  /** The n-th message of the type. */
  async message(type: string, n = 1): Promise<Fields> {
    for (;;) {
      const found = this.#received.filter((fields) => fields['type'] === type)[n - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#onReceived = resolve;
      });
    }
  }

  count(type: string): number {
    return this.#received.filter((fields) => fields['type'] === type).length;
  }

  /** Behaves like lb1 until both sides have accepted. */
  async greet(changes: Fields = {}): Promise<void> {
    this.send({
      type: 'hello',
      protocolVersion: 1,
      node: 'lb1',
      peer: 'lb2',
      configHash: 'c0ffee',
      bootId: 'odd',
      heartbeatMs: 1_000,
      tables: [],
      ...changes,
    });
    this.send({ type: 'welcome' });
    await this.message('welcome');
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close');
  }
}
