/** What must hold in every run of `World`. A breach throws, with the seed and the end of the trace. */
import { activeDownIntervalMs } from '../../src/vrrp/index.ts';
import type { TransitionCause } from '../../src/vrrp/index.ts';
import type { Node, NodeName, World } from './vrrp-world.ts';
import { lanDelayMaxMs, nodeNames, otherOf, syncDelayMaxMs, syncSnapshotMaxMs } from './vrrp-world.ts';

const toleranceMs = 0.01;
const missedIntervalsMax = 5;

export class Invariants {
  readonly causes = new Map<TransitionCause, number>();
  longestBothActiveWithSyncMs = 0;
  longestBothActiveHealthyMs = 0;
  longestNoneActiveIntervals = 0;
  readonly #seed: number;
  readonly #world: World;
  readonly #intervalMs: number;
  readonly #downMs: number;
  readonly #graceMs: number;
  #changedMs = 0;
  #healthySinceMs: number | undefined;
  #syncSinceMs: number | undefined;
  #bothActiveSinceMs: number | undefined;
  #noneActiveSinceMs: number | undefined;
  readonly #muteSinceMs: Record<NodeName, number | undefined> = { a: undefined, b: undefined };
  /** On the node's own clock, in its present state. */
  readonly #spokeAtMs: Record<NodeName, number | undefined> = { a: undefined, b: undefined };

  constructor(seed: number, world: World, graceMs: number) {
    this.#seed = seed;
    this.#world = world;
    this.#intervalMs = world.nodes.a.config.advertIntervalMs;
    // The lowest priority that a run sets waits the longest.
    this.#downMs = activeDownIntervalMs(1, this.#intervalMs, world.nodes.a.config.version);
    this.#graceMs = graceMs;
  }

  /** After this without a change nothing may change any more. */
  get settleMs(): number {
    const { preemptDelayMs } = this.#world.nodes.a.config;
    return 2 * this.#downMs + preemptDelayMs + this.#graceMs + 4 * (lanDelayMaxMs + syncDelayMaxMs) + syncSnapshotMaxMs;
  }

  onChange(): void {
    this.#changedMs = this.#world.nowMs;
  }

  onTransition(node: Node, cause: TransitionCause): void {
    this.causes.set(cause, (this.causes.get(cause) ?? 0) + 1);
    this.#spokeAtMs[node.name] = undefined;
    const { nowMs, loss, hasJitter, isReordering, nodes } = this.#world;
    this.#judgePeerDied(node, cause);
    const isSteady = loss === 0 && !hasJitter && !isReordering && nodeNames.every((name) => !nodes[name].failsSends);
    const quietMs = nowMs - this.#changedMs;
    const canServe = nodeNames.every((name) => !nodes[name].failsClaims);
    if (isSteady && canServe && quietMs > this.settleMs) {
      this.#fail(`${node.name} changes (${cause}) ${quietMs} ms after anything happened`);
    }
  }

