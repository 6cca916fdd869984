/** The other node: what it knows of us, what it says of itself, and what can be asked of it. */
import type { NodeConfig, SyncConfig } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { Clock, Logger, Random, Service } from '../runtime/index.ts';
import { SyncLink, SyncRequestError } from '../sync/io/index.ts';
import type { LostHow, SyncKeys, SyncState, TableDifference } from '../sync/io/index.ts';
import type { Plain } from '../sync/index.ts';
import type { EventLog } from './events.ts';
import type { Mastership, PeerLoss, RouterRole } from './mastership.ts';
import type { ReplicatedState } from './replicated-state.ts';
import type { PeerStatus } from './status-document.ts';

export type PeerLinkOptions = {
  readonly self: NodeConfig;
  readonly peer: NodeConfig;
  readonly sync: SyncConfig;
  readonly keys: SyncKeys;
  readonly configHash: string;
  readonly bootId: string;
  /** How often this node tells the peer that it is there. */
  readonly heartbeatPaceMs: number;
};

export type PeerLinkPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
  readonly events: EventLog;
  readonly state: ReplicatedState;
  readonly mastership: Mastership;
  /** The link has come up or gone, or both nodes have (no longer) all that the other one has. */
  readonly onProgress: (state: { readonly connected: boolean; readonly inSync: boolean }) => void;
  readonly onRequest: (method: string, parameters: Plain) => Promise<Plain>;
  /** Both nodes have the same configuration, which they had not before, as far as was known. */
  readonly onSameConfig: () => void;
};

/** The notice that carries this node's roles; see docs/sync-protocol.md. */
const rolesNotice = 'roles';
/** The notice that carries the hash of this node's configuration, whenever that is a new one. */
const configNotice = 'config';

/** How long a node that starts waits for its peer's word: longer than a dialing peer ever pauses. */
const firstContactTimeoutMs = 1_500;

export class PeerLink implements Service {
  readonly name: string;
  readonly #ports: PeerLinkPorts;
  readonly #link: SyncLink;
  readonly #firstContact = Promise.withResolvers<undefined>();
  #told: SyncState | undefined;
  #configHash: string;
  /** Undefined: the peer has never told. */
  #configVerdict: 'same' | 'different' | undefined;
  #configVerdictAtMs = 0;
  #malformedNotices = 0;

