/**
 * What a loss of worth leads to. RFC 9568 lets a lower priority count only where the others may preempt; here a node
 * that a weight has made worth less than its peer hands over to it by a planned switchover, in which nobody is left
 * without service, and asks for it back in the same way when it is well, where `preempt` says so.
 */
import { OperatorError } from '../runtime/index.ts';
import type { Clock, Logger, Service, Timer } from '../runtime/index.ts';
import type { RouterHealth } from '../vrrp/index.ts';
import type { FailoverRequest } from './admin-api.ts';
import type { EventLog } from './events.ts';
import type { Mastership, RouterRole } from './mastership.ts';
import type { FailoverReport } from './status-document.ts';

export type PolicyRouter = {
  readonly name: string;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
};

export type HealthPolicyPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventLog;
  readonly mastership: Mastership;
  readonly health: (router: string) => RouterHealth;
  readonly failover: (request: FailoverRequest) => Promise<FailoverReport>;
};

export type Standing = {
  readonly own: RouterRole;
  /** Undefined: it cannot be heard over the sync link. */
  readonly peer: RouterRole | undefined;
  readonly isImpaired: boolean;
  readonly preempt: boolean;
  /** This node handed over because it was unwell, and has not been active since. */
  readonly hasGivenAway: boolean;
};

export type Move = 'hand-over' | 'take-back' | 'stay';

/** Only a strictly higher priority is worth a move, so that two nodes never pass the addresses to and fro. */
export function judge({ own, peer, isImpaired, preempt, hasGivenAway }: Standing): Move {
  if (peer === undefined) return 'stay';
  const isWorthLess = own.priority < peer.priority;
  if (own.state === 'active' && peer.state === 'backup' && isImpaired && isWorthLess) return 'hand-over';
  const isWorthMore = own.priority > peer.priority;
  if (own.state === 'backup' && peer.state === 'active' && hasGivenAway && preempt && isWorthMore) return 'take-back';
  return 'stay';
}

/** How often what is wanted is looked at when nothing calls for it: the peer's worth, a delay that is over. */
const considerEveryMs = 1_000;
/** What was refused is tried again as long as it is wanted, ever more slowly up to this. */
const retryDelayMaxMs = 10_000;
const timeoutMs = 5_000;

export class HealthPolicy implements Service {
  readonly name = 'health policy';
  readonly #self: string;
  readonly #peer: string;
  #routers: readonly PolicyRouter[];
  readonly #ports: HealthPolicyPorts;
  readonly #givenAway = new Set<string>();
  readonly #wellSinceMs = new Map<string, number>();
  #timer: Timer | undefined;
  #isMoving = false;
  #isStopped = false;
  #lastRefusal: string | undefined;
  #retryDelayMs = 0;
  #retryAtMs = 0;

  constructor(names: { self: string; peer: string }, routers: readonly PolicyRouter[], ports: HealthPolicyPorts) {
    this.#self = names.self;
    this.#peer = names.peer;
    this.#routers = routers;
    this.#ports = ports;
  }

  start(): Promise<void> {
    this.#timer = this.#ports.clock.every(considerEveryMs, () => this.consider());
    return Promise.resolve();
  }

  reconfigure(routers: readonly PolicyRouter[]): void {
    this.#routers = routers;
    this.consider();
  }

  stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    return Promise.resolve();
  }

  /** To be called whenever a role or a health has changed. */
  consider(): void {
    if (this.#isMoving || this.#isStopped || this.#ports.clock.nowMs() < this.#retryAtMs) return;
    const handOver = this.#wanting('hand-over');
    if (handOver.length > 0) void this.#move('hand-over', handOver);
    else {
      const takeBack = this.#wanting('take-back');
      if (takeBack.length > 0) void this.#move('take-back', takeBack);
      else this.#forgetRefusal();
    }
  }

  #wanting(move: Move): readonly string[] {
    return this.#routers.filter((router) => this.#judge(router) === move).map(({ name }) => name);
  }

  #judge({ name, preempt, preemptDelayMs }: PolicyRouter): Move {
    const { mastership, health, clock } = this.#ports;
    const own = mastership.own(name);
    if (own === undefined) return 'stay';
    if (own.state === 'active') this.#givenAway.delete(name);
    const { isImpaired } = health(name);
    const hasGivenAway = this.#givenAway.has(name);
    const move = judge({ own, peer: mastership.peer(name), isImpaired, preempt, hasGivenAway });
    if (move !== 'take-back') {
      this.#wellSinceMs.delete(name);
      return move;
    }
    const sinceMs = this.#wellSinceMs.get(name) ?? clock.nowMs();
    this.#wellSinceMs.set(name, sinceMs);
    return clock.nowMs() - sinceMs >= preemptDelayMs ? move : 'stay';
  }

  async #move(move: 'hand-over' | 'take-back', routers: readonly string[]): Promise<void> {
    this.#isMoving = true;
    const to = move === 'hand-over' ? this.#peer : this.#self;
    try {
      // A file that is changed on one node after the other must not keep the pair from leaving an unwell node.
      const mayDiffer = move === 'hand-over';
      const request = { to, force: false, mayDiffer, timeoutMs, routers };
      const { virtualRouters } = await this.#ports.failover(request);
      if (move === 'hand-over') for (const router of virtualRouters) this.#givenAway.add(router);
      this.#forgetRefusal();
    } catch (error) {
      this.#onRefused(to, routers, error);
    } finally {
      this.#isMoving = false;
    }
    // What has changed meanwhile was not considered; after a refusal the timer tries again.
    if (this.#lastRefusal === undefined) this.consider();
  }

  #forgetRefusal(): void {
    this.#lastRefusal = undefined;
    this.#retryDelayMs = 0;
    this.#retryAtMs = 0;
  }

  #onRefused(to: string, routers: readonly string[], error: unknown): void {
    const { clock } = this.#ports;
    this.#retryDelayMs = Math.min(retryDelayMaxMs, this.#retryDelayMs * 2 + considerEveryMs);
    this.#retryAtMs = clock.nowMs() + this.#retryDelayMs;
    const reason = error instanceof OperatorError ? error.message : String(error);
    if (reason === this.#lastRefusal) return;
    this.#lastRefusal = reason;
    const { logger, events } = this.#ports;
    logger.warn({ to, routers, reason }, 'cannot move virtual routers to the node that is worth more');
    events.add('failover', `${routers.join(', ')} should move to ${to}, but: ${reason}`, { to, routers, reason });
  }
}
