/**
 * One connection with the peer, without the connection: messages and time in, events and frames out.
 *
 *   greeting --(a good hello, and the peer's welcome)--> established --> ended
 *
 * Both sides send hello at once. Who accepts the other's hello answers `welcome`, who does not answers `refuse` with
 * the reason and ends. Only when both have accepted does anything else flow, so a node that is not wanted never takes
 * the place of a connection that works.
 */

import { assert } from '../base/index.ts';
import type { Answer, ConversationEvent } from './conversation.ts';
import { Conversation } from './conversation.ts';
import { Comparer, laterVerdict } from './comparer.ts';
import type { SyncCounters } from './counters.ts';
import { countReason } from './counters.ts';
import { refusalOf } from './greeting.ts';
import { Inbound } from './inbound.ts';
import type { SessionLimits } from './limits.ts';
import { originOf } from './entry.ts';
import { newestVersion, oldestVersion } from './limits.ts';
import type {
  Comparison,
  DecodeFault,
  ForeignHello,
  Hello,
  Message,
  RefuseReason,
  TableMessage,
  Verdict,
} from './message.ts';
import type { FrameFault } from './frame.ts';
import { Outbound } from './outbound.ts';
import type { Lag } from './outbound.ts';
import type { Plain } from './plain.ts';
import type { ReplicatedTable } from './replica-table.ts';

export type SessionOptions = {
  readonly self: string;
  readonly peer: string;
  readonly configHash: string;
  readonly bootId: string;
  /** How often this node says at least that it is there; three times this (or the peer's, if longer) mean death. */
  readonly heartbeatMs: number;
  /** How often it says so now, at most `heartbeatMs`. Twice as long in silence is told as `quiet`. */
  readonly paceMs: () => number;
  readonly limits: SessionLimits;
  readonly tables: readonly ReplicatedTable[];
  readonly counters: SyncCounters;
  readonly nowMs: () => number;
  /** Local changes wait to be pulled with `nextTableFrame`. */
  readonly onOutput: () => void;
};

/**
 * `out-of-order`: a number that does not follow; `unexpected`: a message that has no place in this phase; `flood`:
 * requests from a peer that does not read the answers.
 */
export type ProtocolFault = Exclude<DecodeFault, 'unknown-type'> | FrameFault | 'out-of-order' | 'unexpected' | 'flood';

export type SessionEnd =
  | { readonly how: 'refused'; readonly reason: RefuseReason }
  | { readonly how: 'refused-by-peer'; readonly reason: RefuseReason }
  | { readonly how: 'timeout'; readonly reason: 'greeting' | 'silent' }
  | { readonly how: 'protocol'; readonly reason: ProtocolFault };

export type SessionEvent =
  | { readonly kind: 'established'; readonly hello: Hello }
  /** Two heartbeats in a row have not come when the peer said they would; and it is heard again. */
  | { readonly kind: 'quiet' }
  | { readonly kind: 'heard-again' }
  /** The peer has something else in so many buckets of a table; and what was missing here has come. */
  | { readonly kind: 'differs'; readonly table: string; readonly buckets: number }
  | { readonly kind: 'mended'; readonly table: string; readonly entries: number }
  | ConversationEvent
  | { readonly kind: 'ended'; readonly end: SessionEnd };

type Greeting = {
  readonly name: 'greeting';
  readonly deadlineMs: number;
  readonly hello: Hello | undefined;
  readonly isWelcome: boolean;
};

type Established = {
  readonly name: 'established';
  readonly outbound: Outbound;
  readonly inbound: Inbound;
  /** The newest that both speak. */
  readonly protocolVersion: number;
  /** Undefined: the peer is of a version that cannot compare. */
  readonly comparer: Comparer | undefined;
  /** Silence longer than this means that the peer is dead. */
  readonly silenceMaxMs: number;
};

/** Longer silence than two heartbeats take is told, long before it counts as death. */
const quietHeartbeats = 2;

type Phase = Greeting | Established | { readonly name: 'ended' };

export class PeerSession {
  readonly #options: SessionOptions;
  readonly #conversation: Conversation;
  #phase: Phase;
  #heardAtMs: number;
  /** From when on it counts as quiet; Infinity: it is, or does not say how soon its next heartbeat comes. */
  #quietAtMs = Infinity;
  #isQuiet = false;
  /** As the peer's last heartbeat said. */
  #peerPaceMs: number | undefined;
  #heartbeatAtMs: number;
  #ackedSeq = 0;
  /** When slices of tables are due to be compared again; Infinity: the peer asks. */
  #compareAtMs = Infinity;
  /** As the counter stood when the table was last found to differ. */
  readonly #mendedBefore = new Map<string, number>();
  #inSyncSinceMs: number | undefined;

