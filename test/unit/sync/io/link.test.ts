import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock, OperatorError } from '../../../../src/runtime/index.ts';
import { defaultSessionLimits } from '../../../../src/sync/index.ts';
import type { SyncLinkOptions } from '../../../../src/sync/io/index.ts';
import type { Node, Relay } from './nodes.ts';
import { createNode, createRelay, key, lb1, lb2, OddPeer, relayAddress } from './nodes.ts';

const stops: (() => Promise<unknown> | undefined)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function start(node: Node): Promise<Node> {
  stops.push(() => node.link.stop());
  await node.link.start();
  return node;
}

function portOf(node: Node): number {
  return node.link.state().port ?? 0;
}

async function startListener(options: Partial<SyncLinkOptions> = {}, ...more: [Parameters<typeof createNode>[1]?]) {
  return start(createNode({ self: lb2, peer: lb1, ...options }, ...more));
}

/** Two links that are in sync. */
async function startPair(
  options: { dialer?: Partial<SyncLinkOptions>; listener?: Partial<SyncLinkOptions> } = {},
  ...more: [Parameters<typeof createNode>[1]?]
): Promise<readonly [dialer: Node, listener: Node]> {
  const listener = await startListener(options.listener, ...more);
  const dialer = await start(createNode({ port: portOf(listener), ...options.dialer }));
  await inSync(dialer, listener);
  return [dialer, listener];
}

async function startRelayedPair(heartbeatMs: number): Promise<readonly [Node, Node, Relay]> {
  const listener = await startListener({ heartbeatMs });
  const relay = await createRelay(portOf(listener));
  stops.push(relay.stop);
  const peer = { ...lb2, address: relayAddress };
  const dialer = await start(createNode({ heartbeatMs, peer, port: relay.port }));
  await inSync(dialer, listener);
  return [dialer, listener, relay];
}

async function inSync(...nodes: readonly Node[]): Promise<void> {
  await Promise.all(nodes.map(({ link, until }) => until(() => link.state().inSync)));
}

async function startOddPeer(listener: Node): Promise<OddPeer> {
  const peer = new OddPeer(portOf(listener));
  stops.push(async () => {
    peer.socket.destroy();
    await peer.closed();
  });
  await once(peer.socket, 'secureConnect');
  return peer;
}

/** A listening link whose timers and turns are the test's, and a peer that has greeted it. */
async function startOnManualClock(): Promise<{ listener: Node; peer: OddPeer; clock: ManualClock }> {
  const clock = new ManualClock();
  const listener = await startListener({}, { clock });
  const peer = await startOddPeer(listener);
  const greeted = peer.greet();
  while (peer.count('snapshot-end') === 0) {
    clock.advance(0);
    await nextTurn();
  }
  await greeted;
  return { listener, peer, clock };
}

function connectFrom(localAddress: string, port: number): Socket {
  const socket = connect({ host: lb2.address, port, localAddress });
  socket.on('error', () => undefined);
  stops.push(async () => {
    socket.destroy();
    if (!socket.closed) await once(socket, 'close');
  });
  return socket;
}

