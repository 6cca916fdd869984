/**
 * All that the virtual routers of this node track: looks at each thing once, however many routers track it, and says
 * what it means for each of them. In a sync group the trackers of every member count for all.
 */
import type { TrackerConfig, TrackerSubject } from '../../config/index.ts';
import type { Clock, Logger, Service } from '../../runtime/index.ts';
import type { AddressKernel } from '../../vip/io/index.ts';
import { contribution, routerHealth } from '../../vrrp/index.ts';
import type { RouterHealth, Tracker } from '../../vrrp/index.ts';
import type { EventLog } from '../events.ts';
import type { TrackerStatus } from '../status-document.ts';
import { FileSource } from './file-source.ts';
import { InterfaceWatcher } from './interface-watcher.ts';
import type { Observation, Source } from './observation.ts';
import { ScriptSource } from './script-source.ts';

export type TrackingRouter = {
  readonly name: string;
  readonly priority: number;
  /** Undefined: it is in no group. */
  readonly syncGroup: string | undefined;
  readonly track: readonly TrackerConfig[];
};

export type TrackersOptions = { readonly node: string; readonly routers: readonly TrackingRouter[] };

export type TrackersPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventLog;
  readonly kernel: AddressKernel;
  /** How a service is when the node starts; later changes come by `onServiceUsable`. */
  readonly isServiceUsable: (service: string) => boolean;
  /** What a virtual router is worth: for each once while this starts, then when it has changed. */
  readonly onHealth: (router: string, health: RouterHealth) => void;
};

type Tracked = { readonly name: string; observation: Observation };

const unknown: Observation = { verdict: 'unknown', detail: 'is not known yet' };

export class Trackers implements Service {
  readonly name = 'trackers';
  readonly #node: string;
  #routers: readonly TrackingRouter[];
  readonly #ports: TrackersPorts;
  readonly #tracked = new Map<string, Tracked>();
  readonly #healths = new Map<string, RouterHealth>();
  readonly #interfaces: InterfaceWatcher;
  /** By what they look at; interfaces have one in common. */
  readonly #sources = new Map<string, Source>();

