import { describe, expect, it } from 'vitest';
import type { SessionOptions } from '../../../src/sync/session.ts';
import type { Pair, Side } from './pair.ts';
import { createPair, createTable } from './pair.ts';

function connect(options?: Parameters<typeof createPair>[0]): Pair {
  const pair = createPair(options);
  pair.settle();
  expect([pair.a.session.isEstablished, pair.b.session.isEstablished]).toEqual([true, true]);
  for (const side of [pair.a, pair.b]) side.events.length = side.received.length = 0;
  return pair;
}

function contentOf({ table }: Side, nowMs = 0): Record<string, number> {
  return Object.fromEntries([...table.entries(nowMs)].sort());
}

function typesOf({ received }: Side): string[] {
  return received.map((message) => message.type);
}

function fill({ table }: Side, count: number, prefix = 'k'): void {
  for (let i = 0; i < count; i++) table.set(`${prefix}${i}`, i, 0);
}

describe('greeting', () => {
  it('is over when both have accepted the other', () => {
    const { a, b, settle } = createPair({ b: { configHash: 'other' } });
    settle();
    expect(a.events).toMatchObject([
      { kind: 'established', hello: { node: 'b', bootId: 'boot of b', configHash: 'other' } },
    ]);
    expect(b.events).toMatchObject([
      { kind: 'established', hello: { node: 'a', bootId: 'boot of a', configHash: 'same' } },
    ]);
  });

  it('lets nothing else flow before the peer has accepted', () => {
    const { a, b, carry } = createPair();
    fill(a, 1);
    expect(a.session.notify('epoch', 1)).toBe(false);
    carry(a, b);
    carry(b, a);
    expect(typesOf(b)).toEqual(['hello']);
    expect(typesOf(a)).toEqual(['hello', 'welcome']);
    carry(a, b);
    expect(typesOf(b)).toEqual(['hello', 'welcome', 'snapshot-begin', 'snapshot-chunk', 'snapshot-end']);
  });

  it.each<[string, Partial<SessionOptions>, string]>([
    ['its own name', { self: 'b', peer: 'a' }, 'own-name'],
    ['the name of a third node', { self: 'c', peer: 'b' }, 'third-node'],
    ['a peer that expects somebody else', { self: 'a', peer: 'c' }, 'other-peer'],
  ])('refuses %s, and says so', (_, options, reason) => {
    const { a, b, carry } = createPair({ a: options });
    carry(a, b);
    expect(b.events).toEqual([{ kind: 'ended', end: { how: 'refused', reason } }]);
    expect(b.counters.ended.get(reason)).toBe(1);
    carry(b, a);
    expect(a.received.at(-1)).toEqual({ type: 'refuse', reason });
    expect(a.session.isEstablished).toBe(false);
  });

  it('knows from a refusal why the peer does not want it', () => {
    const { a } = createPair();
    const events = a.session.receive({ type: 'refuse', reason: 'third-node' }, 0);
    expect(events).toEqual([{ kind: 'ended', end: { how: 'refused-by-peer', reason: 'third-node' } }]);
  });

  it('refuses another version of the protocol', () => {
    const { a } = createPair();
    const events = a.session.receive({ type: 'foreign-hello', protocolVersion: 2 }, 0);
    expect(events).toEqual([{ kind: 'ended', end: { how: 'refused', reason: 'protocol-version' } }]);
  });

  it('ends a peer that sends something else first', () => {
    const { a } = createPair();
    expect(a.session.receive({ type: 'ack', seq: 0 }, 0)).toEqual([
      { kind: 'ended', end: { how: 'protocol', reason: 'unexpected' } },
    ]);
  });

  it('ends a peer that is silent', () => {
    const { a, clock } = createPair({ limits: { greetingTimeoutMs: 2_000 } });
    expect(a.session.nextDeadlineMs()).toBe(2_000);
    clock.advance(1_999);
    expect(a.session.tick(1_999)).toEqual([]);
    expect(a.session.tick(2_000)).toEqual([{ kind: 'ended', end: { how: 'timeout', reason: 'greeting' } }]);
    expect(a.session.nextDeadlineMs()).toBe(Infinity);
  });
});

