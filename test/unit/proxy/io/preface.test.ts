/** What a client says before a service can have it, with real sockets: PROXY headers in and out, routes by name. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex } from '../../../../src/base/index.ts';
import { encodeProxyHeader, openDoor } from '../../../../src/proxy/index.ts';
import type { FrontDoor, WorkerServer, WorkerService } from '../../../../src/proxy/index.ts';
import type { Native } from '../../../../src/runtime/index.ts';
import { alpn, helloFor, helloMessage, inRecords, serverName } from '../tls/hellos.ts';
import {
  connectTo,
  freePort,
  native,
  nextData,
  nextError,
  ownAddress,
  serviceSpec,
  startNamedServer,
  startProxy,
  startServer,
  startWorker,
  turn,
  until,
} from './harness.ts';
import type { TestWorker } from './harness.ts';

const client = { source: end('192.0.2.7', 4711), destination: end('198.51.100.1', 443) };
const signature = '0d0a0d0a000d0a515549540a';
const lastOctet = Number(ownAddress.split('.').at(-1));
/** Where clients of loopback come from unless told otherwise, and other addresses to come from. */
const clientAddress = '127.0.0.1';
const sources = [2, 3, 4, 5, 6, 7, 8, 9].map((last) => ownAddress.replace(/\d+$/, String(lastOctet + last)));
const [otherSource = ''] = sources;

describe('a PROXY protocol header', () => {
  const acceptProxy = { from: [`${clientAddress}/32`], timeoutMs: 3_000 };

  it.each(['v1', 'v2'] as const)(
    'of %s tells who the client is, and what follows goes to the server',
    async (version) => {
      const received: string[] = [];
      const server = await startServer('s1', (socket) =>
        socket.on('data', (data: Buffer) => received.push(data.toString())),
      );
      const proxy = await startProxy([server], {
        service: { frontDoor: door({ acceptProxy, deny: ['192.0.2.8/32'] }) },
      });
      proxy.connect().write(concatBytes(encodeProxyHeader(version, client), bytes('hello')));
      await until(() => received.join('') === 'hello');
      const denied = proxy.connect();
      denied.write(encodeProxyHeader(version, { ...client, source: end('192.0.2.8', 1) }));
      expect(await nextError(denied)).toBe('ECONNRESET');
      expect(proxy.service()).toMatchObject({ connectionsTotal: 1, refused: { denied: 1 } });
    },
  );

  it('may come in pieces, each byte of which is looked at only when there is something to learn', async () => {
    const calls = watched();
    const proxy = await startProxy([await startNamedServer('s1')], {
      native: calls.native,
      service: { frontDoor: door({ acceptProxy }) },
    });
    const tlvs = `04 0200 ${'00'.repeat(512)}`;
    const header = fromHex(`${signature} 21 11 020f c0000207 c6336401 1267 01bb ${tlvs}`);
    const socket = proxy.connect({ noDelay: true });
    await writeByteByByte(socket, header, calls.accepted);
    expect(await nextData(socket)).toBe('s1');
    // The first byte, the head, the whole; the kernel wakes more often where memory is short (tcp_rmem_pressure).
    expect(calls.peeks()).toBeLessThan(header.length / 4);
  });

  it('is not awaited from a source that is not trusted: what it sends is all for the server', async () => {
    const received: string[] = [];
    const server = await startServer('s1', (socket) =>
      socket.on('data', (data: Buffer) => received.push(data.toString())),
    );
    const proxy = await startProxy([server], { service: { frontDoor: door({ acceptProxy }) } });
    proxy.connect({ localAddress: otherSource }).write('PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nhello');
    await until(() => received.join('') === 'PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nhello');
  });

  it('that says nothing of the client leaves it who it is', async () => {
    const proxy = await startProxy([await startNamedServer('s1')], {
      service: { frontDoor: door({ acceptProxy, deny: [`${clientAddress}/32`] }) },
    });
    for (const version of ['v1', 'v2'] as const) {
      const socket = proxy.connect();
      socket.write(encodeProxyHeader(version, undefined));
      expect(await nextError(socket)).toBe('ECONNRESET');
    }
    expect(proxy.service().refused).toMatchObject({ denied: 2 });
  });

  it.each([
    ['proxy-signature', bytes('GET / HTTP/1.1\r\n')],
    ['proxy-line', bytes('PROXY TCP9 x\r\n')],
    ['proxy-tlv', fromHex(`${signature} 21 11 000e c0000207 c6336401 1267 01bb 0400`)],
    ['proxy-cut', bytes('PROXY TCP4')],
  ])('that is missing or broken is a refusal with its reason: %s', async (reason, sent) => {
    const proxy = await startProxy([await startNamedServer('s1')], { service: { frontDoor: door({ acceptProxy }) } });
    const socket = proxy.connect();
    socket.end(sent);
    expect(await nextError(socket)).toBe('ECONNRESET');
    expect(proxy.service()).toMatchObject({ connectionsTotal: 0, refused: { [reason]: 1 } });
  });

  it('has its time, and not more', async () => {
    const proxy = await startProxy([await startNamedServer('s1')], { service: { frontDoor: door({ acceptProxy }) } });
    const socket = proxy.connect();
    socket.write('PROXY ');
    await once(socket, 'connect');
    await turns();
    proxy.clock.advance(2_900);
    expect(proxy.service().refused).not.toHaveProperty('proxy-timeout');
    proxy.clock.advance(200);
    expect(await nextError(socket)).toBe('ECONNRESET');
    expect(proxy.service().refused).toMatchObject({ 'proxy-timeout': 1 });
  });

  it('does not keep the client that it names from its stickiness', async () => {
    const proxy = await startProxy([await startNamedServer('s1')], {
      service: {
        frontDoor: door({ acceptProxy }),
        stick: { ttlMs: 60_000, entriesMax: 10, prefix: { ipv4: 32, ipv6: 128 } },
      },
    });
    proxy.connect().write(encodeProxyHeader('v2', client));
    await until(() => proxy.reports.some((report) => report.kind === 'stick-claims'));
    const report = proxy.reports.find((one) => one.kind === 'stick-claims');
    expect(report).toMatchObject({ claims: [{ source: '192.0.2.7' }] });
  });
});

