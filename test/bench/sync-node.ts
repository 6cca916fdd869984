/**
 * One end of a sync link, with the tables of a node and nothing else of it: what replication costs is measured here.
 *
 *   node sync-node.ts SELF SELF_ADDRESS PEER PEER_ADDRESS KEY_FILE
 *
 * Reads commands from standard input, a line each, and answers each with a line of JSON:
 *
 *   sticks COUNT SERVICE SERVER   so many sources of the service are given to the server
 *   connect                       begins; a line more follows when both nodes have everything
 *   sessions RATE MS              makes so many records of sessions per second
 *   watch MS                      measures what comes in that time
 */

import { createInterface } from 'node:readline';
import { readKey } from '../../src/config/io/index.ts';
import { createReplicatedState, keyOf } from '../../src/node/replicated-state.ts';
import { createLogger, randomId, systemClock, systemRandom } from '../../src/runtime/index.ts';
import { encodeSession, isSessionValue, originOf, ReplicaTable, sessionKey } from '../../src/sync/index.ts';
import type { SessionRecord, SessionValue } from '../../src/sync/index.ts';
import { SyncLink } from '../../src/sync/io/index.ts';
import { monotonicMs } from '../lab/time.ts';
import { summarise } from './report.ts';
import type { Summary } from './report.ts';

export type SyncNodeEvent =
  | { readonly event: 'ready' | 'filled' | 'connecting' }
  /** From the beginning of the connection. */
  | { readonly event: 'in-sync'; readonly afterMs: number }
  | { readonly event: 'made'; readonly records: number; readonly cpuPercent: number }
  | { readonly event: 'watched'; readonly records: number; readonly cpuPercent: number; readonly lagMs: Summary };

const stickTtlMs = 3_600_000;
/** As often as a worker would tell of the connections that it has. */
const tickMs = 5;
const port = 7400;

const [self = '', selfAddress = '', peer = '', peerAddress = '', keyFile = ''] = process.argv.slice(2);
const clock = systemClock;
const ignore = (): void => undefined;
const bootId = randomId();
const origin = originOf(self, bootId);
const lagsMs: number[] = [];
let connectedAtMs = 0;

const state = createReplicatedState(origin, {
  ...{ onOverride: ignore, onServer: ignore, onStick: ignore, onEjection: ignore },
});
/** Like the node's own, with an ear. */
const sessions = new ReplicaTable<SessionValue>({
  ...{ name: 'sessions', origin, entriesMax: 262_144, whenFull: 'refuse', tombstonesMax: 262_144 },
  parse: (value) => (isSessionValue(value) ? value : undefined),
  onMerged: ({ value }) => {
    if (value !== undefined) lagsMs.push(monotonicMs() - value[2]);
  },
});

const link = new SyncLink(
  {
    self: { name: self, address: selfAddress },
    peer: { name: peer, address: peerAddress },
    ...{ port, keys: [await readKey(keyFile)], heartbeatMs: 1_000, paceMs: 200, configHash: 'bench', bootId },
  },
  {
    ...{ clock, logger: createLogger({ level: 'error', fields: { node: self } }, { clock }), random: systemRandom },
    tables: [state.overrides, state.servers, state.sticks, state.ejections, sessions],
    onNotice: ignore,
    onRequest: () => Promise.resolve(null),
    onQuiet: ignore,
    onDifference: ignore,
    onConnectionLost: ignore,
    onStateChanged: ({ connected, inSync }) => {
      if (connected && connectedAtMs === 0) connectedAtMs = monotonicMs();
      if (inSync) print({ event: 'in-sync', afterMs: monotonicMs() - connectedAtMs });
    },
  },
);

createInterface({ input: process.stdin })
  .on('line', (line) => {
    void perform(line.split(' '));
  })
  .on('close', () => process.exit());
print({ event: 'ready' });

async function perform([command, ...words]: readonly string[]): Promise<void> {
  const [first = 0, second = 0] = words.map(Number);
  if (command === 'sticks') fillSticks(first, words[1] ?? '', words[2] ?? '');
  if (command === 'connect') await connect();
  if (command === 'sessions') await makeSessions(first, second);
  if (command === 'watch') await watch(first);
}

function fillSticks(count: number, service: string, server: string): void {
  for (let i = 0; i < count; i++) {
    const source = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
    state.sticks.set(keyOf(service, source), server, clock.nowMs(), stickTtlMs);
  }
  print({ event: 'filled' });
}

async function connect(): Promise<void> {
  await link.start();
  print({ event: 'connecting' });
}

/**
 * By an absolute schedule: what comes late is made up for. The records are there before: in a node it is the workers
 * that make them.
 */
async function makeSessions(rate: number, forMs: number): Promise<void> {
  const prepared = Array.from({ length: (rate * forMs) / 1_000 }, (_, index) => createSession(index));
  const [usage, beganAtMs] = [process.cpuUsage(), monotonicMs()];
  let made = 0;
  const timer = clock.every(tickMs, () => {
    const due = Math.min(forMs, monotonicMs() - beganAtMs) * (rate / 1_000);
    for (; made < due; made++) {
      const [key, [service, server, , back, numbers]] = prepared[made] as (typeof prepared)[number];
      // The time at which it was made, on the clock that all processes of the machine have.
      sessions.set(key, [service, server, monotonicMs(), back, numbers], clock.nowMs());
    }
  });
  await clock.sleep(forMs + tickMs);
  timer.cancel();
  print({ event: 'made', records: made, cpuPercent: cpuPercent(usage, beganAtMs) });
}

function createSession(index: number): readonly [key: string, value: SessionValue] {
  const socket = {
    ...{ firstSent: Math.imul(index, 0x9e3779b1) >>> 0, firstReceived: Math.imul(index, 0x85ebca6b) >>> 0 },
    ...{ timestampOffset: index, mss: 1_448, sendScale: 7, receiveScale: 7, hasSack: true, hasTimestamps: true },
  };
  const virtual = '10.9.0.100';
  const record: SessionRecord = {
    ...{ service: 'web', server: `s${1 + (index % 3)}`, startedWallMs: 0, injectedBytes: 0 },
    front: {
      ...{ ...socket, local: { address: virtual, port: 80 } },
      remote: { address: `10.20.${(index >> 16) & 255}.${(index >> 8) & 255}`, port: 1_024 + (index & 255) },
    },
    back: {
      ...{ ...socket, local: { address: virtual, port: 1_024 + (index % 60_000) } },
      remote: { address: `10.9.0.${21 + (index % 3)}`, port: 8_080 },
    },
  };
  return [sessionKey(record.front), encodeSession(record)];
}

async function watch(forMs: number): Promise<void> {
  lagsMs.length = 0;
  const [usage, beganAtMs] = [process.cpuUsage(), monotonicMs()];
  await clock.sleep(forMs);
  const lagMs = summarise(lagsMs);
  print({ event: 'watched', records: lagsMs.length, cpuPercent: cpuPercent(usage, beganAtMs), lagMs });
}

/** Of one core, since then. */
function cpuPercent(since: NodeJS.CpuUsage, sinceMs: number): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 10 / (monotonicMs() - sinceMs);
}

function print(event: SyncNodeEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
