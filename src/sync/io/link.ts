/**
 * The sync link of a node: finds the peer, keeps one connection with it, and tells the lead what becomes of it. The
 * node whose name sorts first dials, the other listens; so there are never two half-built connections that wait for
 * each other.
 */

import type { TLSSocket } from 'node:tls';
import { assert } from '../../base/index.ts';
import type { Clock, Logger, Random, Service, Timer } from '../../runtime/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { Answer, Lag, Plain, RefuseReason, ReplicatedTable, SessionEvent, SyncCounters } from '../index.ts';
import { countReason, createSyncCounters, defaultSessionLimits } from '../index.ts';
import type { ConnectionEnd } from './connection.ts';
import { PeerConnection } from './connection.ts';
import { Dialer } from './dialer.ts';
import { Listener, requireLocalAddress } from './listener.ts';
import type { SyncKeys } from './psk.ts';
import { PendingRequests, SyncRequestError } from './pending-requests.ts';

export type SyncLinkOptions = {
  readonly self: { readonly name: string; readonly address: string };
  readonly peer: { readonly name: string; readonly address: string };
  /** Where the listening node listens. */
  readonly port: number;
  /** The secrets that this node shares with its peer, 16 to 256 bytes each; they have one in common. */
  readonly keys: SyncKeys;
  readonly heartbeatMs: number;
  /** How often it tells the peer that it is there, until `setPace`: at most `heartbeatMs`. */
  readonly paceMs: number;
  readonly configHash: string;
  /** An identity of this process's life. */
  readonly bootId: string;
};

/** How an established connection was lost; `reset` includes everything that the kernel reports as an error. */
export type LostHow = 'fin' | 'reset' | 'timeout' | 'protocol';

export type SyncLinkDependencies = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
  readonly tables: readonly ReplicatedTable[];
  readonly onNotice: (name: string, body: Plain) => void;
  /** A rejection's message is sent to the peer as the text of the refusal. */
  readonly onRequest: (method: string, params: Plain) => Promise<Plain>;
  /** Connected, refused, in sync, config or the peer's life changed; not for lag and counters. */
  readonly onStateChanged: (state: SyncState) => void;
  /** A table was not the same on both nodes; and what this node lacked of it has come. */
  readonly onDifference: (difference: TableDifference) => void;
  /** Nothing has come from the peer for two heartbeats, or it is heard again; the connection stands. */
  readonly onQuiet: (isQuiet: boolean) => void;
  /** Called in the turn in which the loss is noticed, before `onStateChanged`. */
  readonly onConnectionLost: (how: LostHow) => void;
};

export type TableDifference = Extract<SessionEvent, { kind: 'differs' | 'mended' }>;

export type SyncState = {
  readonly role: 'dials' | 'listens';
  readonly connected: boolean;
  /** Why the two nodes do not accept each other; `key`: they have different keys. */
  readonly refusedReason: RefuseReason | 'key' | undefined;
  /** Why the last attempt of a dialing node found nobody: "ECONNREFUSED", "handshake-timeout" … */
  readonly unreachableReason: string | undefined;
  /** Each side has a whole snapshot of the other's tables; how far behind the changes since are says `lag`. */
  readonly inSync: boolean;
  readonly inSyncSinceMs: number | undefined;
  readonly lag: Lag;
  /** When the digests of all tables were last found to be the same on both nodes. */
  readonly comparedAtMs: number | undefined;
  /** The newest that both nodes speak; undefined while they are not connected. */
  readonly protocolVersion: number | undefined;
  readonly configDiffers: boolean;
  /** As the peer said last; undefined while it is not connected. */
  readonly peerConfigHash: string | undefined;
  readonly peerBootId: string | undefined;
  /** The port that a listening node listens on. */
  readonly port: number | undefined;
  readonly counters: SyncCounters;
};

type Hello = Extract<SessionEvent, { kind: 'established' }>['hello'];

type Current = { readonly connection: PeerConnection; readonly hello: Hello; readonly peerConfigHash: string };

/** A shard each time, of 4,096 entries or so: a million entries are gone through in under a minute. */
const sweepPeriodMs = 200;

export class SyncLink implements Service {
  readonly name = 'sync';
  readonly #options: SyncLinkOptions;
  readonly #dependencies: SyncLinkDependencies;
  readonly #counters = createSyncCounters();
  #configHash: string;
  #paceMs: number;
  readonly #requests = new PendingRequests();
  readonly #dialer: Dialer | undefined;
  readonly #listener: Listener | undefined;
  /** Connections in their greeting. */
  readonly #candidates = new Set<PeerConnection>();
  #current: Current | undefined;
  #refusedReason: SyncState['refusedReason'];
  #unreachableReason: string | undefined;
  #sweepTimer: Timer | undefined;
  #toldState = '';

