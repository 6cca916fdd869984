/**
 * A node of protocol version 1, as it was recorded: every frame that it wrote in a session with its like, and what both
 * changed in between. This version stands on the other side.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../src/runtime/index.ts';
import { createSyncCounters } from '../../../src/sync/counters.ts';
import { FrameDecoder } from '../../../src/sync/frame.ts';
import { defaultSessionLimits } from '../../../src/sync/limits.ts';
import type { ForeignHello, Message } from '../../../src/sync/message.ts';
import { decodeMessage } from '../../../src/sync/message.ts';
import type { Plain } from '../../../src/sync/plain.ts';
import type { SessionEvent } from '../../../src/sync/session.ts';
import { PeerSession } from '../../../src/sync/session.ts';
import { createTable } from './pair.ts';

type Name = 'a' | 'b';
type Step = { readonly who: Name | 'time'; readonly what: string; readonly args: readonly unknown[] };

const recorded = JSON.parse(readFileSync(new URL('fixtures/protocol-1.json', import.meta.url), 'utf8')) as {
  readonly limits: { readonly queueEntriesMax: number; readonly windowEntriesMax: number };
  readonly steps: readonly Step[];
  readonly content: Readonly<Record<string, number>>;
};

/** This version in the place of one of the two. */
class Understudy {
  readonly clock = new ManualClock();
  readonly table;
  readonly counters = createSyncCounters();
  readonly session: PeerSession;
  readonly events: SessionEvent[] = [];
  readonly #self: Name;
  /** What it wrote and what the recorded one wrote at the same points. */
  readonly wrote: (Message | ForeignHello)[][] = [];
  readonly wouldHaveWritten: (Message | ForeignHello)[][] = [];

  constructor(self: Name) {
    this.#self = self;
    this.table = createTable(self);
    this.session = new PeerSession({
      self,
      peer: self === 'a' ? 'b' : 'a',
      ...{ configHash: 'same', bootId: `boot of ${self}`, heartbeatMs: 100, paceMs: () => 100 },
      tables: [this.table],
      counters: this.counters,
      limits: { ...defaultSessionLimits, ...recorded.limits },
      nowMs: () => this.clock.nowMs(),
      onOutput: () => undefined,
    });
  }

  perform({ who, what, args }: Step): void {
    const nowMs = this.clock.nowMs();
    if (who === 'time') this.clock.advance(args[0] as number);
    else if (what === 'send' && who === this.#self) this.#send(args as readonly string[]);
    else if (what === 'send') this.#receive(args as readonly string[], nowMs);
    else if (who === this.#self) this.#act(what, args, nowMs);
  }

  #act(what: string, [key, value, ttlMs]: readonly unknown[], nowMs: number): void {
    if (what === 'set') this.table.set(key as string, value as number, nowMs, ttlMs as number | undefined);
    if (what === 'delete') this.table.delete(key as string, nowMs);
    if (what === 'fill') for (let i = 0; i < Number(value); i++) this.table.set(`${String(key)}${i}`, i, nowMs);
    if (what === 'tick') this.events.push(...this.session.tick(nowMs));
    if (what === 'notify') this.session.notify(key as string, value as Plain);
    if (what === 'request') this.session.request(key as string, value as Plain, 1_000, nowMs);
    if (what === 'respond') this.session.respond(key as number, { kind: 'result', result: value as Plain });
  }

  #send(recordedFrames: readonly string[]): void {
    const nowMs = this.clock.nowMs();
    const frames = [...this.session.takeControlFrames()];
    for (let frame = this.session.nextTableFrame(nowMs); frame !== undefined;) {
      frames.push(frame);
      frame = this.session.nextTableFrame(nowMs);
    }
    this.wrote.push(messagesIn(frames));
    this.wouldHaveWritten.push(messagesIn(recordedFrames.map((frame) => Buffer.from(frame, 'base64'))));
  }

  #receive(frames: readonly string[], nowMs: number): void {
    for (const message of messagesIn(frames.map((frame) => Buffer.from(frame, 'base64')))) {
      this.events.push(...this.session.receive(message, nowMs));
    }
  }
}

function messagesIn(frames: readonly Uint8Array[]): (Message | ForeignHello)[] {
  const decoder = new FrameDecoder();
  return frames
    .flatMap((frame) => [...decoder.push(frame)])
    .map((payload) => {
      const message = payload.ok ? decodeMessage(payload.value) : payload;
      if (!message.ok) throw new Error(`a recorded frame is none: ${message.reason}`);
      return message.value;
    });
}

describe.each<[Name, string]>([
  ['a', 'asks'],
  ['b', 'is asked'],
])('a session with a recorded node of protocol version 1, as %s, which %s', (self) => {
  const understudy = new Understudy(self);
  for (const step of recorded.steps) understudy.perform(step);

  it('says what a node of that version would say, message by message', () => {
    const [hello] = understudy.wrote[0] ?? [];
    expect(hello).toMatchObject({ type: 'hello', protocolVersion: 1, newestVersion: 2 });
    const [[, ...first] = [], ...rest] = understudy.wrote;
    const [[, ...firstExpected] = [], ...restExpected] = understudy.wouldHaveWritten;
    expect([first, ...rest]).toEqual([firstExpected, ...restExpected]);
  });

  it('has replicated everything, with a desync on either side, and is in sync', () => {
    const { table, clock, session, counters } = understudy;
    expect(session.protocolVersion).toBe(1);
    expect(Object.fromEntries([...table.entries(clock.nowMs())].sort())).toEqual(recorded.content);
    expect(session.inSyncSinceMs).toBeDefined();
    expect(counters).toMatchObject({ desyncs: 1, desyncsByPeer: 1, comparisons: 0 });
    expect(understudy.events.filter(({ kind }) => kind === 'ended')).toEqual([]);
  });

  it('does not compare tables, however long it takes', () => {
    const { clock, session } = understudy;
    clock.advance(5_000);
    expect(session.nextTableFrame(clock.nowMs())).toBeUndefined();
    expect(session.comparedAtMs).toBeUndefined();
  });
});