describe('replication', () => {
  it('brings both tables together and is in sync then', () => {
    const pair = createPair();
    fill(pair.a, 2_000, 'a');
    fill(pair.b, 1_000, 'b');
    pair.carry(pair.a, pair.b);
    pair.carry(pair.b, pair.a);
    pair.carry(pair.a, pair.b);
    expect(pair.a.session.inSyncSinceMs).toBeUndefined();
    pair.settle();
    expect(contentOf(pair.a)).toEqual(contentOf(pair.b));
    expect(pair.a.table.size).toBe(3_000);
    expect([pair.a.session.inSyncSinceMs, pair.b.session.inSyncSinceMs]).toEqual([0, 0]);
  });

  it('sends no batch larger than a peer can take in one go', () => {
    const pair = createPair();
    fill(pair.a, 2_000);
    pair.settle();
    const chunks = pair.b.received.filter((message) => message.type === 'snapshot-chunk');
    expect(chunks.map(({ batch }) => batch.keys.length)).toEqual([512, 512, 512, 464]);
  });

  it('keeps the table data under way within the window', () => {
    const pair = connect({ limits: { windowEntriesMax: 1_000 } });
    fill(pair.a, 5_000);
    pair.carry(pair.a, pair.b);
    expect(pair.b.table.size).toBe(1_024);
    expect(pair.a.session.nextTableFrame(0)).toBeUndefined();
    expect(pair.a.session.lag(0).entries).toBe(5_000);
    pair.carry(pair.b, pair.a);
    expect(pair.a.session.lag(0).entries).toBe(5_000 - 1_024);
    pair.settle();
    expect(contentOf(pair.b)).toEqual(contentOf(pair.a));
  });

  it('lets changes pass a snapshot that is under way', () => {
    const pair = createPair({ limits: { windowEntriesMax: 512 } });
    fill(pair.a, 10_000);
    pair.carry(pair.a, pair.b);
    pair.carry(pair.b, pair.a);
    pair.carry(pair.a, pair.b);
    pair.carry(pair.b, pair.a);
    pair.a.table.set('urgent', 1, 0);
    pair.carry(pair.a, pair.b);
    expect(pair.b.table.get('urgent', 0)).toBe(1);
    expect(pair.b.table.size).toBeLessThan(2_000);
    pair.settle();
    expect(contentOf(pair.b)).toEqual(contentOf(pair.a));
  });

  it('does not end a snapshot later because changes never end', () => {
    const pair = createPair({ limits: { windowEntriesMax: 1 } });
    fill(pair.a, 3_000);
    for (let turn = 0; turn < 40 && pair.a.session.inSyncSinceMs === undefined; turn++) {
      fill(pair.a, 600);
      pair.carry(pair.a, pair.b);
      pair.carry(pair.b, pair.a);
    }
    expect(pair.a.session.inSyncSinceMs).toBe(0);
  });

  it('sends a key that changes again and again once', () => {
    const pair = connect();
    for (let i = 0; i < 100; i++) pair.a.table.set('hot', i, 0);
    pair.settle();
    expect(pair.b.table.get('hot', 0)).toBe(99);
    expect(pair.b.counters.entriesReceived).toBe(1);
  });

  it('sends what is left of a life, and lets it end on both sides without a message', () => {
    const pair = connect({ limits: { comparePeriodMs: 60_000 } });
    pair.a.table.set('k', 7, 0, 1_000);
    pair.clock.advance(400);
    pair.settle();
    pair.b.received.length = 0;
    expect(pair.b.table.get('k', 999)).toBe(7);
    expect(pair.b.table.get('k', 1_000)).toBeUndefined();
    pair.clock.advance(600);
    pair.settle();
    expect(pair.b.received).toEqual([]);
  });

  it('does not send back what it received', () => {
    const pair = connect();
    fill(pair.a, 10);
    pair.settle();
    expect(typesOf(pair.a)).toEqual(['ack']);
  });

  it('takes data of a table that it does not have, and counts it', () => {
    const other = createTable('a');
    const pair = createPair({ b: { tables: [] } });
    fill(pair.a, 3);
    pair.settle();
    expect(other.size).toBe(0);
    expect(pair.b.counters.entriesOfUnknownTables).toBe(3);
    expect([pair.a.session.inSyncSinceMs, pair.b.session.inSyncSinceMs]).toEqual([0, 0]);
  });

  it('measures how far behind the peer is', () => {
    const pair = connect();
    fill(pair.a, 3);
    pair.clock.advance(30);
    expect(pair.a.session.lag(30)).toMatchObject({ entries: 3, oldestMs: 30 });
    pair.carry(pair.a, pair.b);
    pair.clock.advance(10);
    expect(pair.a.session.lag(40)).toMatchObject({ entries: 3, oldestMs: 40 });
    pair.carry(pair.b, pair.a);
    expect(pair.a.session.lag(40)).toEqual({ entries: 0, bytes: 0, oldestMs: 0 });
  });

  it('takes the age of a key that changes again from the first change that waits', () => {
    const pair = connect();
    pair.a.table.set('hot', 1, 0);
    pair.clock.advance(20);
    pair.a.table.set('hot', 2, 20);
    expect(pair.a.session.lag(30)).toMatchObject({ entries: 1, oldestMs: 30 });
  });

  it('is in sync only when its own snapshot has been acknowledged', () => {
    const { a, b, carry } = createPair();
    carry(a, b);
    carry(b, a);
    carry(a, b);
    a.session.receive({ type: 'snapshot-begin', seq: 1, table: 'stick' }, 3);
    a.session.receive({ type: 'snapshot-end', seq: 2, table: 'stick' }, 3);
    expect(a.session.inSyncSinceMs).toBeUndefined();
    a.session.receive({ type: 'ack', seq: 2 }, 4);
    expect(a.session.inSyncSinceMs).toBe(4);
  });

  it('acknowledges once what came in one turn', () => {
    const pair = connect();
    fill(pair.a, 1_500);
    pair.carry(pair.a, pair.b);
    pair.carry(pair.b, pair.a);
    expect(typesOf(pair.b)).toEqual(['delta', 'delta', 'delta']);
    expect(typesOf(pair.a)).toEqual(['ack']);
  });

  it('stops watching the tables when it ends', () => {
    let outputs = 0;
    const pair = connect({ a: { onOutput: () => outputs++ } });
    fill(pair.a, 1);
    expect(outputs).toBe(1);
    pair.a.session.stop();
    fill(pair.a, 10);
    expect(outputs).toBe(1);
    expect(pair.a.session.lag(0).entries).toBe(0);
    expect(pair.a.session.nextTableFrame(0)).toBeUndefined();
  });
});

