import { formatPrefix } from '../base/index.ts';
import { OperatorError, loadNative } from '../runtime/index.ts';
import type { Clock, Logger, Service } from '../runtime/index.ts';
import { Addresses, Rtnetlink, addressLifetimeDefaultMs, removeVirtualInterface } from '../vip/io/index.ts';
import { Child } from './child.ts';
import type { ChildExit } from './child.ts';
import type { EventLog } from './events.ts';
import type {
  ProcessStatus,
  RealtimeStatus,
  RouterState,
  TransitionStatus,
  VirtualRouterStatus,
} from './status-document.ts';
import { TransitionHistory } from './transition-history.ts';
import { virtualInterfaceSpec } from './vrrp-protocol.ts';
import type {
  ConfiguredRouter,
  Fence,
  ReportedHealth,
  RouterReport,
  RouterSpec,
  VrrpCommand,
  VrrpReport,
} from './vrrp-protocol.ts';

export type VrrpManagerPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventLog;
  /** A process stands for election, the first one or one that replaces it: from now on it takes commands. */
  readonly onReady: () => void;
  readonly onState: (router: string, state: RouterState, epoch: number, cause: string) => void;
  /** The active node has claimed another epoch without a change of state. */
  readonly onEpoch: (router: string, epoch: number) => void;
  /** Where the adverts of an IPv6 virtual router come from. */
  readonly onSource: (router: string, address: string) => void;
  readonly health: (router: string) => ReportedHealth;
  /** What the peer says of itself, where it is active. */
  readonly fence: (router: string) => Fence | undefined;
  readonly isPreemptPermitted: () => boolean;
  /** It cannot run at all, for a reason that an operator has to mend. */
  readonly onFailed: (error: OperatorError) => void;
};

/**
 * V8's helper threads are not real-time, even where the vrrp process is: what waits for them waits for a busy machine.
 * Measured beside busy loops at 10 ms adverts: stalls of 80 ms within seconds with them, none in a minute without.
 */
const execArgv = [
  '--single-threaded',
  // Becoming active is rare, so the interpreter would do it: machine code at once is a third quicker, and it is kept.
  '--always-sparkplug',
  '--no-flush-bytecode',
];
const stopTimeoutMs = 3_000;
const statusTimeoutMs = 1_000;
/** A virtual interface is made, addresses are claimed: milliseconds. */
const reconfigureTimeoutMs = 10_000;

/** The main process's side of the vrrp process: keeps it running, and cleans up after it. */
export class VrrpManager implements Service {
  readonly name = 'vrrp';
  #specs: readonly RouterSpec[];
  readonly #ports: VrrpManagerPorts;
  readonly #child: Child<VrrpCommand, VrrpReport>;
  readonly #epochs = new Map<string, number>();
  readonly #history: TransitionHistory;
  readonly #statusRequests = new Map<number, (routers: readonly RouterReport[]) => void>();
  readonly #reconfigurations = new Map<number, (failure: OperatorError | undefined) => void>();
  readonly #ready = Promise.withResolvers<undefined>();
  #lastStatusId = 0;
  #lastReconfigurationId = 0;
  #realtime: RealtimeStatus | undefined;
  #hasFailed = false;