  constructor(options: TrackersOptions, ports: TrackersPorts) {
    this.#node = options.node;
    this.#routers = options.routers;
    this.#ports = ports;
    this.#interfaces = new InterfaceWatcher({ kernel: ports.kernel });
    this.#trackNew();
    for (const { name } of this.#routers) this.#healths.set(name, this.#judge(name));
  }

  async start(): Promise<void> {
    for (const [router, health] of this.#healths) this.#ports.onHealth(router, health);
    this.#lookAtServices();
    await Promise.all([...this.#sources.values()].map((source) => source.start()));
    if (this.#tracksInterfaces()) await this.#interfaces.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.stop()));
    await this.#interfaces.stop();
  }

  /** What is tracked already goes on as it is; what a router is worth is told where it has changed. */
  async reconfigure(routers: readonly TrackingRouter[]): Promise<void> {
    this.#routers = routers;
    await this.#untrackOld();
    const added = this.#trackNew();
    for (const name of [...this.#healths.keys()]) {
      if (!routers.some((router) => router.name === name)) this.#healths.delete(name);
    }
    for (const { name } of routers) this.#judgeAnew(name);
    this.#lookAtServices();
    await Promise.all(added.map((source) => source.start()));
    if (this.#tracksInterfaces()) await this.#interfaces.start();
  }

  /** The health of a router that there is. */
  health(router: string): RouterHealth {
    return this.#healths.get(router) ?? this.#judge(router);
  }

  /** The trackers that count for a router, those of its group included. */
  status(router: string): readonly TrackerStatus[] {
    return this.#trackersOf(router).map((tracker) => ({
      name: tracker.name,
      state: tracker.verdict,
      weight: tracker.weight,
      contribution: contribution(tracker),
      detail: tracker.detail,
    }));
  }

  onServiceUsable(service: string, isUsable: boolean): void {
    const key = keyOf({ kind: 'service', service });
    if (!this.#tracked.has(key)) return;
    const detail = isUsable ? 'has a server for new connections' : 'has no server for new connections';
    this.#onObserved(key, { verdict: isUsable ? 'up' : 'down', detail });
  }

  #subjects(): readonly TrackerSubject[] {
    return this.#routers.flatMap(({ track }) => track).map(({ subject }) => subject);
  }

  #tracksInterfaces(): boolean {
    return this.#subjects().some(({ kind }) => kind === 'interface');
  }

  #lookAtServices(): void {
    for (const subject of this.#subjects()) {
      if (subject.kind !== 'service') continue;
      this.onServiceUsable(subject.service, this.#ports.isServiceUsable(subject.service));
    }
  }

  /** The sources for what was not tracked yet, which are still to be started. */
  #trackNew(): readonly Source[] {
    const added: Source[] = [];
    for (const subject of this.#subjects()) {
      const key = keyOf(subject);
      if (this.#tracked.has(key)) continue;
      this.#tracked.set(key, { name: this.#nameOf(subject), observation: unknown });
      const source = this.#createSource(key, subject);
      if (source === undefined) continue;
      this.#sources.set(key, source);
      added.push(source);
    }
    return added;
  }

  async #untrackOld(): Promise<void> {
    const wanted = new Set(this.#subjects().map(keyOf));
    for (const key of [...this.#tracked.keys()].filter((one) => !wanted.has(one))) {
      this.#tracked.delete(key);
      const subject = JSON.parse(key) as TrackerSubject;
      if (subject.kind === 'interface') this.#interfaces.unwatch(this.#interfaceOf(subject));
      const source = this.#sources.get(key);
      this.#sources.delete(key);
      await source?.stop();
    }
    if (!this.#tracksInterfaces()) await this.#interfaces.stop();
  }

  #createSource(key: string, subject: TrackerSubject): Source | undefined {
    const { clock } = this.#ports;
    const observe = (observation: Observation): void => this.#onObserved(key, observation);
    switch (subject.kind) {
      case 'interface':
        this.#interfaces.watch(this.#interfaceOf(subject), observe);
        return undefined;
      case 'script':
        return new ScriptSource(subject, { clock, observe });
      case 'file':
        return new FileSource(subject.path, { clock, observe });
      case 'service':
        return undefined;
    }
  }

  #onObserved(key: string, observation: Observation): void {
    const tracked = this.#tracked.get(key);
    if (tracked === undefined) return;
    const before = tracked.observation;
    tracked.observation = observation;
    if (before.verdict !== observation.verdict || before.value !== observation.value) this.#tell(tracked, before);
    for (const { name } of this.#routers) this.#judgeAnew(name);
  }

  /** That something is well when the node starts is no news. */
  #tell({ name, observation }: Tracked, before: Observation): void {
    const { verdict, detail } = observation;
    if (before.verdict === 'unknown' && verdict === 'up' && (observation.value ?? 0) === 0) return;
    const { logger, events } = this.#ports;
    logger[verdict === 'up' ? 'info' : 'warn']({ tracker: name, verdict }, 'a tracker has changed');
    events.add('tracker', `${name} ${detail}`, { tracker: name, verdict, value: observation.value });
  }

  #judgeAnew(router: string): void {
    const before = this.#healths.get(router);
    const health = this.#judge(router);
    this.#healths.set(router, health);
    if (before === undefined || !isSame(before, health)) this.#ports.onHealth(router, health);
  }

  #judge(router: string): RouterHealth {
    const base = this.#routers.find(({ name }) => name === router)?.priority ?? 1;
    return routerHealth(base, this.#trackersOf(router));
  }

  #trackersOf(router: string): readonly Tracker[] {
    const routers = this.#routers;
    const own = routers.find(({ name }) => name === router);
    const group = routers.filter(
      ({ name, syncGroup }) => name === router || (syncGroup !== undefined && syncGroup === own?.syncGroup),
    );
    const byKey = new Map(
      group.flatMap(({ track }) => track).map((config) => [`${keyOf(config.subject)} ${config.weight}`, config]),
    );
    return [...byKey.values()].map(({ subject, weight }) => {
      const { name, observation } = this.#tracked.get(keyOf(subject)) ?? { name: '', observation: unknown };
      return { name, weight, verdict: observation.verdict, value: observation.value, detail: observation.detail };
    });
  }

  #nameOf(subject: TrackerSubject): string {
    switch (subject.kind) {
      case 'interface':
        return `interface ${this.#interfaceOf(subject)}`;
      case 'script':
        return `script ${subject.command[0] ?? ''}`;
      case 'file':
        return `file ${subject.path}`;
      case 'service':
        return `service ${subject.service}`;
    }
  }

  #interfaceOf(subject: Extract<TrackerSubject, { kind: 'interface' }>): string {
    return subject.interface[this.#node] ?? '';
  }
}

/** Two trackers of the same thing, looked at in the same way, share one source. */
function keyOf(subject: TrackerSubject): string {
  return JSON.stringify(subject);
}

function isSame(a: RouterHealth, b: RouterHealth): boolean {
  return a.priority === b.priority && a.isImpaired === b.isImpaired && a.faults.join('\n') === b.faults.join('\n');
}