  constructor(options: SyncLinkOptions, dependencies: SyncLinkDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#configHash = options.configHash;
    this.#paceMs = options.paceMs;
    const { self, peer, port, keys } = options;
    assertKeys(keys);
    const { clock, random } = dependencies;
    const onSocket = (socket: TLSSocket): void => this.#greet(socket);
    const addresses = { selfAddress: self.address, peerAddress: peer.address, port, keys };
    if (self.name < peer.name) {
      const onFailure = (reason: string): void => this.#noteUnreachable(reason);
      this.#dialer = new Dialer(addresses, { clock, random, onSocket, onFailure });
    } else {
      const onTurnedAway = (reason: string): void => this.#noteTurnedAway(reason);
      this.#listener = new Listener(addresses, { clock, onSocket, onTurnedAway });
    }
  }

  /** Throws OperatorError when the sync address is not on this host or its port is taken. */
  async start(): Promise<void> {
    const { clock, tables } = this.#dependencies;
    if (this.#listener === undefined) await requireLocalAddress(this.#options.self.address);
    await this.#listener?.start();
    this.#dialer?.start();
    this.#sweepTimer = clock.every(sweepPeriodMs, () => {
      for (const table of tables) table.sweep(clock.nowMs());
    });
  }

  /** Closes the connection in order; requests in flight are rejected. */
  async stop(): Promise<void> {
    this.#sweepTimer?.cancel();
    this.#dialer?.stop();
    for (const candidate of this.#candidates) candidate.stop();
    this.#candidates.clear();
    this.#current?.connection.stop();
    this.#current = undefined;
    this.#requests.rejectAll();
    await this.#listener?.stop();
    this.#tellState();
  }

  state(): SyncState {
    const session = this.#current?.connection.session;
    const inSyncSinceMs = session?.inSyncSinceMs;
    return {
      role: this.#dialer === undefined ? 'listens' : 'dials',
      connected: session !== undefined,
      refusedReason: this.#refusedReason,
      unreachableReason: this.#unreachableReason,
      inSync: inSyncSinceMs !== undefined,
      inSyncSinceMs,
      lag: session?.lag(this.#dependencies.clock.nowMs()) ?? { entries: 0, bytes: 0, oldestMs: 0 },
      comparedAtMs: session?.comparedAtMs,
      protocolVersion: session?.protocolVersion,
      configDiffers: this.#current !== undefined && this.#current.peerConfigHash !== this.#configHash,
      peerConfigHash: this.#current?.peerConfigHash,
      peerBootId: this.#current?.hello.bootId,
      port: this.#listener?.port,
      counters: this.#counters,
    };
  }

  /** This node has another configuration from now on. What the peer is told of it is for the caller to say. */
  setConfigHash(configHash: string): void {
    this.#configHash = configHash;
    this.#tellState();
  }

  /** How often the peer is told from its next heartbeat on that this node is there: at most `heartbeatMs`. */
  setPace(paceMs: number): void {
    this.#paceMs = paceMs;
  }

  /** For connections to come: the one that stands stays as it is. */
  setKeys(keys: SyncKeys): void {
    assertKeys(keys);
    this.#dialer?.setKeys(keys);
    this.#listener?.setKeys(keys);
  }

  /** The peer says that it has another configuration. */
  setPeerConfigHash(peerConfigHash: string): void {
    if (this.#current === undefined) return;
    this.#current = { ...this.#current, peerConfigHash };
    this.#tellState();
  }

  /** Sends a notice in this turn, ahead of table data. False when there is no peer or too many wait. */
  sendNotice(name: string, body: Plain): boolean {
    const connection = this.#current?.connection;
    if (connection?.session.notify(name, body) !== true) return false;
    connection.flushControl();
    return true;
  }

  /** The peer's result. Rejects with SyncRequestError, see its codes. */
  request(method: string, params: Plain, timeoutMs: number): Promise<Plain> {
    const connection = this.#current?.connection;
    if (connection === undefined) return Promise.reject(new SyncRequestError('not-connected', method));
    const id = connection.session.request(method, params, timeoutMs, this.#dependencies.clock.nowMs());
    if (id === undefined) return Promise.reject(new SyncRequestError('busy', method));
    const answer = this.#requests.add(id, method);
    connection.flushControl();
    return answer;
  }

  #greet(socket: TLSSocket): void {
    this.#unreachableReason = undefined;
    const { self, peer, bootId, heartbeatMs } = this.#options;
    const configHash = this.#configHash;
    const { clock, tables } = this.#dependencies;
    const names = { self: self.name, peer: peer.name };
    const connection: PeerConnection = new PeerConnection(socket, {
      clock,
      session: {
        ...names,
        configHash,
        bootId,
        heartbeatMs,
        paceMs: () => this.#paceMs,
        tables,
        counters: this.#counters,
        limits: defaultSessionLimits,
      },
      onEvent: (event) => this.#handle(connection, event),
      onEnd: (end) => this.#handleEnd(connection, end),
      onActivity: () => this.#tellState(),
    });
    this.#candidates.add(connection);
    connection.start();
  }

  #handle(connection: PeerConnection, event: Exclude<SessionEvent, { kind: 'ended' }>): void {
    switch (event.kind) {
      case 'established':
        return this.#establish(connection, event.hello);
      case 'quiet':
      case 'heard-again':
        return this.#dependencies.onQuiet(event.kind === 'quiet');
      case 'differs':
      case 'mended':
        return this.#dependencies.onDifference(event);
      case 'notice':
        return this.#dependencies.onNotice(event.name, event.body);
      case 'request':
        void this.#answer(connection, event.id, event.method, event.params);
        return;
      case 'answered':
        return this.#requests.settle(event.id, event.outcome);
    }
  }

  #establish(connection: PeerConnection, hello: Hello): void {
    this.#candidates.delete(connection);
    if (this.#current !== undefined) {
      // The peer would not have come again if it still had the old one.
      this.#current.connection.abandon();
      this.#requests.rejectAll();
      countReason(this.#counters.ended, 'replaced');
    }
    this.#current = { connection, hello, peerConfigHash: hello.configHash };
    this.#refusedReason = undefined;
    this.#listener?.greeted(connection.socket);
    this.#dialer?.forgiveFailures();
    const configDiffers = hello.configHash !== this.#configHash;
    this.#dependencies.logger.info({ peer: this.#options.peer.name, configDiffers }, 'sync connected');
    this.#tellState();
  }

  async #answer(connection: PeerConnection, id: number, method: string, params: Plain): Promise<void> {
    const answer = await this.#askLead(method, params);
    connection.session.respond(id, answer);
    connection.flushControl();
  }

  async #askLead(method: string, params: Plain): Promise<Answer> {
    try {
      return { kind: 'result', result: await this.#dependencies.onRequest(method, params) };
    } catch (error) {
      if (error instanceof OperatorError) return { kind: 'refused', error: error.line };
      this.#dependencies.logger.warn({ err: error }, 'a request of the peer failed');
      return { kind: 'refused', error: error instanceof Error ? error.message : String(error) };
    }
  }

  #handleEnd(connection: PeerConnection, end: ConnectionEnd): void {
    this.#candidates.delete(connection);
    if (end.how === 'refused' || end.how === 'refused-by-peer') this.#noteRefused(end.reason, end.how);
    if (end.how === 'fin' || end.how === 'reset') countReason(this.#counters.ended, end.how);
    if (this.#current?.connection === connection) this.#lose(lostHow(end));
    this.#dialer?.again();
    this.#tellState();
  }

  #lose(how: LostHow): void {
    this.#current = undefined;
    this.#requests.rejectAll();
    this.#dependencies.logger.warn({ peer: this.#options.peer.name, how }, 'sync connection lost');
    this.#dependencies.onConnectionLost(how);
  }

  #noteRefused(reason: RefuseReason | 'key', by: string): void {
    if (this.#refusedReason === reason) return;
    this.#refusedReason = reason;
    this.#dependencies.logger.warn({ peer: this.#options.peer.name, reason, by }, 'sync refused');
  }

  #noteUnreachable(reason: string): void {
    countReason(this.#counters.turnedAway, reason);
    if (reason === 'key') {
      this.#unreachableReason = undefined;
      this.#noteRefused('key', 'handshake');
    } else if (this.#unreachableReason !== reason) {
      this.#unreachableReason = reason;
      this.#refusedReason = undefined;
      this.#dependencies.logger.info({ peer: this.#options.peer.name, reason }, 'sync peer unreachable');
    }
    this.#tellState();
  }

  #noteTurnedAway(reason: string): void {
    countReason(this.#counters.turnedAway, reason);
    // A connection that works is not refused, whatever else knocks.
    if (reason === 'key' && this.#current === undefined) this.#noteRefused('key', 'handshake');
    this.#tellState();
  }

  /** Tells the lead, but only what is news. */
  #tellState(): void {
    const connected = this.#current !== undefined;
    const inSync = this.#current?.connection.session.inSyncSinceMs !== undefined;
    const hashes = [this.#configHash, this.#current?.peerConfigHash].join(' ');
    const news = [
      connected,
      inSync,
      hashes,
      this.#current?.hello.bootId,
      this.#refusedReason,
      this.#unreachableReason,
    ].join('|');
    if (news === this.#toldState) return;
    this.#toldState = news;
    this.#dependencies.onStateChanged(this.state());
  }
}

function assertKeys(keys: SyncKeys): void {
  for (const key of keys) assert(key.length >= 16 && key.length <= 256, 'a sync key of 16 to 256 bytes');
}

function lostHow(end: ConnectionEnd): LostHow {
  switch (end.how) {
    case 'fin':
    case 'reset':
    case 'timeout':
    case 'protocol':
      return end.how;
    case 'refused':
    case 'refused-by-peer':
      return 'protocol';
  }
}