describe('overflow', () => {
  const limits = { queueEntriesMax: 100, windowEntriesMax: 50 };

  it.each([
    ['entries', limits],
    ['bytes', { queueBytesMax: 4_000, windowEntriesMax: 50 }],
  ])('of the queue by %s: says desync, and is in sync again after a new snapshot', (_, each) => {
    const pair = connect({ limits: each });
    fill(pair.a, 101);
    expect(pair.a.counters.desyncs).toBe(1);
    expect(pair.a.session.inSyncSinceMs).toBeUndefined();
    pair.carry(pair.a, pair.b);
    expect(typesOf(pair.b)).toEqual(['desync']);
    expect(pair.b.counters.desyncsByPeer).toBe(1);
    expect(pair.b.session.inSyncSinceMs).toBeUndefined();
    pair.clock.advance(5);
    pair.settle();
    expect(typesOf(pair.b).slice(1)).toEqual(['snapshot-begin', 'snapshot-chunk', 'snapshot-end']);
    expect(contentOf(pair.b, 5)).toEqual(contentOf(pair.a, 5));
    expect([pair.a.session.inSyncSinceMs, pair.b.session.inSyncSinceMs]).toEqual([5, 5]);
  });

  it('sends the new snapshot only when what was under way has been acknowledged', () => {
    const pair = connect({ limits });
    fill(pair.a, 60);
    pair.carry(pair.a, pair.b);
    fill(pair.a, 101, 'more');
    expect(pair.carry(pair.a, pair.b)).toBe(false);
    pair.carry(pair.b, pair.a);
    pair.carry(pair.a, pair.b);
    expect(typesOf(pair.b)).toEqual(['delta', 'desync']);
    pair.settle();
    expect(contentOf(pair.b)).toEqual(contentOf(pair.a));
  });

  it('during a snapshot begins a new one', () => {
    const pair = createPair({ limits });
    fill(pair.a, 2_000);
    for (let turn = 0; turn < 3; turn++) {
      pair.carry(pair.a, pair.b);
      pair.carry(pair.b, pair.a);
    }
    fill(pair.a, 101, 'more');
    pair.settle();
    expect(pair.a.counters.desyncs).toBe(1);
    expect(contentOf(pair.b)).toEqual(contentOf(pair.a));
    expect(pair.a.session.inSyncSinceMs).toBe(0);
  });

  it('loses no deletion', () => {
    const pair = connect({ limits });
    fill(pair.a, 90);
    pair.settle();
    for (let i = 0; i < 90; i++) pair.a.table.delete(`k${i}`, 0);
    fill(pair.a, 101, 'more');
    pair.settle();
    expect(pair.a.counters.desyncs).toBe(1);
    expect(contentOf(pair.b)).toEqual(contentOf(pair.a));
    expect(pair.b.table.size).toBe(101);
  });
});

