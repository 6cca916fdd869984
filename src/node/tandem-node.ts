/**
 * One node and its life: its parts are started in the order in which each needs the others (the election comes last: a
 * node stands for it once it can serve), and stopped in reverse.
 */
import { configWarnings } from '../config/index.ts';
import { Lifecycle, OperatorError } from '../runtime/index.ts';
import { NodeParts } from './node-parts.ts';
import type { TandemNodeOptions } from './node-parts.ts';
import { requireOwnAddress } from './own-address.ts';
import type { ReloadReport } from './reloader.ts';
import { version } from './version.ts';

/** How long a node that is told to stop waits for its peer to take over. */
const handOverTimeoutMs = 5_000;
/** How long the log's reader has for the last lines. */
const logCloseTimeoutMs = 1_000;

export class TandemNode {
  /** Resolves when the node cannot go on, for a reason that has been logged. */
  readonly failed: Promise<void>;
  readonly #options: TandemNodeOptions;
  readonly #parts: NodeParts;
  readonly #lifecycle: Lifecycle;

  constructor(options: TandemNodeOptions) {
    const failed = Promise.withResolvers<undefined>();
    this.failed = failed.promise;
    this.#options = options;
    this.#parts = new NodeParts(options, { onFailed: () => failed.resolve(undefined) });
    this.#lifecycle = new Lifecycle({ logger: this.#parts.logger });
  }

  /** Throws OperatorError when the node cannot run here; what had started is stopped again. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.#parts.logger.close(logCloseTimeoutMs);
      throw error;
    }
  }

  /**
   * Hands over to the peer if that is possible, then ends everything. False if the log's reader has made a write wait,
   * which keeps the process from ending in order.
   */
  async stop(): Promise<boolean> {
    const { logger, mastership, peer, switchover } = this.#parts;
    if (mastership.held().length > 0 && peer !== undefined) {
      try {
        await switchover.run({ to: peer.name, force: false, timeoutMs: handOverTimeoutMs });
      } catch (error) {
        const reason = error instanceof OperatorError ? error.line : String(error);
        logger.warn({ reason }, 'stops without having handed over');
      }
    }
    await this.#lifecycle.stop();
    logger.info({}, 'node has stopped');
    return logger.close(logCloseTimeoutMs);
  }

  /** Reads the file again that the node was started with. Throws OperatorError as `Reloader.reload`. */
  reload(): Promise<ReloadReport> {
    return this.#parts.reloader.reload({ path: undefined, isDryRun: false });
  }

  async #start(): Promise<void> {
    const { self } = this.#options.identity;
    const { logger, events, admin, privileges, stateKeeper, services, hooks, trackers, peer } = this.#parts;
    const { preemptGate, vrrp, healthPolicy } = this.#parts;
    await requireOwnAddress(self);
    for (const warning of configWarnings(this.#options.config)) logger.warn({}, warning);
    // Before anybody can change anything, what was known is known. The admin socket may be given to a group, which
    // needs more privileges than all that follows.
    const parts = [stateKeeper, admin, privileges, services, hooks, trackers, peer];
    const election = [preemptGate, vrrp, healthPolicy];
    await this.#lifecycle.start([...parts, ...election].filter((part) => part !== undefined));
    logger.info({ version, configHash: this.#parts.reconfiguration.inForce.hash }, 'node is running');
    events.add('node', `${self.name} is running tandem ${version}`);
  }
}
