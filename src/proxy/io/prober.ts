/** Health checks of the servers of all services: a TCP connect each, from the node's own address. */
import { epoll, errnoName } from '../../runtime/index.ts';
import { nextCheckDeadlineMs, startCheck, stepCheck } from '../index.ts';
import { Poller, streamEvents } from './poller.ts';
import { closeWithReset, takeSocketError } from './socket-options.ts';
import type { Clock, Logger, Native, Random, Service, Timer } from '../../runtime/index.ts';
import type { CheckConfig, CheckEffect, CheckInput, CheckResult, CheckState, Health } from '../index.ts';
import type { PollerTarget } from './poller.ts';

export type CheckTarget = {
  readonly service: string;
  readonly server: string;
  readonly address: string;
  readonly port: number;
  /** Where checks leave from: never a virtual address, whose answers may go to the other node. */
  readonly source: string | undefined;
  readonly check: CheckConfig;
};

export type CheckReport = {
  readonly service: string;
  readonly server: string;
  readonly result: CheckResult;
  /** The server's health after this result, and whether the result changed it. */
  readonly health: Health;
  readonly changed: boolean;
};

type Dependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly report: (report: CheckReport) => void;
};

export class Prober implements Service {
  readonly name = 'prober';
  readonly #dependencies: Dependencies;
  readonly #poller: Poller;
  readonly #probes = new Map<string, Probe>();
  #timer: Timer | undefined;

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
    this.#poller = new Poller({ native: dependencies.native });
  }

  start(): Promise<void> {
    this.#poller.open();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.configure([]);
    this.#poller.close();
    return Promise.resolve();
  }

  /** Checks these from now on. A target that has not changed goes on where it is; a new one is checked at once. */
  configure(targets: readonly CheckTarget[]): void {
    const wanted = new Map(targets.map((target) => [JSON.stringify(target), target]));
    for (const [key, probe] of this.#probes) {
      if (wanted.has(key)) continue;
      probe.cancel();
      this.#probes.delete(key);
    }
    for (const [key, target] of wanted) {
      if (!this.#probes.has(key)) this.#probes.set(key, this.#newProbe(target));
    }
    this.#tick();
  }

  #newProbe(target: CheckTarget): Probe {
    return new Probe(target, this.#poller, this.#dependencies, () => this.#schedule());
  }

  #tick(): void {
    for (const probe of this.#probes.values()) probe.handle('tick');
    this.#schedule();
  }

  /** One timer, for whatever is due first. */
  #schedule(): void {
    const { clock } = this.#dependencies;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#probes.size === 0) return;
    let deadlineMs = Infinity;
    for (const probe of this.#probes.values()) deadlineMs = Math.min(deadlineMs, probe.deadlineMs);
    this.#timer = clock.after(Math.max(0, deadlineMs - clock.nowMs()), () => this.#tick());
  }
}

/** One server's check and the socket of its running probe. */
class Probe implements PollerTarget {
  readonly #target: CheckTarget;
  readonly #poller: Poller;
  readonly #dependencies: Dependencies;
  readonly #onMoved: () => void;
  #state: CheckState;
  #fd = -1;
  #pollerId = -1;

  constructor(target: CheckTarget, poller: Poller, dependencies: Dependencies, onMoved: () => void) {
    this.#target = target;
    this.#poller = poller;
    this.#dependencies = dependencies;
    this.#onMoved = onMoved;
    this.#state = startCheck(target.check, dependencies.clock.nowMs());
  }

  get deadlineMs(): number {
    return nextCheckDeadlineMs(this.#state);
  }

  onReady(events: number): void {
    if ((events & (epoll.error | epoll.hangUp)) !== 0) {
      const error = takeSocketError(this.#dependencies.native, this.#fd);
      this.handle('failed', error < 0 ? errnoName(error) : 'closed');
    } else if ((events & epoll.out) !== 0) {
      this.handle('passed');
    }
    this.#onMoved();
  }

  handle(kind: CheckInput['kind'], reason = ''): void {
    const { clock, random } = this.#dependencies;
    if (kind !== 'tick') this.cancel();
    const fraction = random.next();
    const input: CheckInput = kind === 'failed' ? { kind, reason, fraction } : { kind, fraction };
    const { state, effects } = stepCheck(this.#target.check, this.#state, input, clock.nowMs());
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  /** A check closes with RST: a server under check every two seconds need not keep a TIME_WAIT for each. */
  cancel(): void {
    if (this.#fd < 0) return;
    if (this.#pollerId >= 0) this.#poller.release(this.#pollerId);
    closeWithReset(this.#dependencies.native, this.#fd);
    this.#fd = -1;
    this.#pollerId = -1;
  }

  #perform(effect: CheckEffect): void {
    switch (effect.kind) {
      case 'start-probe':
        this.#connect();
        return;
      case 'cancel-probe':
        this.cancel();
        return;
      case 'result':
        this.#report(effect);
        return;
    }
  }

  #connect(): void {
    const { address, port, source } = this.#target;
    const fd = this.#dependencies.native.tcpConnect(address, port, source, 0);
    if (fd < 0) {
      this.handle('failed', errnoName(fd));
      return;
    }
    this.#fd = fd;
    this.#pollerId = this.#poller.add(fd, streamEvents, this);
    if (this.#pollerId < 0) this.handle('failed', errnoName(this.#pollerId));
  }

  #report({ result, health, changed }: CheckEffect & { kind: 'result' }): void {
    const { service, server } = this.#target;
    if (changed) this.#dependencies.logger.info({ service, server, health, result }, 'health changed');
    this.#dependencies.report({ service, server, result, health, changed });
  }
}
