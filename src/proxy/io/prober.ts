/** Health checks of the servers of all services: when each is due, and what came of it. */
import { nextCheckDeadlineMs, restartCheck, startCheck, stepCheck } from '../index.ts';
import { Poller } from './poller.ts';
import { createProbe } from './probes/create-probe.ts';
import type { Clock, Logger, Native, Random, Service, Timer } from '../../runtime/index.ts';
import type { CheckConfig, CheckEffect, CheckInput, CheckResult, CheckState, Health, ProbeSpec } from '../index.ts';
import type { Probe, ProbeTarget, RunningProbe } from './probes/probe.ts';

/** Its `source` is never a virtual address, whose answers may go to the other node. */
export type CheckTarget = ProbeTarget & {
  readonly probe: ProbeSpec;
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
  readonly #checks = new Map<string, Check>();
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

  /**
   * Checks these from now on. A target that has not changed goes on where it is; a new one is checked at once. One of
   * which only the settings have changed keeps its health and is checked at once, too. All of them at the same moment:
   * a server that is down should get no client, and the jitter of the intervals spreads the checks from then on.
   */
  configure(targets: readonly CheckTarget[]): void {
    const wanted = new Map(targets.map((target) => [JSON.stringify(target), target]));
    const known = new Map<string, CheckState>();
    for (const [key, check] of this.#checks) {
      if (wanted.has(key)) continue;
      check.cancel();
      this.#checks.delete(key);
      known.set(placeOf(check.target), check.state);
    }
    for (const [key, target] of wanted) {
      if (!this.#checks.has(key)) this.#checks.set(key, this.#newCheck(target, known.get(placeOf(target))));
    }
    this.#tick();
  }

  #newCheck(target: CheckTarget, known: CheckState | undefined): Check {
    const nowMs = this.#dependencies.clock.nowMs();
    const state = known === undefined ? startCheck(target.check, nowMs) : restartCheck(target.check, known, nowMs);
    const probe = createProbe(target.probe, { ...this.#dependencies, poller: this.#poller });
    return new Check(target, state, probe, this.#dependencies, () => this.#schedule());
  }

  #tick(): void {
    for (const check of this.#checks.values()) check.tick();
    this.#schedule();
  }

  /** One timer, for whatever is due first. */
  #schedule(): void {
    const { clock } = this.#dependencies;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#checks.size === 0) return;
    let deadlineMs = Infinity;
    for (const check of this.#checks.values()) deadlineMs = Math.min(deadlineMs, check.deadlineMs);
    this.#timer = clock.after(Math.max(0, deadlineMs - clock.nowMs()), () => this.#tick());
  }
}

/** A server of this name at another address is another server. */
function placeOf({ service, server, address, port }: CheckTarget): string {
  return JSON.stringify([service, server, address, port]);
}

/** One server's check and its running probe. */
class Check {
  readonly target: CheckTarget;
  readonly #probe: Probe;
  readonly #dependencies: Dependencies;
  readonly #onMoved: () => void;
  #state: CheckState;
  #running: RunningProbe | undefined;

  constructor(target: CheckTarget, state: CheckState, probe: Probe, dependencies: Dependencies, onMoved: () => void) {
    this.target = target;
    this.#probe = probe;
    this.#dependencies = dependencies;
    this.#onMoved = onMoved;
    this.#state = state;
  }

  get state(): CheckState {
    return this.#state;
  }

  get deadlineMs(): number {
    return nextCheckDeadlineMs(this.#state);
  }

  tick(): void {
    if (this.#dependencies.clock.nowMs() < this.deadlineMs) return;
    this.#handle({ kind: 'tick', fraction: this.#dependencies.random.next(), progress: this.#running?.progress?.() });
  }

  cancel(): void {
    this.#running?.cancel();
    this.#running = undefined;
  }

  #handle(input: CheckInput): void {
    const { state, effects } = stepCheck(this.target.check, this.#state, input, this.#dependencies.clock.nowMs());
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: CheckEffect): void {
    switch (effect.kind) {
      case 'start-probe':
        this.#start();
        return;
      case 'cancel-probe':
        this.cancel();
        return;
      case 'result':
        this.#report(effect);
        return;
    }
  }

  /** The outcome may be there before the probe is: then nothing runs. */
  #start(): void {
    const run = { isOver: false };
    const running = this.#probe.start(this.target, (outcome) => {
      run.isOver = true;
      this.#running = undefined;
      const fraction = this.#dependencies.random.next();
      this.#handle(
        outcome.passed
          ? { kind: 'passed', fraction, detail: outcome.detail }
          : { kind: 'failed', fraction, reason: outcome.reason },
      );
      this.#onMoved();
    });
    if (!run.isOver) this.#running = running;
  }

  #report({ result, health, changed }: CheckEffect & { kind: 'result' }): void {
    const { service, server } = this.target;
    // The reason may be the server's words, which are no line for a log.
    if (changed) this.#dependencies.logger.info({ service, server, health }, 'health changed');
    this.#dependencies.report({ service, server, result, health, changed });
  }
}