describe('heartbeats', () => {
  it('keep a quiet session alive', () => {
    const { a, b, clock, settle } = connect({ limits: { comparePeriodMs: 60_000 } });
    for (let i = 0; i < 20; i++) {
      clock.advance(100);
      expect([...a.session.tick(clock.nowMs()), ...b.session.tick(clock.nowMs())]).toEqual([]);
      settle();
    }
    expect(typesOf(a)).toEqual(Array(20).fill('heartbeat'));
  });

  it('missing three times end the session, any message sooner does not', () => {
    const { a, clock } = connect();
    clock.advance(299);
    a.session.receive({ type: 'ack', seq: 2 }, 299);
    expect(a.session.tick(598)).toEqual([]);
    expect(a.session.tick(599)).toEqual([{ kind: 'ended', end: { how: 'timeout', reason: 'silent' } }]);
    expect(a.session.isEstablished).toBe(false);
  });

  it('of a message of an unknown type count as well', () => {
    const { a } = connect();
    a.session.skip(250);
    expect(a.session.tick(549)).toEqual([]);
    expect(a.counters.messagesOfUnknownType).toBe(1);
  });

  it('are waited for as long as the slower side needs', () => {
    const { a } = connect({ b: { heartbeatMs: 1_000 } });
    expect(a.session.tick(2_999)).toEqual([]);
    expect(a.session.tick(3_000)).toMatchObject([{ kind: 'ended' }]);
  });

  it('come at the pace of the moment, and say so', () => {
    let paceMs = 50;
    const { a, clock } = connect({ a: { paceMs: () => paceMs } });
    a.session.takeControlFrames();
    const beatsUntil = (untilMs: number) => {
      let beats = 0;
      while (clock.nowMs() < untilMs) {
        a.session.tick(clock.nowMs());
        beats += a.session.takeControlFrames().length;
        clock.advance(10);
      }
      return beats;
    };
    expect(beatsUntil(191)).toBe(3);
    paceMs = 20;
    // The one that is due then says that the next ones come sooner.
    expect(beatsUntil(291)).toBe(5);
  });

  it('that do not come twice are told, and that the peer is heard again', () => {
    const { a } = connect();
    expect(a.session.receive({ type: 'heartbeat', withinMs: 5 }, 100)).toEqual([]);
    expect(a.session.nextDeadlineMs()).toBe(100);
    expect(a.session.tick(109)).toEqual([]);
    expect(a.session.tick(110)).toEqual([{ kind: 'quiet' }]);
    expect(a.session.tick(111)).toEqual([]);
    expect(a.session.receive({ type: 'ack', seq: 2 }, 120)).toEqual([{ kind: 'heard-again' }]);
    expect(a.session.tick(129)).toEqual([]);
    expect(a.session.tick(130)).toEqual([{ kind: 'quiet' }]);
    expect(a.session.skip(131)).toEqual([{ kind: 'heard-again' }]);
  });

  it('are listened for anew by who looks late, who may have stood still; death is not put off by that', () => {
    const { a } = connect();
    a.session.receive({ type: 'heartbeat', withinMs: 5 }, 100);
    for (let nowMs = 115; nowMs < 400; nowMs += 15) expect(a.session.tick(nowMs)).toEqual([]);
    expect(a.session.tick(400)).toMatchObject([{ kind: 'ended', end: { how: 'timeout' } }]);
  });

  it('of a peer that does not say how soon they come are not missed before its death', () => {
    const { a } = connect();
    a.session.receive({ type: 'heartbeat' }, 100);
    expect(a.session.tick(399)).toEqual([]);
  });

  it('do not pile up for a peer that does not read', () => {
    const { a } = connect();
    for (let nowMs = 100; nowMs < 300; nowMs += 100) a.session.tick(nowMs);
    expect(a.session.takeControlFrames()).toHaveLength(1);
  });
});