  /**
   * Whoever slept for as long as others wait is not active any more, for all it knows: it yields before it speaks, or
   * listens for an interval first.
   */
  onAdvert(node: Node): void {
    const ownMs = this.#world.nowMs + node.clockAheadMs;
    const silentMs = ownMs - (this.#spokeAtMs[node.name] ?? ownMs);
    this.#spokeAtMs[node.name] = ownMs;
    const hasSlept = silentMs > this.#intervalMs + this.#downMs + toleranceMs;
    if (node.state.kind === 'active' && hasSlept && ownMs - node.wokeAtMs < this.#intervalMs) {
      this.#fail(`${node.name} speaks as if it had not slept for ${silentMs} ms`);
    }
  }

  observe(): void {
    const { nowMs } = this.#world;
    const active = nodeNames.filter((name) => this.#isActive(name)).length;
    this.#healthySinceMs = this.#isHealthy() ? (this.#healthySinceMs ?? nowMs) : undefined;
    this.#syncSinceMs = this.#isSyncAlive() ? (this.#syncSinceMs ?? nowMs) : undefined;
    // The state has been the same since the last event: what held then held until now, so it is judged before it ends.
    this.#judgeBothActive();
    this.#judgeNoneActive();
    for (const name of nodeNames) this.#judgeMute(name);
    this.#bothActiveSinceMs = active === 2 ? (this.#bothActiveSinceMs ?? nowMs) : undefined;
    this.#noneActiveSinceMs = active === 0 && this.#canAnyServe() ? (this.#noneActiveSinceMs ?? nowMs) : undefined;
  }

  /** At the end of a quiet time. */
  expectOneActive(): void {
    const active = nodeNames.filter((name) => this.#isActive(name));
    if (active.length !== 1) this.#fail(`${active.length} active at the end`);
  }

  /** The sync link alone, by its end or its silence, never makes a backup take a living router for dead. */
  #judgePeerDied(node: Node, cause: TransitionCause): void {
    const { nowMs, nodes } = this.#world;
    const peer = nodes[otherOf(node.name)];
    const isLongHealthy = this.#healthySinceMs !== undefined && nowMs - this.#healthySinceMs > 3 * this.#intervalMs;
    const isByLink = cause === 'peer-died' || cause === 'peer-silent';
    if (isByLink && isLongHealthy && peer.state.kind === 'active' && nowMs - this.#changedMs > 0) {
      this.#fail(`${node.name} takes ${peer.name} for dead, which is active`);
    }
  }

  #judgeBothActive(): void {
    const { nowMs, nodes } = this.#world;
    const sinceMs = this.#bothActiveSinceMs;
    if (sinceMs === undefined) return;
    if (this.#syncSinceMs !== undefined) {
      const lastedMs = nowMs - Math.max(sinceMs, this.#syncSinceMs);
      this.longestBothActiveWithSyncMs = Math.max(this.longestBothActiveWithSyncMs, lastedMs);
      // One message is enough, the claim of the later one. A round trip would be allowed.
      if (lastedMs > syncDelayMaxMs + toleranceMs) this.#fail(`two active for ${lastedMs} ms, sync alive`);
    }
    // Who takes over for an operator does not yield to adverts for the grace; the sync link settles that.
    const isInGrace = nodeNames.some((name) => nodes[name].state.kind === 'active' && hasGrace(nodes[name], nowMs));
    if (this.#healthySinceMs === undefined || isInGrace) return;
    const lastedMs = nowMs - Math.max(sinceMs, this.#healthySinceMs);
    // On a network that has just healed the next regular advert settles it; on one that has been healthy, the advert
    // of the new active router, or the answer to it.
    const hasJustHealed = sinceMs < this.#healthySinceMs + this.#intervalMs + 2 * lanDelayMaxMs;
    const allowedMs = 2 * lanDelayMaxMs + (hasJustHealed ? this.#intervalMs : 0) + toleranceMs;
    if (!hasJustHealed) this.longestBothActiveHealthyMs = Math.max(this.longestBothActiveHealthyMs, lastedMs);
    if (lastedMs > allowedMs) this.#fail(`two active for ${lastedMs} ms on a healthy LAN (at most ${allowedMs})`);
  }

  #judgeNoneActive(): void {
    if (this.#noneActiveSinceMs === undefined) return;
    // Behind a fence a peer whose power was cut is missed when its sync link ends, not before.
    if (this.#world.syncSession !== undefined && nodeNames.some((name) => !this.#world.nodes[name].isAlive)) return;
    // A late advert of a router that has resigned since looks like one of an active router.
    const sinceMs = Math.max(this.#noneActiveSinceMs, this.#changedMs, this.#world.slowestAtMs);
    const lastedMs = this.#world.nowMs - sinceMs;
    this.longestNoneActiveIntervals = Math.max(this.longestNoneActiveIntervals, lastedMs / this.#intervalMs);
    const allowedMs = this.#downMs + 2 * (lanDelayMaxMs + syncDelayMaxMs) + toleranceMs;
    if (lastedMs > allowedMs) this.#fail(`nobody active for ${lastedMs} ms (at most ${allowedMs})`);
  }

  /** Three adverts that were not sent in a row are as good as none; an invitation adds the pauses around it. */
  #judgeMute(name: NodeName): void {
    const { nowMs, nodes } = this.#world;
    const { failsSends, isPaused } = nodes[name];
    const sinceMs = this.#muteSinceMs[name];
    const lastedMs = sinceMs === undefined ? 0 : nowMs - sinceMs;
    const allowedMs = missedIntervalsMax * this.#intervalMs + toleranceMs;
    if (lastedMs > allowedMs) {
      this.#fail(`${name} is active although nothing that it sends leaves it, for ${lastedMs} ms`);
    }
    const isMute = failsSends && !isPaused && this.#isActive(name);
    this.#muteSinceMs[name] = isMute ? (sinceMs ?? nowMs) : undefined;
  }

  #isHealthy(): boolean {
    const { nowMs, loss, hasJitter, isReordering, slowestAtMs, jumpedAtMs, isCutFrom, nodes } = this.#world;
    const isQuick = !hasJitter && !isReordering && nowMs > Math.max(slowestAtMs, jumpedAtMs);
    const isLanGood = loss === 0 && isQuick && !isCutFrom.a && !isCutFrom.b;
    return isLanGood && nodeNames.every((name) => isAble(nodes[name]) && !nodes[name].failsSends);
  }

  #isSyncAlive(): boolean {
    const { syncSession, nodes } = this.#world;
    return syncSession !== undefined && nodeNames.every((name) => nodes[name].isAlive && !nodes[name].isPaused);
  }

  #canAnyServe(): boolean {
    const { nodes } = this.#world;
    return nodeNames.some((name) => isAble(nodes[name])) && nodeNames.every((name) => !nodes[name].failsClaims);
  }

  #isActive(name: NodeName): boolean {
    const node = this.#world.nodes[name];
    return node.isAlive && node.state.kind === 'active';
  }

  #fail(what: string): never {
    const trace = this.#world.trace.slice(-40).join('\n');
    throw new Error(`seed ${this.#seed}, at ${this.#world.nowMs.toFixed(3)} ms: ${what}\n${trace}`);
  }
}

function isAble(node: Node): boolean {
  return node.isAlive && !node.isPaused && node.isLinkUp && node.state.kind !== 'initialize';
}

function hasGrace(node: Node, nowMs: number): boolean {
  return node.state.kind === 'active' && node.state.grace !== undefined && nowMs < node.state.grace.untilMs;
}
