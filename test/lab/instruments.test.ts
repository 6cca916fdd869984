/** A verifier that cannot find a fault is worth nothing: each kind of fault is made on purpose and must be reported. */

import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FaultyRelay } from './fixtures/faulty-relay.ts';
import type { Edit, RelayFaults } from './fixtures/faulty-relay.ts';
import { pattern } from './pattern.ts';
import { Prober } from './prober.ts';
import { patternSha256, TestServer } from './server.ts';
import { monotonicMs, sleep, waitUntil } from './time.ts';
import { Verifier } from './verifier.ts';
import type { VerifierEvent, VerifierOptions, VerifierReport } from './verifier.ts';

const header = 's1\n'.length;
const command = 'echo\n'.length;

let server: TestServer;
const relays: FaultyRelay[] = [];

beforeEach(async () => {
  server = new TestServer({ name: 's1', port: 0, address: '127.0.0.1' });
  await server.start();
});

afterEach(async () => {
  for (const relay of relays.splice(0)) relay.stop();
  await server.stop();
});

async function relayPort(faults: RelayFaults): Promise<number> {
  const relay = new FaultyRelay(server, faults);
  relays.push(relay);
  return relay.start();
}

function startVerifier(port: number, options: Partial<VerifierOptions> = {}): [Verifier, VerifierEvent[]] {
  const events: VerifierEvent[] = [];
  const verifier = new Verifier(
    {
      address: '127.0.0.1',
      port,
      connections: 1,
      mode: 'block',
      rate: 0,
      blockBytes: 1000,
      thinkMs: 1,
      stallMs: 5000,
      seed: 1,
      ...options,
    },
    (event) => events.push(event),
  );
  verifier.start();
  return [verifier, events];
}

/** Runs until so many bytes came back right on each connection, or all connections are over. */
async function verify(port: number, bytes: number, options: Partial<VerifierOptions> = {}): Promise<VerifierReport> {
  const [verifier, events] = startVerifier(port, options);
  const isOver = (): boolean => verifier.connections.every((connection) => connection.isOver);
  const isDone = (): boolean => verifier.connections.every((connection) => connection.verified >= bytes);
  await waitUntil(() => events.length > 0 && (isOver() || isDone()), { timeoutMs: 20_000, what: `${bytes} bytes` });
  return verifier.stop();
}

function startProber(port: number, timeoutMs = 100): Prober {
  const prober = new Prober({ address: '127.0.0.1', port, intervalMs: 1, timeoutMs, promptMs: 150 });
  prober.start();
  return prober;
}

describe('a relay without faults', () => {
  test.each(['stream', 'block'] as const)('mode %s: all bytes come back, nothing is reported', async (mode) => {
    const report = await verify(await relayPort({}), 20_000, { mode, connections: 20, rate: 200_000 });
    expect(report).toMatchObject({
      opened: 20,
      endings: { completed: 20, refused: 0, unreachable: 0, reset: 0, closed: 0, timeout: 0, failed: 0 },
      wrongBytes: { lost: 0, duplicated: 0, reordered: 0, altered: 0, foreign: 0 },
      byServer: { s1: 20 },
    });
    expect(report.bytesVerified).toBe(report.bytesSent);
    expect(report.bytesVerified).toBeGreaterThanOrEqual(20 * 20_000);
  });

  test('as fast as possible: megabytes, each byte right', async () => {
    const report = await verify(await relayPort({}), 20_000_000, { mode: 'stream' });
    expect(report.endings.completed).toBe(1);
    expect(report.bytesVerified).toBe(report.bytesSent);
    expect(report.connections[0]?.faults).toEqual([]);
  });

  test('idle connections send one block when opened and one when stopped', async () => {
    const report = await verify(await relayPort({}), 500, { mode: 'idle', connections: 3, blockBytes: 500 });
    expect(report.endings.completed).toBe(3);
    expect(report.bytesVerified).toBe(3 * 2 * 500);
  });
});

