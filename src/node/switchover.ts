/**
 * The planned swap: the node that is to be active claims the addresses while the old one still serves, and the old one
 * lets go when it hears the new one. So there is no moment in which nobody answers.
 */
import { OperatorError } from '../runtime/index.ts';
import type { Clock } from '../runtime/index.ts';
import type { Plain } from '../sync/index.ts';
import { GapProbe } from './gap-probe.ts';
import type { GapProbeTarget } from './gap-probe.ts';
import type { FailoverRequest } from './admin-api.ts';
import type { Mastership } from './mastership.ts';
import type { FailoverReport, PeerStatus } from './status-document.ts';
import type { VrrpCommand } from './vrrp-protocol.ts';

export type SwitchoverPorts = {
  readonly clock: Clock;
  readonly mastership: Mastership;
  readonly sendToVrrp: (command: VrrpCommand) => void;
  /** Asks the peer; rejects with its refusal. */
  readonly askPeer: (method: string, parameters: Plain, timeoutMs: number) => Promise<Plain>;
  readonly peer: () => PeerStatus | undefined;
  /** Where to measure the time without service of these virtual routers; undefined: nowhere. */
  readonly probeTarget: (routers: readonly string[]) => GapProbeTarget | undefined;
  readonly openConnections: () => Promise<number>;
};

/** Where the peer's adverts do not pass, the old active goes on after this: a switchover never leaves nobody active. */
const graceMs = 1_000;
/** How long the measuring client goes on once the peer is active, to see it answer. */
const settleMs = 1_000;

export class Switchover {
  readonly #self: string;
  readonly #ports: SwitchoverPorts;
  #running = false;

  constructor(self: string, ports: SwitchoverPorts) {
    this.#self = self;
    this.#ports = ports;
  }

  /**
   * Makes the other node active for all that this node holds (or what the request names of it), or asks the peer to do
   * so if it is the active one. Throws OperatorError with the reason when it is refused or did not come about; this
   * node then serves as before.
   */
  async run(request: FailoverRequest): Promise<FailoverReport> {
    const { mastership } = this.#ports;
    const peer = this.#ports.peer();
    if (peer === undefined) throw refusal('NO_PEER', 'this is a single node', 'configure a second node');
    if (request.to !== undefined && request.to !== this.#self && request.to !== peer.name) {
      throw refusal('NO_SUCH_NODE', `there is no node ${request.to}`, `the nodes are ${this.#self} and ${peer.name}`);
    }
    const routers = chosen(mastership.held(), request);
    const wantsSelf = request.to === this.#self || (request.to === undefined && routers.length === 0);
    if (wantsSelf) return this.#askPeerToHandOver(request, peer);
    if (routers.length === 0) {
      throw refusal('NOT_ACTIVE', `${peer.name} is active already`, 'nothing to do');
    }
    if (this.#running) throw refusal('BUSY', 'a switchover is under way', 'wait for its end');
    this.#running = true;
    try {
      return await this.#handOver(routers, peer, request);
    } finally {
      this.#running = false;
    }
  }

  /** The peer asks this node to become active: answered when it is. */
  async takeOver(routers: readonly string[], timeoutMs: number): Promise<void> {
    const { mastership, clock, sendToVrrp } = this.#ports;
    for (const router of routers) {
      const own = mastership.own(router);
      if (own === undefined) throw refusal('NO_SUCH_ROUTER', `no virtual router ${router}`, 'make the files equal');
      if (own.state === 'initialize') throw refusal('FAULT', `its virtual router ${router} has a fault`, 'mend it');
      const epoch = Math.max(own.epoch, mastership.peer(router)?.epoch ?? 0) + 1;
      sendToVrrp({ type: 'take-over', router, epoch, graceMs });
    }
    const isDone = await untilOrTimeout(clock, timeoutMs, (signal) =>
      mastership.until(() => routers.every((router) => mastership.own(router)?.state === 'active'), signal),
    );
    if (!isDone) throw refusal('TIMEOUT', 'it did not become active in time', 'look at its events');
  }

  async #askPeerToHandOver(request: FailoverRequest, peer: PeerStatus): Promise<FailoverReport> {
    if (chosen(this.#ports.mastership.heldByPeer(), request).length === 0) {
      if (chosen(this.#ports.mastership.held(), request).length > 0) {
        throw refusal('NOT_ACTIVE', `${this.#self} is active already`, 'nothing to do');
      }
      throw refusal('NO_ACTIVE', 'neither node is known to be active', `look at ${peer.name}: tandem status`);
    }
    const { force, timeoutMs, routers } = request;
    const parameters = { to: this.#self, force, timeoutMs, ...(routers === undefined ? {} : { routers }) };
    const answer = await this.#ports.askPeer('failover', parameters, request.timeoutMs + 2_000);
    return answer as FailoverReport;
  }

  async #handOver(routers: readonly string[], peer: PeerStatus, request: FailoverRequest): Promise<FailoverReport> {
    if (!request.force) refuseUnlessReady(peer, routers, request.mayDiffer === true);
    const { clock } = this.#ports;
    const target = this.#ports.probeTarget(routers);
    const probe = target === undefined ? undefined : new GapProbe(target, { clock });
    const connections = await this.#ports.openConnections();
    const startedMs = clock.nowMs();
    probe?.start();
    try {
      if (peer.connected) await this.#swap(routers, peer, request.timeoutMs);
      else await this.#resign(routers, peer, request.timeoutMs);
      const durationMs = clock.nowMs() - startedMs;
      await this.#untilAnswered(probe, clock.nowMs());
      return {
        from: this.#self,
        to: peer.name,
        virtualRouters: routers,
        durationMs,
        gapMs: probe?.stop(),
        connectionsMoved: 0,
        connectionsReset: connections,
      };
    } finally {
      probe?.stop();
    }
  }

  async #swap(routers: readonly string[], peer: PeerStatus, timeoutMs: number): Promise<void> {
    const { sendToVrrp, askPeer } = this.#ports;
    for (const router of routers) sendToVrrp({ type: 'hand-over', router, graceMs });
    try {
      await askPeer('take-over', { routers, timeoutMs }, timeoutMs);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw refusal('PEER_FAILED', `${peer.name} did not take over: ${reason}`, `${this.#self} goes on serving`);
    }
    await this.#untilReleased(routers, peer, timeoutMs);
  }

  /** Without a sync link the peer cannot be asked: priority 0 makes it take over. */
  async #resign(routers: readonly string[], peer: PeerStatus, timeoutMs: number): Promise<void> {
    for (const router of routers) this.#ports.sendToVrrp({ type: 'resign', router });
    await this.#untilReleased(routers, peer, timeoutMs);
  }