  constructor(specs: readonly RouterSpec[], ports: VrrpManagerPorts) {
    this.#specs = specs;
    this.#ports = ports;
    this.#history = new TransitionHistory(() => ports.clock.wallMs());
    this.#child = new Child(
      { name: 'vrrp', entry: './vrrp-process.ts', execArgv, stopTimeoutMs },
      {
        clock: ports.clock,
        logger: ports.logger,
        events: {
          onStarted: () => this.#configure(),
          onReport: (report) => this.#onReport(report),
          onDied: (exit, restartInMs) => this.#onDied(exit, restartInMs),
        },
      },
    );
  }

  /** The highest mastership epoch known of each virtual router. */
  get epochs(): ReadonlyMap<string, number> {
    return this.#epochs;
  }

  /** Before it starts: the highest epoch of an earlier life. */
  recallEpoch(router: string, epoch: number): void {
    this.#epochs.set(router, epoch);
  }

  get process(): ProcessStatus {
    return { name: this.#child.name, pid: this.#child.pid, restarts: this.#child.restarts };
  }

  get realtime(): RealtimeStatus | undefined {
    return this.#realtime;
  }

  /** Resolves when the node stands for election. Throws OperatorError: missing interface or privilege. */
  async start(): Promise<void> {
    this.#child.start();
    try {
      await this.#ready.promise;
    } catch (error) {
      // What cannot run here must not be started again and again.
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#child.stop({ type: 'stop' });
  }

  send(command: VrrpCommand): void {
    this.#child.send(command);
  }

  /**
   * These from now on; those that are as they were are not touched. Throws OperatorError when something is refused: the
   * routers are then somewhere in between, until they are given a list again.
   */
  async reconfigure(specs: readonly RouterSpec[]): Promise<void> {
    this.#specs = specs;
    // A process that is being started again starts with them.
    if (this.#child.pid === undefined) return;
    const id = ++this.#lastReconfigurationId;
    const failure = await new Promise<OperatorError | undefined>((resolve) => {
      const timer = this.#ports.clock.after(reconfigureTimeoutMs, () => answer(vrrpError('did not answer in time')));
      const answer = (outcome: OperatorError | undefined): void => {
        timer.cancel();
        this.#reconfigurations.delete(id);
        resolve(outcome);
      };
      this.#reconfigurations.set(id, answer);
      this.#child.send({ type: 'reconfigure', id, routers: this.#configured() });
    });
    if (failure !== undefined) throw failure;
  }

  /** In the form of `statusOf`, without what the vrrp process does not know. */
  async status(): Promise<readonly RouterStatusCore[]> {
    const reports = await this.#askStatus();
    return this.#specs.map((spec) =>
      statusOf(
        spec,
        reports.find((report) => report.name === spec.name),
        this.#history.of(spec.name),
      ),
    );
  }

  #askStatus(): Promise<readonly RouterReport[]> {
    if (this.#child.pid === undefined) return Promise.resolve([]);
    const id = ++this.#lastStatusId;
    return new Promise((resolve) => {
      const answer = (routers: readonly RouterReport[]): void => {
        timer.cancel();
        this.#statusRequests.delete(id);
        resolve(routers);
      };
      const timer = this.#ports.clock.after(statusTimeoutMs, () => answer([]));
      this.#statusRequests.set(id, answer);
      this.#child.send({ type: 'report-status', id });
    });
  }

  #configure(): void {
    const isPreemptPermitted = this.#ports.isPreemptPermitted();
    this.#child.send({ type: 'configure', routers: this.#configured(), isPreemptPermitted });
  }

  #configured(): readonly ConfiguredRouter[] {
    return this.#specs.map((spec) => ({
      ...spec,
      epoch: this.#epochs.get(spec.name) ?? spec.epoch,
      health: this.#ports.health(spec.name),
      fence: this.#ports.fence(spec.name),
    }));
  }

  #onReport(report: VrrpReport): void {
    switch (report.type) {
      case 'ready':
        this.#realtime = { fifoScheduling: report.fifoScheduling, lockedMemory: report.lockedMemory };
        this.#ready.resolve(undefined);
        this.#ports.onReady();
        return;
      case 'reconfigured': {
        const { failure } = report;
        const error = failure && new OperatorError(failure.code, failure.what, failure.mend);
        this.#reconfigurations.get(report.id)?.(error);
        return;
      }
      case 'failed':
        this.#onFailed(new OperatorError(report.code, report.what, report.mend));
        return;
      case 'transition': {
        const { router, from, to, cause, reasons, epoch } = report;
        this.#epochs.set(router, epoch);
        this.#history.add(router, { from, to, cause, reasons, epoch });
        const why = [cause, ...(reasons.length === 0 ? [] : [reasons.join('; ')])].join(': ');
        const fields = { router, from, to, cause, reasons, epoch };
        this.#ports.logger.info(fields, 'virtual router changed state');
        this.#ports.events.add('transition', `${router}: ${from} -> ${to} (${why})`, fields);
        this.#ports.onState(router, to, epoch, cause);
        return;
      }
      case 'source-found':
        this.#ports.onSource(report.router, report.address);
        return;
      case 'epoch-claimed':
        if (this.#epochs.get(report.router) === report.epoch) return;
        this.#epochs.set(report.router, report.epoch);
        this.#ports.onEpoch(report.router, report.epoch);
        return;
      case 'address-event':
        this.#ports.logger.warn({ router: report.router, ...report.fields }, report.message);
        this.#ports.events.add('address', `${report.router}: ${report.message}`, report.fields);
        return;
      case 'status':
        this.#statusRequests.get(report.id)?.(report.routers);
        return;
    }
  }

  #onFailed(error: OperatorError): void {
    this.#hasFailed = true;
    this.#ready.reject(error);
    this.#ports.onFailed(error);
  }

  /** Its addresses would answer for a few seconds more, with nobody who tells the peer: remove them at once. */
  #onDied(exit: ChildExit, restartInMs: number): void {
    if (this.#hasFailed) return;
    const how = exit.signal ?? `exit code ${exit.code ?? 'unknown'}`;
    this.#ports.logger.error({ exit }, 'the vrrp process ended; its addresses are removed and it is started again');
    this.#ports.events.add('process', `the vrrp process ended (${how}); started again in ${restartInMs} ms`);
    for (const answer of [...this.#reconfigurations.values()]) answer(vrrpError(`ended (${how})`));
    for (const spec of this.#specs) {
      this.#history.end(spec.name, 'process-died');
      this.#ports.onState(spec.name, 'initialize', this.#epochs.get(spec.name) ?? 0, 'process-died');
      void this.#removeAddresses(spec);
    }
  }

  async #removeAddresses(spec: RouterSpec): Promise<void> {
    const ignore = (): void => undefined;
    const addresses = new Addresses(
      { interfaceName: spec.interface, addressLifetimeMs: addressLifetimeDefaultMs },
      {
        kernel: new Rtnetlink({ native: loadNative() }),
        clock: this.#ports.clock,
        handlers: { onAddressLost: ignore, onLinkChanged: ignore, onLinkGone: ignore, onRenewalFailed: ignore },
      },
    );
    try {
      await addresses.start();
      await addresses.removeStale(spec.addresses);
      if (spec.virtualMac) await removeVirtualInterface(virtualInterfaceSpec(spec), { native: loadNative() });
      await addresses.stop();
    } catch (error) {
      // They leave by themselves when their lifetime is over.
      this.#ports.logger.error({ router: spec.name, err: error }, 'could not remove the addresses');
    }
  }
}