  constructor(options: PeerLinkOptions, ports: PeerLinkPorts) {
    const { self, peer, sync, keys, configHash, bootId, heartbeatPaceMs } = options;
    const { clock, logger, random, state } = ports;
    this.name = peer.name;
    this.#ports = ports;
    this.#configHash = configHash;
    this.#link = new SyncLink(
      {
        self: { name: self.name, address: self.syncAddress },
        peer: { name: peer.name, address: peer.syncAddress },
        port: sync.port,
        keys,
        heartbeatMs: sync.heartbeatMs,
        paceMs: heartbeatPaceMs,
        configHash,
        bootId,
      },
      {
        clock,
        logger,
        random,
        tables: Object.values(state),
        onNotice: (name, body) => this.#onNotice(name, body),
        onRequest: ports.onRequest,
        onStateChanged: (syncState) => this.#onStateChanged(syncState),
        onDifference: (difference) => this.#onDifference(difference),
        onQuiet: (isQuiet) => ports.mastership.onPeerQuiet(isQuiet),
        onConnectionLost: (how) => {
          ports.events.add('peer', `${this.name}: sync connection lost (${how})`, { how });
          ports.mastership.onPeerLost(lossOf(how));
        },
      },
    );
  }

  /**
   * Resolves when the peer has told its roles, or there is no use in waiting: nobody answers, or not in time. A node
   * that is deaf on the LAN (a bond drops what it receives for seconds after a boot, a file has another VRRP) then
   * knows of an active peer before it could take itself for the only one.
   */
  async start(): Promise<void> {
    await this.#link.start();
    const timer = this.#ports.clock.after(firstContactTimeoutMs, () => this.#firstContact.resolve(undefined));
    await this.#firstContact.promise;
    timer.cancel();
  }

  stop(): Promise<void> {
    this.#firstContact.resolve(undefined);
    return this.#link.stop();
  }

  sendRoles(roles: Readonly<Record<string, RouterRole>>): void {
    this.#link.sendNotice(rolesNotice, roles);
  }

  /** This node has read another configuration: the peer hears of it at once. */
  setConfigHash(configHash: string): void {
    this.#configHash = configHash;
    this.#tellConfig();
    this.#link.setConfigHash(configHash);
  }

  setHeartbeatPace(heartbeatPaceMs: number): void {
    this.#link.setPace(heartbeatPaceMs);
  }

  /** What the next connection is made with; the one that stands is not touched. */
  setKeys(keys: SyncKeys): void {
    this.#link.setKeys(keys);
  }

  /** Throws OperatorError with the peer's refusal, or with why it could not be asked. */
  async request(method: string, parameters: Plain, timeoutMs: number): Promise<Plain> {
    try {
      return await this.#link.request(method, parameters, timeoutMs);
    } catch (cause) {
      if (!(cause instanceof SyncRequestError)) throw cause;
      throw new OperatorError('PEER', `${this.name}: ${cause.message}`, `look at ${this.name}: tandem status`, {
        cause,
      });
    }
  }

  status(): PeerStatus {
    const state = this.#link.state();
    const nowMs = this.#ports.clock.nowMs();
    const { counters } = state;
    return {
      name: this.name,
      connected: state.connected,
      refused: refusalText(state),
      inSync: state.inSync,
      inSyncForMs: state.inSyncSinceMs === undefined ? undefined : nowMs - state.inSyncSinceMs,
      lagEntries: state.lag.entries,
      lagMs: state.lag.oldestMs,
      lagBytes: state.lag.bytes,
      comparedForMs: state.comparedAtMs === undefined ? undefined : nowMs - state.comparedAtMs,
      protocolVersion: state.protocolVersion,
      tables: tableSizes(this.#ports.state),
      configDiffers: state.configDiffers,
      configDiffersForMs: state.configDiffers ? nowMs - this.#configVerdictAtMs : undefined,
      configHash: state.peerConfigHash,
      virtualRouters: state.connected ? this.#ports.mastership.peerStates() : {},
      counters: { ...flatten(counters), malformedNotices: this.#malformedNotices },
    };
  }

  /** Nothing that is sent and acknowledged can differ, unless a program or a memory is at fault: somebody must know. */
  #onDifference(difference: TableDifference): void {
    const { events, logger } = this.#ports;
    const { kind, table } = difference;
    if (kind === 'differs') {
      logger.warn({ peer: this.name, table, buckets: difference.buckets }, "a table differs from the peer's");
      events.add('sync', `${this.name}: table ${table} differs, it is being mended`, { table });
    } else {
      events.add('sync', `${this.name}: table ${table} is mended, ${difference.entries} entries came`, {
        ...difference,
      });
    }
  }

  #tellConfig(): void {
    this.#link.sendNotice(configNotice, { configHash: this.#configHash });
  }

  #onNotice(name: string, body: Plain): void {
    const configHash = name === configNotice ? readConfigHash(body) : undefined;
    if (configHash !== undefined) return this.#link.setPeerConfigHash(configHash);
    if (name === rolesNotice && this.#ports.mastership.onPeerRoles(body)) this.#firstContact.resolve(undefined);
    else this.#malformedNotices++;
  }

  #onStateChanged(state: SyncState): void {
    const before = this.#told;
    this.#told = state;
    this.#ports.onProgress(state);
    const { events, mastership } = this.#ports;
    const isNewPeer = state.connected && (before?.connected !== true || before.peerBootId !== state.peerBootId);
    if (isNewPeer) {
      events.add('peer', `${this.name}: sync connected`);
      // The hello may have been sent before a reload.
      this.#tellConfig();
      mastership.announce();
    }
    this.#onConfigs(state);
    const refused = refusalText(state);
    if (refused !== undefined || state.unreachableReason !== undefined) this.#firstContact.resolve(undefined);
    if (refused !== undefined && (before === undefined || refusalText(before) !== refused)) {
      events.add('peer', `${this.name}: ${refused}`);
    }
    if (state.inSync && before?.inSync !== true) events.add('sync', `${this.name}: in sync`);
    if (!state.inSync && state.connected && before?.inSync === true) events.add('sync', `${this.name}: not in sync`);
  }

  /** What is known of the peer's configuration stays while the link is down. */
  #onConfigs({ connected, configDiffers, peerConfigHash }: SyncState): void {
    const { events, clock, logger, onSameConfig } = this.#ports;
    const verdict = configDiffers ? 'different' : 'same';
    if (!connected || verdict === this.#configVerdict) return;
    const before = this.#configVerdict;
    this.#configVerdict = verdict;
    this.#configVerdictAtMs = clock.nowMs();
    if (verdict === 'same') {
      if (before !== undefined) events.add('peer', `${this.name} has the same configuration again`);
      onSameConfig();
      return;
    }
    const hashes = { ownConfigHash: this.#configHash, peerConfigHash };
    logger.warn({ peer: this.name, ...hashes }, 'the peer has another configuration');
    events.add('peer', `${this.name} has another configuration`, hashes);
  }
}

function tableSizes(state: ReplicatedState): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.values(state).map(({ name, size }) => [name, size]));
}

function lossOf(how: LostHow): PeerLoss {
  switch (how) {
    case 'fin':
    case 'reset':
      return 'died';
    case 'timeout':
      return 'silent';
    case 'protocol':
      return 'unknown';
  }
}

function readConfigHash(body: Plain): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { configHash } = body as Readonly<Record<string, unknown>>;
  const isHash = typeof configHash === 'string' && configHash.length > 0 && configHash.length <= 128;
  return isHash ? configHash : undefined;
}

/**
 * A sentence for each way in which two nodes do not accept each other. While the peer is connected, it was somebody
 * else who has been refused: that is counted, and no reason not to hand over.
 */
function refusalText({ connected, refusedReason }: SyncState): string | undefined {
  if (connected || refusedReason === undefined) return undefined;
  const texts: Readonly<Record<typeof refusedReason, string>> = {
    key: 'the two nodes have different sync keys',
    'protocol-version': 'the two nodes speak different versions of the sync protocol',
    'third-node': 'what connects is another node than the configured peer',
    'own-name': 'what connects has the name of this node',
    'other-peer': 'it is configured to have another peer than this node',
    other: 'refused for a reason that this version does not know',
  };
  return texts[refusedReason];
}

function flatten(counters: SyncState['counters']): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(counters).flatMap(([name, value]) =>
      value instanceof Map
        ? [...value].map(([reason, count]): [string, number] => [`${name}.${reason}`, count])
        : [[name, value]],
    ),
  );
}
