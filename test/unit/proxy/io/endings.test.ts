/**
 * How connections end: each case once with the client and once with the server as the side that acts first ("near").
 * Among them is what nginx's stream tests (stream_proxy_half_close) and sequences of HAProxy's tcploop expect.
 */
import { describe, expect, it } from 'vitest';
import type { EndCause } from '../../../../src/proxy/index.ts';
import { seededRandom, systemClock } from '../../../../src/runtime/index.ts';
import type { Native } from '../../../../src/runtime/index.ts';
import { RealTimeClock, native, serverSpec, startProxy, turn, until } from './harness.ts';
import { RawEnd, RawServer } from './raw-end.ts';

type Side = 'client' | 'server';
type RawProxy = Awaited<ReturnType<typeof startRawProxy>>;

type Endings = Partial<Record<EndCause, number>>;

const sides = ['client', 'server'] as const;
const kilobyte = 1024;
const megabyte = 1024 * kilobyte;

describe.each(sides)('when the %s acts first', (side) => {
  it('FIN is passed on, and the other side can send for as long as it likes', async () => {
    const { near, far, ended } = await startScene(side);
    near.fin();
    expect(await far.readAll()).toMatchObject({ ending: 'fin' });
    const bytes = randomBytes(5 * megabyte, 1);
    const [received] = await Promise.all([near.readAll(), sendAndEnd(far, bytes)]);
    expect(received).toMatchObject({ ending: 'fin' });
    expect(received.bytes.equals(bytes)).toBe(true);
    expect(await ended()).toEqual({ completed: 1 });
  });

  it('FIN comes after the last byte, and each direction has its own', async () => {
    const { near, far, ended } = await startScene(side);
    const bytes = randomBytes(300 * kilobyte, 2);
    await sendAndEnd(near, bytes);
    const received = await far.readAll();
    expect(received.bytes.equals(bytes)).toBe(true);
    await far.send(Buffer.from('SEE'));
    expect((await near.read(3)).toString()).toBe('SEE');
    far.fin();
    expect(await near.readAll()).toMatchObject({ ending: 'fin' });
    expect(await ended()).toEqual({ completed: 1 });
  });

  it('FIN behind more than the other side reads now waits until that is read', async () => {
    const { near, far, ended } = await startScene(side);
    const bytes = randomBytes(8 * megabyte, 3);
    const sent = sendAndEnd(near, bytes);
    for (let i = 0; i < 200; i++) await turn();
    const received = await far.readAll();
    await sent;
    expect(received.ending).toBe('fin');
    expect(received.bytes.equals(bytes)).toBe(true);
    far.close();
    expect(await ended()).toEqual({ completed: 1 });
  });

  it('RST is passed on as RST', async () => {
    const { near, far, ended } = await startScene(side);
    near.rst();
    expect(await far.readAll()).toEqual({ bytes: Buffer.alloc(0), ending: 'ECONNRESET' });
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
  });

  it('RST comes after all that was sent before it', async () => {
    const { near, far, ended } = await startScene(side);
    const bytes = randomBytes(200 * kilobyte, 4);
    const received = far.readAll();
    await near.send(bytes);
    await near.confirmed();
    near.rst();
    expect((await received).ending).toBe('ECONNRESET');
    expect((await received).bytes.equals(bytes)).toBe(true);
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
  });

  it('RST waits for bytes that the other side has no room for yet, and takes a second later', async () => {
    const { near, far, ended, proxy } = await startScene(side);
    const bytes = randomBytes(4 * megabyte, 5);
    await near.send(bytes);
    await near.confirmed();
    near.rst();
    await until(() => unreadBySides(proxy) > 0);
    await passTime(1000);
    expect(proxy.service().connectionsCurrent).toBe(1);
    const received = await far.readAll();
    expect(received.ending).toBe('ECONNRESET');
    expect(received.bytes.length).toBe(bytes.length);
    expect(received.bytes.equals(bytes)).toBe(true);
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
  });

  it('RST is passed on in the end to a side that takes nothing', async () => {
    const { near, ended, far } = await startScene(side);
    await near.fill();
    near.rst();
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
    expect(await far.readAll()).toMatchObject({ ending: 'ECONNRESET' });
  });

  it('RST after FIN is passed on', async () => {
    const { near, far, ended } = await startScene(side);
    near.fin();
    expect(await far.readAll()).toMatchObject({ ending: 'fin' });
    near.rst();
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
    expect(() => far.trySend(Buffer.from('x'))).toThrow(/EPIPE|ECONNRESET/);
  });

  it('closing with unread bytes is a RST, which does not overtake the last words', async () => {
    const { near, far, ended } = await startScene(side);
    await far.send(randomBytes(100 * kilobyte, 6));
    await far.confirmed();
    await until(() => native.receive(near.fd, new Uint8Array(1), 0, 1) === 1);
    await near.send(Buffer.from('last words'));
    near.close();
    expect(await far.readAll()).toEqual({ bytes: Buffer.from('last words'), ending: 'ECONNRESET' });
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
  });

  it('an answer before RST reaches a side that goes on sending meanwhile', async () => {
    const { near, far, ended } = await startScene(side);
    // All in one turn, so that the worker meets the broken side by writing to it first.
    const startedMs = systemClock.nowMs();
    far.trySend(Buffer.from('more'));
    near.trySend(Buffer.from('enough'));
    near.rst();
    expect(await far.readAll()).toEqual({ bytes: Buffer.from('enough'), ending: 'ECONNRESET' });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(2000);
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
  });

  it('RST of the other side as well ends what was still to be delivered', async () => {
    const { near, far, ended } = await startScene(side);
    await near.fill();
    near.rst();
    await turn();
    const startedMs = systemClock.nowMs();
    far.rst();
    expect(await ended()).toEqual({ [`${side}-reset`]: 1 });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(2000);
  });

  it('FIN of both at once ends the connection, and nobody sees a reset', async () => {
    const { near, far, ended } = await startScene(side);
    near.fin();
    far.fin();
    expect([await near.readAll(), await far.readAll()].map(({ ending }) => ending)).toEqual(['fin', 'fin']);
    expect(await ended()).toEqual({ completed: 1 });
  });

  it('nothing ends for as long as one direction is open', async () => {
    const { near, far, proxy } = await startScene(side);
    near.fin();
    await far.readAll();
    await passTime(700);
    expect(proxy.service().connectionsCurrent).toBe(1);
  });
});