describe('two links', () => {
  it('replicate both ways, what was there and what changes', async () => {
    const listener = await startListener();
    const dialer = createNode({ port: portOf(listener) });
    dialer.table.set('before 1', 1, 0);
    listener.table.set('before 2', 2, 0);
    await start(dialer);
    await inSync(dialer, listener);
    expect([dialer.table.get('before 2', 0), listener.table.get('before 1', 0)]).toEqual([2, 1]);
    dialer.table.set('after 1', 3, 0);
    listener.table.set('after 2', 4, 0);
    await listener.until(() => listener.table.get('after 1', 0) === 3);
    await dialer.until(() => dialer.table.get('after 2', 0) === 4);
  });

  it('say what they are connected with', async () => {
    const [dialer, listener] = await startPair({ dialer: { configHash: 'another' } });
    const common = { connected: true, inSync: true, configDiffers: true, refusedReason: undefined };
    expect(dialer.link.state()).toMatchObject({ ...common, role: 'dials', peerBootId: 'boot-lb2' });
    expect(listener.link.state()).toMatchObject({ ...common, role: 'listens', peerBootId: 'boot-lb1' });
    listener.table.set('still', 1, 0);
    await dialer.until(() => dialer.table.get('still', 0) === 1);
  });

  it('know at once that one of them has read another configuration', async () => {
    const [dialer, listener] = await startPair();
    dialer.link.setConfigHash('another');
    expect(dialer.link.state()).toMatchObject({ configDiffers: true, peerConfigHash: 'c0ffee' });
    expect(dialer.states.at(-1)?.configDiffers).toBe(true);
    listener.link.setPeerConfigHash('another');
    expect(listener.states.at(-1)).toMatchObject({ configDiffers: true, peerConfigHash: 'another' });
    listener.link.setConfigHash('another');
    expect(listener.link.state().configDiffers).toBe(false);
  });

  it('hand over a notice ahead of table data', async () => {
    const [dialer, listener] = await startPair();
    for (let i = 0; i < 100; i++) dialer.table.set(`k${i}`, i, 0);
    expect(dialer.link.sendNotice('epoch', { epoch: 2 })).toBe(true);
    await listener.until(() => listener.events.includes('merged k99'));
    expect(listener.events[0]).toBe('notice epoch');
  });

  it('send a notice in the turn in which it is given, whatever waits', async () => {
    const { listener, peer } = await startOnManualClock();
    listener.table.set('k', 1, 0);
    listener.link.sendNotice('epoch', 2);
    expect(await peer.message('notice')).toEqual({ type: 'notice', name: 'epoch', body: 2 });
    expect(peer.count('delta')).toBe(0);
  });

  it('send a change at once, and gather those that follow it closely', async () => {
    const { listener, peer, clock } = await startOnManualClock();
    clock.advance(100);
    listener.table.set('first', 1, 0);
    clock.advance(0);
    for (let i = 0; i < 3; i++) {
      listener.table.set(`next ${i}`, i, 0);
      clock.advance(1);
    }
    listener.link.sendNotice('in between', null);
    await peer.message('notice');
    clock.advance(4);
    expect(peer.count('delta')).toBe(1);
    clock.advance(1);
    const keys = ['next 0', 'next 1', 'next 2'];
    expect(await peer.message('delta', 2)).toMatchObject({ batch: { keys } });
  });

  it('take no more notices when the connection takes nothing, and deliver those they took', async () => {
    const [dialer, listener, relay] = await startRelayedPair(5_000);
    relay.hold(true);
    let taken = 0;
    const body = new Uint8Array(16_000);
    while (dialer.link.sendNotice(`${taken}`, body)) taken++;
    expect(dialer.link.state().counters.noticesRefused).toBe(1);
    relay.hold(false);
    await listener.until(() => listener.events.length === taken);
    expect(listener.events).toEqual(Array.from({ length: taken }, (_, i) => `notice ${i}`));
  });

  it('answer requests', async () => {
    const [dialer] = await startPair(
      {},
      {
        onRequest: (method, params) =>
          method === 'echo'
            ? Promise.resolve(params)
            : Promise.reject(new OperatorError('NO', 'no such thing', 'ask again')),
      },
    );
    expect(await dialer.link.request('echo', { bytes: [1, 2] }, 5_000)).toEqual({ bytes: [1, 2] });
    await expect(dialer.link.request('other', null, 5_000)).rejects.toMatchObject({
      code: 'refused',
      message: 'no such thing; ask again',
    });
  });

  it('give up on a request without an answer', async () => {
    const [dialer, listener] = await startPair({}, { onRequest: () => new Promise(() => undefined) });
    await expect(dialer.link.request('slow', null, 20)).rejects.toMatchObject({ code: 'timed-out' });
    const asked = dialer.link.request('slow', null, 60_000);
    const lost = expect(asked).rejects.toMatchObject({ code: 'connection-lost' });
    await listener.link.stop();
    await lost;
  });

  it('refuse what needs a peer as long as there is none', async () => {
    const listener = await startListener();
    expect(listener.link.sendNotice('epoch', 1)).toBe(false);
    await expect(listener.link.request('m', null, 100)).rejects.toMatchObject({ code: 'not-connected' });
  });

  it('notice at once that the other one stopped', async () => {
    const [dialer, listener] = await startPair();
    await dialer.link.stop();
    await listener.until(() => !listener.link.state().connected);
    expect(listener.events).toEqual(['lost fin']);
    expect(listener.link.state()).toMatchObject({ inSync: false, peerBootId: undefined });
  });

  it('heal after a cut with what both changed meanwhile', async () => {
    const [dialer, listener, relay] = await startRelayedPair(1_000);
    relay.reset();
    await dialer.until(() => !dialer.link.state().connected);
    expect(dialer.events).toEqual(['lost reset']);
    dialer.table.set('here', 1, 0);
    listener.table.set('there', 2, 0);
    await dialer.until(() => dialer.table.get('there', 0) === 2);
    await listener.until(() => listener.table.get('here', 0) === 1);
    await inSync(dialer, listener);
  });

  it('take a connection that has gone silent for lost', async () => {
    const [dialer, listener, relay] = await startRelayedPair(50);
    relay.hold(true);
    await dialer.until(() => dialer.events.includes('lost timeout'));
    await listener.until(() => listener.events.some((event) => event.startsWith('lost')));
    await inSync(dialer, listener);
    expect(dialer.link.state().counters.ended.get('silent')).toBeGreaterThan(0);
  });

  it('desynchronise when the connection takes nothing, and are equal again when it does', async () => {
    const [dialer, listener, relay] = await startRelayedPair(5_000);
    relay.hold(true);
    for (let i = 0; i < 110_000; i++) dialer.table.set(`k${i}`, i, 0);
    expect(dialer.link.state()).toMatchObject({ connected: true, inSync: false, counters: { desyncs: 1 } });
    dialer.table.delete('k0', 0);
    relay.hold(false);
    await listener.until(() => listener.link.state().counters.desyncsByPeer === 1);
    await inSync(dialer, listener);
    expect(listener.table.size).toBe(109_999);
    expect(dialer.states.map((state) => state.inSync)).toContain(false);
  });

  it('find out that a table differs, tell, mend it, and say since when it is the same', async () => {
    const [dialer, listener] = await startPair();
    dialer.table.set('k', 1, 0);
    await listener.until(() => listener.events.includes('merged k'));
    listener.table.merge({ key: 'k', value: 2, counter: 9, origin: 'nobody', expiresAtMs: Infinity }, 0);
    await dialer.until(() => dialer.events.includes('mended'));
    expect(dialer.table.get('k', 0)).toBe(2);
    expect(dialer.events).toEqual(['differs', 'merged k', 'mended']);
    await inSync(dialer, listener);
    expect(dialer.link.state()).toMatchObject({ protocolVersion: 2, counters: { bucketsDifferent: 1 } });
  });

  it('keep no more than their bounds for a peer that does not read, however much changes', async () => {
    const [dialer, , relay] = await startRelayedPair(60_000);
    relay.hold(true);
    const before = process.memoryUsage().arrayBuffers;
    for (let change = 0; change < 500_000; change++) {
      dialer.table.set(`k${change % 90_000}`, change, 0);
      if (change % 10_000 === 0) await nextTurn();
    }
    const { lag, connected } = dialer.link.state();
    const { queueEntriesMax, queueBytesMax, windowEntriesMax, windowBytesMax } = defaultSessionLimits;
    expect(connected).toBe(true);
    expect(lag.entries).toBeLessThanOrEqual(queueEntriesMax + windowEntriesMax + 512);
    expect(lag.bytes).toBeLessThanOrEqual(queueBytesMax + windowBytesMax + 64 * 1_024);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1_024 * 1_024);
  });
});