describe('wrong bytes are reported with their kind and their place', () => {
  // Whole within a block of 1000 bytes: of a block whose end is lost, the rest is awaited in vain.
  const at = 54_100;
  const alter = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => byte ^ 0xff));
  const swap = (bytes: Buffer): Buffer =>
    Buffer.concat([bytes.subarray(bytes.length / 2), bytes.subarray(0, bytes.length / 2)]);
  const cases: [string, Omit<Edit, 'offset'>, object[]][] = [
    ['loses 1 byte', { takeBytes: 1, replace: () => Buffer.alloc(0) }, [{ kind: 'lost', offset: at, bytes: 1 }]],
    ['loses 777 bytes', { takeBytes: 777, replace: () => Buffer.alloc(0) }, [{ kind: 'lost', offset: at, bytes: 777 }]],
    [
      'repeats 500 bytes',
      { takeBytes: 500, replace: (bytes) => Buffer.concat([bytes, bytes]) },
      [{ kind: 'duplicated', offset: at, bytes: 500 }],
    ],
    ['swaps two bytes', { takeBytes: 2, replace: swap }, [{ kind: 'reordered', offset: at, bytes: 2 }]],
    ['swaps 300 bytes', { takeBytes: 600, replace: swap }, [{ kind: 'reordered', offset: at, bytes: 300 }]],
    ['alters 4 bytes', { takeBytes: 4, replace: alter }, [{ kind: 'altered', offset: at, bytes: 4 }]],
    [
      'inserts 40 bytes of another stream',
      { takeBytes: 1, replace: (bytes) => Buffer.concat([pattern(99, 0, 40), bytes]) },
      [{ kind: 'foreign', offset: at, bytes: 40 }],
    ],
  ];

  describe.each(cases)('%s', (_name, edit, faults) => {
    test.each(['stream', 'block'] as const)('on the way back, mode %s', async (mode) => {
      const port = await relayPort({ towardsClient: { ...edit, offset: header + at } });
      const report = await verify(port, at + 20_000, { mode, rate: 1_000_000 });
      expect(report.connections[0]).toMatchObject({ ending: 'completed', faults });
    });

    test('on the way there', async () => {
      const port = await relayPort({ towardsServer: { ...edit, offset: command + at } });
      const report = await verify(port, at + 20_000);
      expect(report.connections[0]).toMatchObject({ ending: 'completed', faults });
    });
  });

  test('what is lost at the end of a block is not answered any more, and that is a time-out', async () => {
    const port = await relayPort({
      towardsClient: { offset: header + 5900, takeBytes: 100, replace: () => Buffer.alloc(0) },
    });
    const report = await verify(port, 20_000, { stallMs: 200 });
    expect(report.connections[0]).toMatchObject({ ending: 'timeout', bytesVerified: 5900, bytesUnanswered: 100 });
  });

  test('the sums say what one connection of several suffered', async () => {
    const port = await relayPort({
      towardsClient: { offset: header + at, takeBytes: 9, replace: () => Buffer.alloc(0) },
    });
    const report = await verify(port, at + 20_000, { connections: 5 });
    expect(report.wrongBytes).toEqual({ lost: 5 * 9, duplicated: 0, reordered: 0, altered: 0, foreign: 0 });
  });
});

describe('broken connections are reported with what came before', () => {
  const breakAfterFiveBlocks = (action: (client: Socket, server: Socket) => void): RelayFaults => ({
    onClientByte: { offset: command + 5000, action },
  });
  const broken = { bytesSent: 6000, bytesReceived: 5000, bytesVerified: 5000, bytesUnanswered: 1000, faults: [] };

  test('a reset', async () => {
    const fromMs = monotonicMs();
    const port = await relayPort(breakAfterFiveBlocks((client) => client.resetAndDestroy()));
    const [verifier, events] = startVerifier(port);
    const report = await verifier.ended;
    expect(report.endings.reset).toBe(1);
    expect(report.connections[0]).toMatchObject({ ...broken, ending: 'reset', error: 'ECONNRESET', server: 's1' });
    expect(events.find((event) => event.event === 'ended')).toMatchObject({ ending: 'reset', bytesVerified: 5000 });
    expect(report.connections[0]?.endedAtMs).toBeGreaterThan(fromMs);
    expect(report.connections[0]?.endedAtMs).toBeLessThan(monotonicMs());
  });

  test('an end that came too early', async () => {
    const report = await verify(await relayPort(breakAfterFiveBlocks((client) => client.end())), 10_000);
    expect(report.endings.closed).toBe(1);
    expect(report.connections[0]).toMatchObject({ ...broken, ending: 'closed' });
  });

  test('silence', async () => {
    const silence = (client: Socket, upstream: Socket): void => {
      client.pause();
      upstream.pause();
    };
    const port = await relayPort(breakAfterFiveBlocks(silence));
    const report = await verify(port, 10_000, { stallMs: 200 });
    expect(report.endings.timeout).toBe(1);
    expect(report.connections[0]).toMatchObject({ ...broken, ending: 'timeout' });
    expect(report.longestGap?.ms).toBeGreaterThanOrEqual(200);
  });

  test('refused, and accepted without a word', async () => {
    await server.setBehaviour('refuse');
    expect((await verify(server.port, 1)).endings.refused).toBe(1);
    await server.setBehaviour('hang');
    const hanging = await verify(server.port, 1, { stallMs: 200 });
    expect(hanging).toMatchObject({ opened: 0, endings: { timeout: 1 } });
    await server.setBehaviour('reset');
    expect((await verify(server.port, 1)).endings.reset).toBe(1);
  });

  test('an idle connection that is reset is noticed while idle', async () => {
    const [verifier, events] = startVerifier(server.port, { mode: 'idle', connections: 2 });
    await waitUntil(() => events.some((event) => event.event === 'ready'), { timeoutMs: 5000, what: 'ready' });
    await server.stop();
    const report = await verifier.ended;
    expect(report.endings.reset).toBe(2);
  });
});