describe('a header for the server', () => {
  it.each(['v1', 'v2'] as const)(
    'in %s stands before the first byte of the client, with its addresses',
    async (version) => {
      const { server, received } = await startRecorder(version);
      const proxy = await startProxy([server]);
      const socket = proxy.connect();
      await once(socket, 'connect');
      socket.write('hello');
      const expected = concatBytes(
        encodeProxyHeader(version, {
          source: end(clientAddress, socket.localPort ?? 0),
          destination: end(ownAddress, proxy.spec.port),
        }),
        bytes('hello'),
      );
      await until(() => received().length >= expected.length);
      expect(received()).toEqual(expected);
      expect(proxy.service()).toMatchObject({ bytesIn: 5 });
    },
  );

  it('has the client that the header of another proxy names', async () => {
    const { server, received } = await startRecorder('v1');
    const proxy = await startProxy([server], {
      service: { frontDoor: door({ acceptProxy: { from: ['127.0.0.0/8'], timeoutMs: 3_000 } }) },
    });
    proxy.connect().write(encodeProxyHeader('v2', client));
    await until(() => received().at(-1) === 0x0a);
    expect(text(received())).toBe('PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n');
  });

  it('comes whole when the socket takes it in parts', async () => {
    const { server, received } = await startRecorder('v1');
    let sends = 0;
    // The first call is the header: of it one byte is taken.
    const send: Native['send'] = (fd, data, offset, length) =>
      native.send(fd, data, offset, sends++ === 0 ? 1 : length);
    const proxy = await startProxy([server], { native: { ...native, send } });
    proxy.connect().write('hello');
    await until(() => text(received()).endsWith('hello'));
    expect(text(received())).toMatch(/^PROXY TCP4 \S+ \S+ \d+ \d+\r\nhello$/);
  });

  it('is sent to the server that accepts, after one that does not', async () => {
    const { server, received } = await startRecorder('v1');
    const dead: WorkerServer = { ...server, name: 'dead', port: freePort() };
    const proxy = await startProxy([dead, server]);
    for (let i = 0; i < 2; i++) proxy.connect().write('!');
    await until(() => text(received()).split('PROXY').length === 3);
  });
});