describe('before both sides are there', () => {
  it('a server may greet and close before the client has said anything', async () => {
    const { server, proxy, port } = await startRawProxy();
    const client = await RawEnd.connect(port);
    const atServer = await server.accept();
    await sendAndEnd(atServer, Buffer.from('220 go away'));
    expect(await client.readAll()).toEqual({ bytes: Buffer.from('220 go away'), ending: 'fin' });
    await client.send(Buffer.from('bye'));
    client.fin();
    expect(await atServer.readAll()).toEqual({ bytes: Buffer.from('bye'), ending: 'fin' });
    expect(await endings(proxy)).toEqual({ completed: 1 });
  });

  it('a client may say all and half-close before the server has accepted', async () => {
    const { server, proxy, port } = await startRawProxy();
    const client = await RawEnd.connect(port);
    await sendAndEnd(client, Buffer.from('all I have'));
    await until(() => proxy.service().bytesIn === 10);
    const atServer = await server.accept();
    expect(await atServer.readAll()).toEqual({ bytes: Buffer.from('all I have'), ending: 'fin' });
    await sendAndEnd(atServer, Buffer.from('thanks'));
    expect(await client.readAll()).toEqual({ bytes: Buffer.from('thanks'), ending: 'fin' });
    expect(await endings(proxy)).toEqual({ completed: 1 });
  });
});

describe('FIN', () => {
  it('is sent once to each side, even if events go on for the side that has ended', async () => {
    const ended: number[] = [];
    const shutdownWrite = (fd: number): number => {
      ended.push(fd);
      return native.shutdownWrite(fd);
    };
    const { near: client, far: atServer, proxy } = await startScene('client', { ...native, shutdownWrite });
    client.fin();
    const bytes = randomBytes(8 * megabyte, 7);
    const sent = sendAndEnd(atServer, bytes);
    await until(() => ended.length === 1 && proxy.service().unsentBytes > 0);
    expect((await client.readAll()).bytes.equals(bytes)).toBe(true);
    await sent;
    expect(await endings(proxy)).toEqual({ completed: 1 });
    // The fixture's own ends are not counted: they do not go through the worker's calls.
    expect(ended.length).toBe(1);
  });
});

/** Both ends of one connection through a worker: the side that acts first, and the other one. */
async function startScene(side: Side, given: Native = native) {
  const { server, proxy, port } = await startRawProxy(given);
  const client = await RawEnd.connect(port);
  const atServer = await server.accept();
  // Only a byte that has come through says that the worker relays.
  await client.send(Buffer.from('!'));
  await atServer.read(1);
  const [near, far] = side === 'client' ? [client, atServer] : [atServer, client];
  return { near, far, proxy, ended: () => endings(proxy) };
}

async function startRawProxy(given: Native = native) {
  const server = new RawServer();
  const clock = new RealTimeClock();
  const proxy = await startProxy([serverSpec('s1', server.port)], { native: given, clock });
  return { server, proxy, port: proxy.spec.port };
}

/** Waits for the connection's end, and tells what has ended for which cause. */
async function endings(proxy: RawProxy['proxy']): Promise<Endings> {
  await until(() => proxy.service().connectionsCurrent === 0);
  const { ended } = proxy.service();
  return Object.fromEntries(Object.entries(ended).filter(([, count]) => count > 0));
}

async function sendAndEnd(end: RawEnd, bytes: Buffer): Promise<void> {
  await end.send(bytes);
  end.fin();
}

function unreadBySides(proxy: RawProxy['proxy']): number {
  const { bytesIn, bytesOut } = proxy.service();
  return bytesIn + bytesOut;
}

function passTime(delayMs: number): Promise<void> {
  return new RealTimeClock().sleep(delayMs);
}

function randomBytes(size: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = random.next() * 256;
  return bytes;
}
