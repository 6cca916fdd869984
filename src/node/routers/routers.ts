/** The virtual routers of the vrrp process: which of them run, and how they are brought to be as configured. */
import type { Clock, Native } from '../../runtime/index.ts';
import { planRouters } from '../router-plan.ts';
import type { ConfiguredRouter, ReportedHealth, RouterReport } from '../vrrp-protocol.ts';
import { Fitness } from './fitness.ts';
import { Interfaces } from './interfaces.ts';
import type { Reports } from './reports.ts';
import { virtualAddresses } from './router-options.ts';
import { RunningRouter } from './running-router.ts';

export type RoutersPorts = {
  readonly native: Native;
  readonly clock: Clock;
  readonly reports: Reports;
  /** The down timer of one is about to run out. */
  readonly onDownSoon: () => void;
};

export class Routers {
  readonly #ports: RoutersPorts;
  readonly #interfaces: Interfaces;
  readonly #fitness: Fitness;
  readonly #running = new Map<string, RunningRouter>();
  /** Also for routers that are still to be made. */
  #isPreemptPermitted = false;
  #virtualAddresses: readonly Uint8Array[] = [];

  constructor(ports: RoutersPorts) {
    this.#ports = ports;
    this.#interfaces = new Interfaces(ports);
    this.#fitness = new Fitness({
      clock: ports.clock,
      handle: (router, command) => this.find(router)?.handle(command),
      report: (router, { from, to, cause, reasons, epoch }) =>
        ports.reports.add({ type: 'transition', router, from, to, cause, reasons, epoch }),
    });
  }

  /** Undefined also while it is still being made. */
  find(name: string): RunningRouter | undefined {
    return this.#running.get(name);
  }

  /** Throws OperatorError when one of them cannot run here; those before it do. */
  async start(specs: readonly ConfiguredRouter[]): Promise<void> {
    this.#noteVirtualAddresses(specs);
    for (const spec of specs) await this.#start(spec);
  }

  /**
   * What goes, goes first, so that an address may pass from one router to another. Throws OperatorError when something
   * is refused: what was before is put back by the main process, which asks for it in the same way.
   */
  async reconfigure(specs: readonly ConfiguredRouter[]): Promise<void> {
    const plan = planRouters(this.#specs(), specs);
    this.#noteVirtualAddresses(specs);
    for (const name of [...plan.removed, ...plan.restarted.map((spec) => spec.name)]) await this.#end(name);
    for (const { to } of plan.changed) await this.find(to.name)?.releaseGone(to);
    for (const { to } of plan.changed) await this.find(to.name)?.change(to);
    for (const spec of [...plan.restarted, ...plan.added]) await this.#start(spec);
    await this.#interfaces.closeUnused(this.#specs());
  }

  /** Releases everything with a goodbye. */
  async stop(): Promise<void> {
    this.#fitness.end();
    await Promise.all([...this.#running.values()].map((router) => router.stop()));
    await this.#interfaces.stop();
  }

  permitPreempt(isPermitted: boolean): void {
    this.#isPreemptPermitted = isPermitted;
    for (const router of this.#running.values()) router.handle({ type: 'preempt-permitted', isPermitted });
  }

  onHealth(name: string, health: ReportedHealth): void {
    this.#fitness.onHealth(name, health);
  }

  report(): readonly RouterReport[] {
    return [...this.#running.values()].map((router) => router.report());
  }

  async #start(spec: ConfiguredRouter): Promise<void> {
    const { native, clock, reports, onDownSoon } = this.#ports;
    const parent = await this.#interfaces.open(spec.interface);
    reports.conflicts(spec.name, await parent.addresses.removeStale(spec.addresses));
    const footing = await this.#interfaces.openFooting(spec, parent, (message, error) =>
      reports.trouble(spec.name, message, error),
    );
    const router = new RunningRouter(spec, {
      native,
      clock,
      fitness: this.#fitness,
      reports,
      parent,
      footing,
      onDownSoon,
      virtualAddresses: () => this.#virtualAddresses,
    });
    await router.open();
    this.#running.set(spec.name, router);
    await router.start(this.#isPreemptPermitted);
  }

  /** Its group does not follow. */
  async #end(name: string): Promise<void> {
    this.#fitness.leave(name);
    await this.find(name)?.stop();
    this.#fitness.remove(name);
    this.#running.delete(name);
  }

  #specs(): readonly ConfiguredRouter[] {
    return [...this.#running.values()].map(({ spec }) => spec);
  }

  #noteVirtualAddresses(specs: readonly ConfiguredRouter[]): void {
    this.#virtualAddresses = specs.flatMap(virtualAddresses);
  }
}