describe('services that share an address and port', () => {
  it('get the clients that ask for their names, with the hello untouched', async () => {
    const { proxy, port } = await startByName();
    for (const [hello, service] of [
      [helloFor('a.example'), 'a'],
      [helloFor('A.EXAMPLE', 7), 'a'],
      [helloFor('x.b.example'), 'b'],
      [inRecords(helloMessage([serverName('x.b.example'), alpn('h2')])), 'b-h2'],
      [helloFor('other.example'), 'rest'],
      [inRecords(helloMessage([])), 'rest'],
      [bytes('GET / HTTP/1.1\r\n'), 'rest'],
      [bytes('Q'), 'rest'],
    ] as const) {
      const socket = connectTo(ownAddress, port);
      socket.write(hello);
      const answer = await nextBytes(socket, service.length + 1 + hello.length);
      expect(answer).toEqual(concatBytes(bytes(`${service}:`), hello));
    }
    expect(proxy.service('rest').connectionsTotal).toBe(4);
    expect(proxy.service('a').connectionsTotal).toBe(2);
  });

  it('are cheap with a client that sends one byte at a time, and do not spin while nothing comes', async () => {
    const calls = watched();
    const { port } = await startByName(calls.native);
    const hello = helloFor(`${'a.'.repeat(100)}example`);
    const socket = connectTo(ownAddress, port, { noDelay: true });
    await writeByteByByte(socket, hello.subarray(0, -1), calls.accepted);
    await turns();
    const before = calls.peeks();
    await turns();
    expect(calls.peeks()).toBe(before);
    expect(before).toBeLessThan(hello.length / 4);
    socket.write(hello.subarray(-1));
    expect(text(await nextBytes(socket, 5))).toBe('rest:');
    expect(calls.peeks()).toBe(before + 1);
  });

  it('without one for all the rest refuse by name, or for not being TLS', async () => {
    const { proxy, port } = await startByName(native, ['a', 'b']);
    for (const [sent, reason] of [
      [helloFor('other.example'), 'no-such-name'],
      [inRecords(helloMessage([])), 'no-such-name'],
      [bytes('SSH-2.0'), 'not-tls'],
      [fromHex('802e 01 0301 0015 0000 0010'), 'tls-sslv2'],
      [fromHex('1603010004 02000000'), 'tls-handshake'],
    ] as const) {
      const socket = connectTo(ownAddress, port);
      socket.write(sent);
      expect(await nextError(socket)).toBe('ECONNRESET');
      expect(proxy.service('a').refused).toHaveProperty(reason);
    }
  });

  it('give a client its time, and what ends or is reset before is a refusal, too', async () => {
    const { proxy, port } = await startByName();
    const refused = () => proxy.service('rest').refused;
    const silent = connectTo(ownAddress, port);
    await once(silent, 'connect');
    await turns();
    proxy.clock.advance(4_900);
    expect(refused()).not.toHaveProperty('tls-timeout');
    proxy.clock.advance(200);
    expect(await nextError(silent)).toBe('ECONNRESET');
    expect(refused()).toMatchObject({ 'tls-timeout': 1 });
    connectTo(ownAddress, port).end(helloFor('a.example').subarray(0, 20));
    await until(() => refused()['tls-cut'] === 1);
    const reset = connectTo(ownAddress, port);
    reset.write(helloFor('a.example').subarray(0, 20));
    await once(reset, 'connect');
    await turns();
    reset.resetAndDestroy();
    await until(() => refused()['tls-cut'] === 2);
  });

  it('read a PROXY header before the hello', async () => {
    const calls = watched();
    const { port } = await startByName(calls.native, ['a', 'rest'], {
      acceptProxy: { from: ['127.0.0.0/8'], timeoutMs: 3_000 },
    });
    const hello = helloFor('a.example', 9);
    const socket = connectTo(ownAddress, port);
    socket.write(concatBytes(encodeProxyHeader('v1', client), hello));
    expect(await nextBytes(socket, 2 + hello.length)).toEqual(concatBytes(bytes('a:'), hello));
    const slow = connectTo(ownAddress, port, { noDelay: true });
    slow.write(encodeProxyHeader('v2', client));
    await once(slow, 'connect');
    await turns();
    await writeByteByByte(slow, hello, calls.accepted);
    expect(await nextBytes(slow, 2 + hello.length)).toEqual(concatBytes(bytes('a:'), hello));
  });

  it('pass on a FIN and a RST that came with the hello', async () => {
    const ends: string[] = [];
    const server = await startServer('s', (socket) => {
      socket.on('end', () => ends.push('end')).on('error', () => ends.push('reset'));
      socket.resume();
    });
    const port = freePort();
    const test = await startWorker();
    test.configure(serviceSpec({ name: 'a', port, servers: [server], frontDoor: door({ tls: names('a.example') }) }));
    connectTo(ownAddress, port).end(helloFor('a.example'));
    await until(() => ends.join() === 'end');
    const socket = connectTo(ownAddress, port);
    socket.write(helloFor('a.example'));
    await until(() => test.service('a').connectionsTotal === 2);
    socket.resetAndDestroy();
    await until(() => test.service('a').connectionsCurrent === 1);
  });

  it('keep their listener when one of them goes, and report a port that is taken for each', async () => {
    const { proxy, port, specs } = await startByName();
    proxy.configure(...specs.slice(1));
    const socket = connectTo(ownAddress, port);
    socket.write(helloFor('a.example'));
    expect(text(await nextBytes(socket, 5))).toBe('rest:');
    const other = await startWorker({ native: { ...native, tcpListen: () => -98 } });
    expect(other.configure(...specs.slice(0, 2)).failures.map(({ service }) => service)).toEqual(['a', 'b']);
  });

  it('let the silent client go that waits for longest when too many are', async () => {
    const { proxy, port } = await startByName(native, ['rest', 'a'], {}, 8);
    const silent: Socket[] = [];
    for (let i = 0; i < 2; i++) {
      const socket = connectTo(ownAddress, port);
      await once(socket, 'connect');
      await turns();
      silent.push(socket);
    }
    const third = connectTo(ownAddress, port);
    const ended = await Promise.race(silent.map(async (socket, index) => [index, await nextError(socket)]));
    expect(ended).toEqual([0, 'ECONNRESET']);
    expect(proxy.service('rest').refused).toMatchObject({ 'too-many-silent': 1 });
    third.write(helloFor('a.example'));
    expect(text(await nextBytes(third, 2))).toBe('a:');
  });

  it('drain only when the last silent client has been served or sent away', async () => {
    const { proxy, port } = await startByName();
    const silent = connectTo(ownAddress, port);
    await once(silent, 'connect');
    await turns();
    proxy.worker.handle({ kind: 'drain' });
    expect(proxy.reports.some((report) => report.kind === 'drained')).toBe(false);
    proxy.clock.advance(5_100);
    expect(proxy.reports.some((report) => report.kind === 'drained')).toBe(true);
  });

  it('serve who was waiting at a listener that is closed', async () => {
    const server = await startNamedServer('s1');
    const proxy = await startProxy([server]);
    const socket = proxy.connect();
    const answer = nextData(socket);
    // Node connects in the next tick; the kernel lets the client in before the worker hears of it.
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
    expect(proxy.service().connectionsTotal).toBe(0);
    proxy.configure();
    expect(await answer).toBe('s1');
  });

  it('are reset with their silent clients when the address goes', async () => {
    const { proxy, port } = await startByName();
    const silent = connectTo(ownAddress, port);
    await once(silent, 'connect');
    await turns();
    proxy.worker.handle({ kind: 'reset-connections', services: ['b'] });
    expect(await nextError(silent)).toBe('ECONNRESET');
  });
});