describe('protocol', () => {
  it.each([
    ['a gap in the numbers', { type: 'delta', seq: 9, table: 'stick', batch: emptyBatch() }, 'out-of-order'],
    ['a number that was there', { type: 'desync', seq: 1, table: 'stick' }, 'out-of-order'],
    ['an acknowledgement of what was not sent', { type: 'ack', seq: 99 }, 'out-of-order'],
    ['an acknowledgement that goes back', { type: 'ack', seq: 0 }, 'out-of-order'],
    ['a second hello', { type: 'foreign-hello', protocolVersion: 1 }, 'unexpected'],
    ['a second welcome', { type: 'welcome' }, 'unexpected'],
  ] as const)('ends with %s', (_, message, reason) => {
    const { a } = connect();
    expect(a.session.receive(message, 0)).toEqual([{ kind: 'ended', end: { how: 'protocol', reason } }]);
    expect(a.counters.ended.get(reason)).toBe(1);
    expect(a.session.receive({ type: 'heartbeat' }, 0)).toEqual([]);
  });

  it('ends with what cannot be decoded, once', () => {
    const { a } = connect();
    expect(a.session.fail('not-msgpack')).toEqual([{ kind: 'ended', end: { how: 'protocol', reason: 'not-msgpack' } }]);
    expect(a.session.fail('not-msgpack')).toEqual([]);
  });
});

describe('notices', () => {
  it('arrive in order and ahead of table data', () => {
    const { a, b, carry } = connect();
    fill(a, 1_000);
    expect([a.session.notify('epoch', 1), a.session.notify('epoch', { n: 2 })]).toEqual([true, true]);
    carry(a, b);
    expect(typesOf(b)).toEqual(['notice', 'notice', 'delta', 'delta']);
    expect(b.events).toEqual([
      { kind: 'notice', name: 'epoch', body: 1 },
      { kind: 'notice', name: 'epoch', body: { n: 2 } },
    ]);
  });

  it('are not taken when too many wait', () => {
    const { a, b, carry } = connect();
    const taken = Array.from({ length: 300 }, (_, i) => a.session.notify('n', i));
    expect(taken.filter(Boolean)).toHaveLength(256);
    expect(a.counters.noticesRefused).toBe(44);
    carry(a, b);
    expect(b.events).toHaveLength(256);
    expect(a.session.notify('n', 0)).toBe(true);
  });

  it('that are no plain data or too large are bugs', () => {
    const { a } = connect();
    expect(() => a.session.notify('n', 'x'.repeat(20_000))).toThrow('broken invariant');
    expect(() => a.session.notify('', 1)).toThrow('broken invariant');
  });
});