describe('a link refuses', () => {
  it('a peer with another key, and both say so', async () => {
    const listener = await startListener();
    const dialer = await start(createNode({ port: portOf(listener), keys: [new Uint8Array(32).fill(8)] }));
    await dialer.until(() => dialer.link.state().refusedReason === 'key');
    await listener.until(() => listener.link.state().refusedReason === 'key');
    expect(listener.link.state().counters.turnedAway.get('key')).toBeGreaterThan(0);
    expect(dialer.link.state().connected).toBe(false);
  });

  it('a third node with the right key, and both say so', async () => {
    const listener = await startListener();
    const third = await start(createNode({ self: { ...lb1, name: 'lb0' }, port: portOf(listener) }));
    await third.until(() => third.link.state().refusedReason === 'other-peer');
    await listener.until(() => listener.link.state().refusedReason === 'third-node');
    expect([third.link.state().connected, listener.link.state().connected]).toEqual([false, false]);
  });

  it('another version of the protocol, and tells the peer', async () => {
    const listener = await startListener();
    const peer = await startOddPeer(listener);
    peer.send({ type: 'hello', protocolVersion: 3, whatever: true });
    expect(await peer.message('refuse')).toEqual({ type: 'refuse', reason: 'protocol-version' });
    await peer.closed();
    expect(listener.link.state()).toMatchObject({ connected: false, refusedReason: 'protocol-version' });
  });

  it("addresses that are not the peer's, before the handshake", async () => {
    const [dialer, listener] = await startPair();
    const stranger = connectFrom('127.0.0.9', portOf(listener));
    await once(stranger, 'close');
    expect(stranger.bytesRead).toBe(0);
    expect([...listener.link.state().counters.turnedAway]).toEqual([['foreign-address', 1]]);
    expect(dialer.link.state().connected).toBe(true);
  });

  it('a peer that does not finish its handshake', async () => {
    const listener = await startListener();
    const silent = connectFrom(lb1.address, portOf(listener));
    await once(silent, 'close');
    expect([...listener.link.state().counters.turnedAway]).toEqual([['handshake-timeout', 1]]);
  });

  it('a fifth half-open connection, of which the good one is none', async () => {
    const [, listener] = await startPair();
    const halfOpen = Array.from({ length: 4 }, () => connectFrom(lb1.address, portOf(listener)));
    await Promise.all(halfOpen.map((socket) => once(socket, 'connect')));
    await once(connectFrom(lb1.address, portOf(listener)), 'close');
    expect([...listener.link.state().counters.turnedAway]).toEqual([['too-many-half-open', 1]]);
  });

  it('a peer that does not greet', async () => {
    const listener = await startListener();
    const peer = await startOddPeer(listener);
    await peer.closed();
    expect([...listener.link.state().counters.ended]).toEqual([['greeting', 1]]);
    expect(listener.events).toEqual([]);
  });
});