/** Services a, b, b with h2, and the rest, each of which answers with its name and all that it gets. */
async function startByName(
  nativeCalls = native,
  wanted: readonly string[] = ['a', 'b', 'b-h2', 'rest'],
  common: Partial<FrontDoor> = {},
  connectionsMax = 1_000,
): Promise<{ proxy: TestWorker; port: number; specs: readonly WorkerService[] }> {
  const tls = {
    a: names('a.example'),
    b: names('*.b.example'),
    'b-h2': { names: ['*.b.example'], alpn: ['h2'] },
    rest: undefined,
  } as const;
  const servers = await Promise.all(
    wanted.map((name) => startServer(name, (socket) => void (socket.write(`${name}:`), socket.pipe(socket)))),
  );
  const port = freePort();
  const specs = servers.map((server) => {
    const { name } = server;
    const frontDoor = door({ tls: tls[name as keyof typeof tls], ...common });
    return serviceSpec({ name, port, servers: [server], frontDoor });
  });
  const proxy = await startWorker({ native: nativeCalls, options: { connectionsMax } });
  expect(proxy.configure(...specs).failures).toEqual([]);
  return { proxy, port, specs };
}

/** A server that wants a header, and keeps all that it gets. */
async function startRecorder(sendProxy: 'v1' | 'v2'): Promise<{ server: WorkerServer; received: () => Uint8Array }> {
  const chunks: Uint8Array[] = [];
  const server = await startServer('s1', (socket) => socket.on('data', (data: Buffer) => chunks.push(data)));
  return { server: { ...server, sendProxy }, received: () => Uint8Array.from(concatBytes(...chunks)) };
}