describe('gaps of connections', () => {
  test('a pause is measured in length and time, and seen by all and by each', async () => {
    let pausedAtMs = 0;
    const port = await relayPort({
      onClientByte: {
        offset: command + 5000,
        action: (_client, upstream) => {
          pausedAtMs = monotonicMs();
          upstream.pause();
          setTimeout(() => upstream.resume(), 300);
        },
      },
    });
    const report = await verify(port, 20_000);
    expect(report.endings.completed).toBe(1);
    for (const gap of [report.longestGap, report.longestConnectionGap]) {
      expect(gap?.ms).toBeGreaterThanOrEqual(299);
      expect(gap?.ms).toBeLessThan(450);
      expect(Math.abs((gap?.startMs ?? 0) - pausedAtMs)).toBeLessThan(50);
    }
  });

  test('as long as one connection is served, another one that pauses is no gap of the service', async () => {
    let isFirst = true;
    const port = await relayPort({
      onClientByte: {
        offset: command + 5000,
        action: (_client, upstream) => {
          if (isFirst) {
            upstream.pause();
            setTimeout(() => upstream.resume(), 400);
          }
          isFirst = false;
        },
      },
    });
    const report = await verify(port, 100_000, { connections: 5 });
    expect(report.longestConnectionGap?.ms).toBeGreaterThanOrEqual(399);
    expect(report.longestGap?.ms).toBeLessThan(300);
  });
});

describe('the prober', () => {
  test('an undisturbed server: every attempt is served, by name, and no gap is listed', async () => {
    const prober = startProber(server.port);
    await sleep(500);
    const report = await prober.stop();
    expect(report).toMatchObject({ served: report.attempts, byServer: { s1: report.attempts }, errors: {} });
    expect(report.attempts + report.skipped).toBeGreaterThan(400);
  });

  test('a server that refuses for a while: the gap is as long, and lies where it was', async () => {
    const prober = startProber(server.port);
    await sleep(200);
    const fromMs = monotonicMs();
    await server.setBehaviour('refuse');
    await sleep(300);
    const toMs = monotonicMs();
    await server.setBehaviour('serve');
    await sleep(200);
    const report = await prober.stop();
    expect(report.refused).toBeGreaterThan(100);
    expect(report.longestGap?.startMs).toBeGreaterThan(fromMs - 50);
    expect(report.longestGap?.startMs).toBeLessThan(fromMs + 50);
    expect(report.longestGap?.endMs).toBeGreaterThanOrEqual(toMs);
    expect(report.longestGap?.endMs).toBeLessThan(toMs + 100);
  });

  test.each([
    ['hang', 'timeout'],
    ['reset', 'reset'],
  ] as const)('a server that does not answer (%s): each attempt ends as %s', async (behaviour, outcome) => {
    await server.setBehaviour(behaviour);
    const prober = startProber(server.port);
    await sleep(300);
    const report = await prober.stop();
    expect(report.attempts).toBeGreaterThan(100);
    expect(report[outcome]).toBe(report.attempts);
    expect(report.served).toBe(0);
    expect(report.longestGap?.ms).toBeGreaterThan(200);
  });

  test('a connection that ends instead of answering is told apart', async () => {
    const port = await relayPort({ onClientByte: { offset: 0, action: (client) => client.end() } });
    const prober = startProber(port);
    await sleep(200);
    const report = await prober.stop();
    expect(report.closed).toBe(report.attempts);
  });
});

describe('the server', () => {
  test('serves files over HTTP whose content and SHA-256 are known', async () => {
    const base = `http://127.0.0.1:${server.port}`;
    const file = new Uint8Array(await (await fetch(`${base}/file?bytes=200001&seed=5`)).arrayBuffer());
    expect(Buffer.compare(file, pattern(5, 0, 200_001))).toBe(0);
    expect((await (await fetch(`${base}/sha256?bytes=200001&seed=5`)).text()).trim()).toBe(patternSha256(5, 200_001));
    const who = await fetch(`${base}/who`);
    expect([await who.text(), who.headers.get('x-server')]).toEqual(['s1\n', 's1']);
  });
});