describe('requests', () => {
  it('are answered with a result or a refusal', () => {
    const { a, b, carry } = connect();
    expect([a.session.request('add', [1, 2], 500, 0), a.session.request('drain', 'web', 500, 0)]).toEqual([1, 2]);
    carry(a, b);
    expect(b.events).toEqual([
      { kind: 'request', id: 1, method: 'add', params: [1, 2] },
      { kind: 'request', id: 2, method: 'drain', params: 'web' },
    ]);
    b.session.respond(2, { kind: 'refused', error: 'no such server' });
    b.session.respond(1, { kind: 'result', result: 3 });
    b.session.respond(1, { kind: 'result', result: 4 });
    carry(b, a);
    expect(a.events).toEqual([
      { kind: 'answered', id: 2, outcome: { kind: 'refused', error: 'no such server' } },
      { kind: 'answered', id: 1, outcome: { kind: 'result', result: 3 } },
    ]);
  });

  it('time out, and a late answer is counted and dropped', () => {
    const { a, b, carry } = connect();
    a.session.request('slow', null, 50, 0);
    carry(a, b);
    expect(a.session.nextDeadlineMs()).toBe(50);
    expect(a.session.tick(49)).toEqual([]);
    expect(a.session.tick(50)).toEqual([{ kind: 'answered', id: 1, outcome: { kind: 'timed-out' } }]);
    b.session.respond(1, { kind: 'result', result: 3 });
    carry(b, a);
    expect(a.events).toEqual([]);
    expect(a.counters.responsesLate).toBe(1);
  });

  it('are bounded on the way out', () => {
    const { a } = connect();
    const ids = Array.from({ length: 65 }, () => a.session.request('m', null, 500, 0));
    expect(ids.at(63)).toBe(64);
    expect(ids.at(64)).toBeUndefined();
  });

  it('beyond the bound are refused by who gets them', () => {
    const { a, b, carry } = connect();
    for (let i = 0; i < 64; i++) a.session.request('m', null, 500, 0);
    carry(a, b);
    a.session.tick(500);
    a.session.stop();
    b.session.receive({ type: 'request', id: 65, method: 'm', params: null }, 0);
    expect(b.events).toHaveLength(64);
    const pair = connect();
    pair.a.session.request('m', null, 500, 0);
    pair.carry(pair.a, pair.b);
    pair.b.session.receive({ type: 'request', id: 1, method: 'again', params: null }, 0);
    pair.carry(pair.b, pair.a);
    expect(pair.a.events).toMatchObject([{ kind: 'answered', outcome: { kind: 'refused' } }]);
  });

  it('of a peer that does not read its answers end the session', () => {
    const { a } = connect();
    const ends = Array.from({ length: 1_100 }, (_, id) =>
      a.session.receive({ type: 'request', id, method: 'm', params: null }, 0),
    ).filter((events) => events.some((event) => event.kind === 'ended'));
    expect(ends).toEqual([[{ kind: 'ended', end: { how: 'protocol', reason: 'flood' } }]]);
  });

  it('with a result that cannot be sent are refused', () => {
    const { a, b, carry } = connect();
    a.session.request('m', null, 500, 0);
    carry(a, b);
    b.session.respond(1, { kind: 'result', result: new Uint8Array(300_000) });
    carry(b, a);
    expect(a.events).toMatchObject([{ kind: 'answered', id: 1, outcome: { kind: 'refused' } }]);
  });
});

function emptyBatch() {
  return { nodes: [], keys: [], counters: [], origins: [], ttlsMs: [], deleted: [], values: [] };
}