function door(given: Partial<FrontDoor>): FrontDoor {
  return { ...openDoor, ...given };
}

function names(...all: readonly string[]): NonNullable<FrontDoor['tls']> {
  return { names: all, alpn: [] };
}

function end(ip: string, port: number): { ip: Uint8Array; port: number } {
  return { ip: Uint8Array.from(ip.split('.'), Number), port };
}

/** Sends one byte after the other, each when the kernel has the one before and the worker had time to look at it. */
async function writeByteByByte(socket: Socket, data: Uint8Array, accepted: () => number): Promise<void> {
  await until(() => accepted() >= 0);
  const scratch = new Uint8Array(data.length);
  for (const [index, byte] of data.entries()) {
    socket.write(Uint8Array.of(byte));
    if (index === data.length - 1) return;
    await until(() => native.peek(accepted(), scratch, 0, scratch.length) > index);
    await turn();
    await turn();
  }
}

/** Calls that count how often somebody looks, and know the socket that was accepted last. */
function watched(): { native: Native; peeks: () => number; accepted: () => number } {
  let peeks = 0;
  let accepted = -1;
  const accept: Native['accept'] = (listener, endpoint) => {
    const fd = native.accept(listener, endpoint);
    if (fd >= 0) accepted = fd;
    return fd;
  };
  const peek: Native['peek'] = (...args) => (peeks++, native.peek(...args));
  return { native: { ...native, accept, peek }, peeks: () => peeks, accepted: () => accepted };
}

async function nextBytes(socket: Socket, count: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  socket.on('data', (data: Buffer) => chunks.push(data));
  await until(() => concatBytes(...chunks).length >= count);
  return concatBytes(...chunks).subarray(0, count);
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn();
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function text(data: Uint8Array): string {
  return String.fromCharCode(...data);
}