  constructor(options: SessionOptions) {
    const nowMs = options.nowMs();
    this.#options = options;
    this.#conversation = new Conversation(options.counters);
    this.#heardAtMs = nowMs;
    this.#heartbeatAtMs = nowMs + options.paceMs();
    this.#phase = {
      name: 'greeting',
      deadlineMs: nowMs + options.limits.greetingTimeoutMs,
      hello: undefined,
      isWelcome: false,
    };
    this.#conversation.send(helloOf(options));
  }

  get isEstablished(): boolean {
    return this.#phase.name === 'established';
  }

  /** Since when each side has had a whole snapshot of the other's tables; undefined if that is not so. */
  get inSyncSinceMs(): number | undefined {
    // A queue may have overflowed since the last message.
    return this.#phase.name === 'established' && this.#phase.outbound.isSettled ? this.#inSyncSinceMs : undefined;
  }

  /** Of the peer's and this node's; undefined before the greeting is through. */
  get protocolVersion(): number | undefined {
    return this.#phase.name === 'established' ? this.#phase.protocolVersion : undefined;
  }

  /** When all tables were last found to be the same on both nodes; undefined: not yet, or they cannot be compared. */
  get comparedAtMs(): number | undefined {
    return this.#phase.name === 'established' ? this.#phase.comparer?.comparedAtMs : undefined;
  }

  lag(nowMs: number): Lag {
    return this.#phase.name === 'established' ? this.#phase.outbound.lag(nowMs) : { entries: 0, bytes: 0, oldestMs: 0 };
  }

  /** When `tick` must be called at the latest; Infinity after the end. */
  nextDeadlineMs(): number {
    switch (this.#phase.name) {
      case 'greeting':
        return this.#phase.deadlineMs;
      case 'established':
        return Math.min(
          this.#heartbeatAtMs,
          this.#quietAtMs,
          this.#compareAtMs,
          this.#heardAtMs + this.#phase.silenceMaxMs,
          this.#conversation.nextDeadlineMs(),
        );
      case 'ended':
        return Infinity;
    }
  }

  /** Call when the deadline has passed, after everything that has arrived was received: it may be a sign of life. */
  tick(nowMs: number): SessionEvent[] {
    const phase = this.#phase;
    switch (phase.name) {
      case 'ended':
        return [];
      case 'greeting':
        return nowMs < phase.deadlineMs ? [] : this.#end({ how: 'timeout', reason: 'greeting' });
      case 'established':
        if (nowMs >= this.#heardAtMs + phase.silenceMaxMs) return this.#end({ how: 'timeout', reason: 'silent' });
        if (nowMs >= this.#heartbeatAtMs) this.#beat(nowMs);
        // The comparison itself is pulled with the table frames that follow.
        if (nowMs >= this.#compareAtMs) this.#compareAtMs = nowMs + this.#options.limits.comparePeriodMs;
        return [...this.#listen(nowMs), ...this.#conversation.expire(nowMs)];
    }
  }

  receive(message: Message | ForeignHello, nowMs: number): SessionEvent[] {
    const phase = this.#phase;
    switch (phase.name) {
      case 'ended':
        return [];
      case 'greeting':
        this.#heardAtMs = nowMs;
        return this.#receiveGreeting(phase, message, nowMs);
      case 'established':
        if (message.type === 'heartbeat') this.#peerPaceMs = message.withinMs;
        return this.#hear(nowMs, this.#receiveEstablished(phase, message, nowMs));
    }
  }

  /** A message of a type that this version does not know; it is a sign of life all the same. */
  skip(nowMs: number): SessionEvent[] {
    this.#options.counters.messagesOfUnknownType++;
    return this.#hear(nowMs, []);
  }

  /** What arrived is not the protocol. */
  fail(reason: ProtocolFault): SessionEvent[] {
    return this.#phase.name === 'ended' ? [] : this.#end({ how: 'protocol', reason });
  }

  /** Ends it without a word, for a connection that is gone or no longer wanted. */
  stop(): void {
    if (this.#phase.name === 'established') this.#phase.outbound.stop();
    this.#phase = { name: 'ended' };
    this.#inSyncSinceMs = undefined;
  }

  /**
   * The frames that go ahead of table data: notices, requests and answers in their order, then one acknowledgement of
   * all that was received since the last one. They are to be written whole and in this order; after the end as well,
   * as a refusal may be among them.
   */
  takeControlFrames(): readonly Uint8Array[] {
    if (this.#phase.name === 'established' && this.#ackedSeq !== this.#phase.inbound.receivedSeq) {
      this.#ackedSeq = this.#phase.inbound.receivedSeq;
      this.#conversation.send({ type: 'ack', seq: this.#ackedSeq });
    }
    return this.#conversation.takeFrames();
  }

  /** The next frame of table data, to be asked for while the connection can take it. */
  nextTableFrame(nowMs: number): Uint8Array | undefined {
    if (this.#phase.name !== 'established') return undefined;
    const { outbound, inbound, comparer } = this.#phase;
    const frame = outbound.nextFrame(nowMs, inbound.isComplete ? comparer : undefined, inbound.receivedSeq);
    this.#updateInSync(this.#phase, nowMs);
    return frame;
  }

  /** Queues a notice ahead of table data. False when there is no peer, or when too many wait already. */
  notify(name: string, body: Plain): boolean {
    return this.#phase.name === 'established' && this.#conversation.notify(name, body);
  }

  /** Queues a request; its `answered` event carries the id. Undefined when too many are in flight. */
  request(method: string, params: Plain, timeoutMs: number, nowMs: number): number | undefined {
    assert(this.#phase.name === 'established', 'a request goes to a peer');
    return this.#conversation.request(method, params, nowMs + timeoutMs);
  }

  /** Answers a request of the peer's, once. */
  respond(id: number, answer: Answer): void {
    if (this.#phase.name === 'established') this.#conversation.respond(id, answer);
  }

  #beat(nowMs: number): void {
    const withinMs = this.#options.paceMs();
    this.#heartbeatAtMs = nowMs + withinMs;
    // What waits already is a sign of life as well, and a peer that does not read must not fill the queue.
    if (!this.#conversation.isWaiting) this.#conversation.send({ type: 'heartbeat', withinMs });
  }

  #hear(nowMs: number, events: SessionEvent[]): SessionEvent[] {
    this.#heardAtMs = nowMs;
    this.#quietAtMs = this.#peerPaceMs === undefined ? Infinity : nowMs + quietHeartbeats * this.#peerPaceMs;
    if (!this.#isQuiet || this.#phase.name === 'ended') return events;
    this.#isQuiet = false;
    return [{ kind: 'heard-again' }, ...events];
  }

  #listen(nowMs: number): SessionEvent[] {
    if (nowMs < this.#quietAtMs) return [];
    const lateMs = nowMs - this.#quietAtMs;
    if (this.#peerPaceMs !== undefined && lateMs >= this.#peerPaceMs) {
      // Whoever looks as late as this stood still, maybe together with the peer, and begins to listen anew.
      this.#quietAtMs = nowMs + quietHeartbeats * this.#peerPaceMs;
      return [];
    }
    this.#quietAtMs = Infinity;
    this.#isQuiet = true;
    return [{ kind: 'quiet' }];
  }

  #receiveGreeting(greeting: Greeting, message: Message | ForeignHello, nowMs: number): SessionEvent[] {
    switch (message.type) {
      case 'hello':
      case 'foreign-hello':
        return this.#receiveHello(greeting, message, nowMs);
      case 'welcome':
        return this.#greet({ ...greeting, isWelcome: true }, nowMs);
      case 'refuse':
        return this.#end({ how: 'refused-by-peer', reason: message.reason });
      case 'snapshot-begin':
      case 'snapshot-chunk':
      case 'snapshot-end':
      case 'delta':
      case 'desync':
      case 'compare':
      case 'verdict':
      case 'repair':
      case 'repair-end':
      case 'ack':
      case 'heartbeat':
      case 'notice':
      case 'request':
      case 'response':
        return this.fail('unexpected');
    }
  }

  #receiveHello(greeting: Greeting, hello: Hello | ForeignHello, nowMs: number): SessionEvent[] {
    if (greeting.hello !== undefined) return this.fail('unexpected');
    const reason = refusalOf(hello, this.#options.self, this.#options.peer);
    if (reason !== undefined || hello.type === 'foreign-hello') {
      this.#conversation.send({ type: 'refuse', reason: reason ?? 'other' });
      return this.#end({ how: 'refused', reason: reason ?? 'other' });
    }
    this.#conversation.send({ type: 'welcome' });
    return this.#greet({ ...greeting, hello }, nowMs);
  }

  /** Goes on with the greeting, and is through with it once both sides have accepted. */
  #greet(greeting: Greeting, nowMs: number): SessionEvent[] {
    const { hello, isWelcome } = greeting;
    if (hello === undefined || !isWelcome) {
      this.#phase = greeting;
      return [];
    }
    const { tables, counters, heartbeatMs } = this.#options;
    const outbound = new Outbound(this.#options);
    const inbound = new Inbound({
      ...{ tables, peerTables: hello.tables, counters },
      peerOrigin: originOf(hello.node, hello.bootId),
      onNewerHere: (table, key) => outbound.resend(table, key),
    });
    const silenceMaxMs = 3 * Math.max(heartbeatMs, hello.heartbeatMs);
    const protocolVersion = Math.min(newestVersion, hello.newestVersion);
    const comparer = protocolVersion < 2 ? undefined : this.#createComparer(nowMs);
    this.#phase = { name: 'established', outbound, inbound, protocolVersion, comparer, silenceMaxMs };
    this.#heartbeatAtMs = nowMs + this.#options.paceMs();
    counters.connections++;
    return [{ kind: 'established', hello }];
  }

  #createComparer(nowMs: number): Comparer {
    const { self, peer, tables, counters, limits } = this.#options;
    const asks = self < peer;
    if (asks) this.#compareAtMs = nowMs + limits.comparePeriodMs;
    return new Comparer({ tables, asks, periodMs: limits.comparePeriodMs, counters }, nowMs);
  }

  #receiveEstablished(established: Established, message: Message | ForeignHello, nowMs: number): SessionEvent[] {
    switch (message.type) {
      case 'snapshot-begin':
      case 'snapshot-chunk':
      case 'snapshot-end':
      case 'delta':
      case 'desync':
      case 'compare':
      case 'repair':
      case 'repair-end':
        return this.#receiveTableData(established, message, nowMs);
      case 'verdict':
        return this.#receiveVerdict(established, message, nowMs);
      case 'ack':
        if (!established.outbound.acknowledge(message.seq)) return this.fail('out-of-order');
        this.#updateInSync(established, nowMs);
        return [];
      case 'heartbeat':
        return [];
      case 'notice':
      case 'request':
      case 'response':
        return this.#conversation.receive(message) ?? this.fail('flood');
      case 'refuse':
        return this.#end({ how: 'refused-by-peer', reason: message.reason });
      case 'hello':
      case 'foreign-hello':
      case 'welcome':
        return this.fail('unexpected');
    }
  }

  #receiveTableData(established: Established, message: TableMessage, nowMs: number): SessionEvent[] {
    if (!established.inbound.receive(message, nowMs)) return this.fail('out-of-order');
    const events: SessionEvent[] = [];
    if (message.type === 'compare') events.push(...this.#compare(established, message, nowMs));
    if (message.type === 'repair-end') events.push(this.#mended(message.table));
    this.#updateInSync(established, nowMs);
    return events;
  }

  /** The peer asks whether this node has the same. Where changes are under way either way, nobody can say. */
  #compare({ outbound, inbound, comparer }: Established, comparison: Comparison, nowMs: number): SessionEvent[] {
    const { table, receivedSeq } = comparison;
    const isQuiet = inbound.isComplete && outbound.hasSentAll(table, receivedSeq);
    const verdict = (isQuiet ? comparer?.judge(comparison, nowMs) : undefined) ?? laterVerdict(comparison);
    this.#conversation.send(verdict);
    return this.#repairIfDifferent(outbound, inbound, verdict);
  }

  #receiveVerdict({ outbound, inbound, comparer }: Established, verdict: Verdict, nowMs: number): SessionEvent[] {
    if (comparer?.receive(verdict, nowMs) !== true) return this.fail('unexpected');
    return this.#repairIfDifferent(outbound, inbound, verdict);
  }

  /** Each node sends all that it has in these buckets; what is newer, or the truth, is taken over. */
  #repairIfDifferent(outbound: Outbound, inbound: Inbound, { verdict, table, buckets }: Verdict): SessionEvent[] {
    if (verdict !== 'different') return [];
    this.#mendedBefore.set(table, this.#options.counters.entriesMended);
    inbound.expectRepair(table);
    outbound.repair(table, buckets);
    this.#inSyncSinceMs = undefined;
    return [{ kind: 'differs', table, buckets: buckets.length }];
  }

  #mended(table: string): SessionEvent {
    const { entriesMended } = this.#options.counters;
    return { kind: 'mended', table, entries: entriesMended - (this.#mendedBefore.get(table) ?? entriesMended) };
  }

  #end(end: SessionEnd): SessionEvent[] {
    this.stop();
    countReason(this.#options.counters.ended, end.reason);
    return [{ kind: 'ended', end }];
  }

  #updateInSync({ outbound, inbound }: Established, nowMs: number): void {
    if (!outbound.isSettled || !inbound.isComplete) this.#inSyncSinceMs = undefined;
    else this.#inSyncSinceMs ??= nowMs;
  }
}

function helloOf({ self, peer, configHash, bootId, heartbeatMs, tables }: SessionOptions): Hello {
  const names = tables.map((table) => table.name);
  const versions = { protocolVersion: oldestVersion, newestVersion };
  return { type: 'hello', ...versions, node: self, peer, configHash, bootId, heartbeatMs, tables: names };
}