describe('a link loses', () => {
  it('a peer that sends half a frame and then nothing', async () => {
    const listener = await startListener({ heartbeatMs: 20 });
    const peer = await startOddPeer(listener);
    await peer.greet({ heartbeatMs: 20 });
    peer.socket.write(Buffer.from([0, 0, 1, 0, 0xde]));
    await listener.until(() => listener.events.includes('lost timeout'));
    await peer.closed();
  });

  it('no peer whose heartbeats come late, but says that it is quiet, and heard again', async () => {
    const listener = await startListener();
    const peer = await startOddPeer(listener);
    await peer.greet();
    peer.send({ type: 'heartbeat', withinMs: 200 });
    await listener.until(() => listener.events.includes('quiet'));
    peer.send({ type: 'heartbeat', withinMs: 200 });
    await listener.until(() => listener.events.includes('heard again'));
    expect(listener.link.state().connected).toBe(true);
    expect(listener.events).toEqual(['quiet', 'heard again']);
  });

  it.each([
    ['a frame that is too long', Buffer.from([0xff, 0, 0, 0]), 'frame-too-long'],
    ['no msgpack', Buffer.from([0, 0, 0, 1, 0x81]), 'not-msgpack'],
    ['no type', Buffer.from([0, 0, 0, 1, 0x80]), 'no-type'],
  ])('a peer that sends %s', async (_, bytes, reason) => {
    const listener = await startListener();
    const peer = await startOddPeer(listener);
    await peer.greet();
    peer.socket.write(bytes);
    await listener.until(() => listener.events.includes('lost protocol'));
    await peer.closed();
    expect([...listener.link.state().counters.ended]).toEqual([[reason, 1]]);
  });

  it('a peer that sends half a frame and then nothing', async () => {
    const listener = await startListener({ heartbeatMs: 50, paceMs: 50 });
    const peer = await startOddPeer(listener);
    await peer.greet({ heartbeatMs: 50 });
    peer.socket.write(Buffer.from([0, 0, 4, 0, 0x81, 0xa4]));
    await listener.until(() => listener.events.includes('lost timeout'));
    await peer.closed();
    expect([...listener.link.state().counters.ended]).toEqual([['silent', 1]]);
  });

  it('no peer that sends messages of a later version', async () => {
    const listener = await startListener();
    const peer = await startOddPeer(listener);
    await peer.greet();
    peer.send({ type: 'digest', table: 'stick' });
    peer.send({ type: 'notice', name: 'after', body: null });
    await listener.until(() => listener.events.includes('notice after'));
    expect(listener.link.state().counters.messagesOfUnknownType).toBe(1);
  });

  it('the old connection when the peer comes with a new one, and does not call that a loss', async () => {
    const listener = await startListener({ heartbeatMs: 5_000 });
    const old = await startOddPeer(listener);
    await old.greet({ bootId: 'first life' });
    await listener.until(() => listener.link.state().peerBootId === 'first life');
    const young = await startOddPeer(listener);
    await young.greet({ bootId: 'second life' });
    await listener.until(() => listener.link.state().peerBootId === 'second life');
    await old.closed();
    expect(listener.events).toEqual([]);
    expect(listener.link.state().counters.ended.get('replaced')).toBe(1);
  });

  it('not its good connection to one that only begins to greet', async () => {
    const [dialer, listener] = await startPair();
    const peer = await startOddPeer(listener);
    peer.send({ type: 'hello', protocolVersion: 3 });
    await peer.closed();
    dialer.table.set('k', 1, 0);
    await listener.until(() => listener.table.get('k', 0) === 1);
    expect(listener.link.state().counters.connections).toBe(1);
  });
});