  async #untilReleased(routers: readonly string[], peer: PeerStatus, timeoutMs: number): Promise<void> {
    const { mastership, clock } = this.#ports;
    const isReleased = await untilOrTimeout(clock, timeoutMs, (signal) =>
      mastership.until(() => routers.every((router) => mastership.own(router)?.state !== 'active'), signal),
    );
    if (!isReleased) {
      throw refusal('TIMEOUT', `${peer.name} did not become active in time`, `${this.#self} goes on serving`);
    }
  }

  async #untilAnswered(probe: GapProbe | undefined, sinceMs: number): Promise<void> {
    const { clock } = this.#ports;
    while (probe?.hasAnsweredSince(sinceMs) === false && clock.nowMs() - sinceMs < settleMs) await clock.sleep(2);
  }
}

function chosen(routers: readonly string[], request: FailoverRequest): readonly string[] {
  return routers.filter((router) => request.routers?.includes(router) ?? true);
}

function refuseUnlessReady(peer: PeerStatus, routers: readonly string[], mayDiffer: boolean): void {
  const force = 'mend that, or use --force';
  if (peer.refused !== undefined) throw refusal('PEER_REFUSED', `${peer.name} is refused: ${peer.refused}`, force);
  if (!peer.connected) throw refusal('PEER_ABSENT', `${peer.name} is not connected`, force);
  if (peer.configDiffers && !mayDiffer)
    throw refusal('CONFIG_DIFFERS', `${peer.name} has another configuration`, force);
  if (!peer.inSync) throw refusal('NOT_IN_SYNC', `${peer.name} is behind in sync (${peer.lagEntries} entries)`, force);
  const faulty = routers.filter((router) => peer.virtualRouters[router] !== 'backup');
  if (faulty.length > 0) {
    throw refusal('PEER_FAULT', `${peer.name} cannot take ${faulty.join(', ')}: it is not in backup there`, force);
  }
}

function refusal(code: string, what: string, mend: string): OperatorError {
  return new OperatorError(code, what, mend);
}

async function untilOrTimeout(
  clock: Clock,
  timeoutMs: number,
  wait: (signal: AbortSignal) => Promise<boolean>,
): Promise<boolean> {
  const controller = new AbortController();
  const timer = clock.after(timeoutMs, () => controller.abort());
  try {
    return await wait(controller.signal);
  } finally {
    timer.cancel();
  }
}