function vrrpError(what: string): OperatorError {
  return new OperatorError('VRRP_PROCESS', `the vrrp process ${what}`, 'try again; its log and events say more');
}

export type RouterStatusCore = Omit<VirtualRouterStatus, 'trackers' | 'lastHook'>;

function statusOf(
  spec: RouterSpec,
  report: RouterReport | undefined,
  transitions: readonly TransitionStatus[],
): RouterStatusCore {
  return {
    name: spec.name,
    vrid: spec.vrid,
    version: spec.version,
    interface: spec.interface,
    addresses: spec.addresses.map(formatPrefix),
    state: report?.state ?? 'initialize',
    stateForMs: report?.stateForMs ?? 0,
    priority: report?.priority ?? spec.priority,
    basePriority: spec.priority,
    syncGroup: spec.syncGroup,
    faults: report?.faults ?? [],
    epoch: report?.epoch ?? 0,
    activeAddress: report?.activeAddress,
    activePriority: report?.activePriority,
    advertIntervalMs: spec.advertIntervalMs,
    activeAdvertIntervalMs: report?.activeAdvertIntervalMs ?? spec.advertIntervalMs,
    isFenced: report?.isFenced ?? false,
    preempt: spec.preempt,
    isPreemptPermitted: report?.isPreemptPermitted ?? false,
    peerChecksumForm: report?.peerChecksumForm,
    lastDropReason: report?.lastDropReason,
    lastSendError: report?.lastSendError,
    lastCause: report?.lastCause,
    transitions,
    counters: report?.counters ?? {},
  };
}