describe('a thousand connections at once', () => {
  it.each([
    ['strangers', '127.0.0.9', ['foreign-address']],
    ["the peer's address", lb1.address, ['too-many-half-open', 'too-often', 'handshake-timeout', 'ECONNRESET']],
  ])('from %s do not disturb the pair', async (_, address, reasons) => {
    const [dialer, listener] = await startPair();
    const sockets = Array.from({ length: 1_000 }, () => connectFrom(address, portOf(listener)));
    let changes = 0;
    const closed = Promise.all(sockets.map((socket) => once(socket, 'close'))).then(() => 'closed');
    while ((await Promise.race([closed, dialer.link.request('tick', null, 5_000)])) !== 'closed') {
      dialer.table.set(`k${changes++}`, 1, 0);
    }
    await listener.until(() => listener.table.size === changes);
    const { turnedAway, connections } = listener.link.state().counters;
    expect(connections).toBe(1);
    expect(dialer.events.concat(listener.events).filter((event) => event.startsWith('lost'))).toEqual([]);
    expect([...turnedAway.values()].reduce((sum, count) => sum + count, 0)).toBe(1_000);
    expect([...turnedAway.keys()].filter((reason) => !reasons.includes(reason))).toEqual([]);
  });
});

describe('start', () => {
  it.each([
    ['listening', { self: { ...lb2, address: '192.0.2.77' }, peer: lb1 }],
    ['dialing', { self: { ...lb1, address: '192.0.2.77' }, peer: lb2 }],
  ])('of a %s node names a sync address that is not on this host', async (_, options) => {
    await expect(createNode(options).link.start()).rejects.toMatchObject({
      code: 'SYNC_ADDRESS_MISSING',
      line: expect.stringMatching(/^the sync address 192\.0\.2\.77 is not on this host; /) as unknown,
    });
  });

  it('names a port that another program has', async () => {
    const other = createServer();
    other.listen(0, lb2.address);
    await once(other, 'listening');
    stops.push(() => new Promise((resolve) => other.close(resolve)));
    const { port } = other.address() as { port: number };
    const failed = createNode({ self: lb2, peer: lb1, port }).link.start();
    await expect(failed).rejects.toMatchObject({ code: 'SYNC_PORT_IN_USE' });
  });

  it('takes a short key for a bug', () => {
    expect(() => createNode({ keys: [key.subarray(0, 8)] })).toThrow('broken invariant');
  });

  it('of the dialing node before the listening one finds it later', async () => {
    const reserved = createServer();
    reserved.listen(0, lb2.address);
    await once(reserved, 'listening');
    const { port } = reserved.address() as { port: number };
    await new Promise((resolve) => reserved.close(resolve));
    const dialer = await start(createNode({ port }));
    await dialer.until(() => dialer.link.state().unreachableReason === 'ECONNREFUSED');
    const listener = await startListener({ port });
    await inSync(dialer, listener);
    expect(dialer.link.state().unreachableReason).toBeUndefined();
  });
});
