/** Brings a backup back to a running node, and over the sync link to its peer: all of it or nothing. */
import { OperatorError } from '../../runtime/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { readSnapshot } from '../../state/io/index.ts';
import type { EventLog } from '../events.ts';
import type { ServiceManager } from '../service-manager.ts';
import { planRestore } from './restore-plan.ts';
import type { RestorePlan } from './restore-plan.ts';

export type RestoreReport = {
  readonly overrides: number;
  readonly servers: number;
  readonly sticks: number;
  /** Stick entries that were left out, because their time is over. */
  readonly expired: number;
};

export type RestorePorts = {
  readonly clock: Clock;
  readonly events: EventLog;
  readonly services: ServiceManager;
};

/** In one turn. */
const batchMax = 1_000;

export class Restore {
  readonly #ports: RestorePorts;

  constructor(ports: RestorePorts) {
    this.#ports = ports;
  }

  /**
   * Overrides and added servers are then those of the backup; its sticky clients go where they went, others stay as
   * they are. Throws OperatorError `BAD_BACKUP`, or `DOES_NOT_FIT` with all that does not: nothing has changed then.
   */
  async run(pieces: AsyncIterable<Uint8Array>): Promise<RestoreReport> {
    const read = await readSnapshot(pieces, 'tandem-backup');
    if (!read.ok) throw new OperatorError('BAD_BACKUP', `the file ${read.reason.text}`, 'choose another backup');
    const { clock, services } = this.#ports;
    const { header, records } = read.value;
    const at = { writtenWallMs: header.wallMs, wallMs: clock.wallMs(), nowMs: clock.nowMs() };
    const plan = await planRestore(records, services.list.withoutAdded(), at, () => clock.sleep(0));
    if (!plan.ok) {
      const what = `the backup does not fit the configuration of this node: ${plan.reason.join('; ')}`;
      throw new OperatorError('DOES_NOT_FIT', what, 'nothing was restored; restore its configuration first');
    }
    return this.#apply(plan.value, `${header.node}, ${new Date(header.wallMs).toISOString()}`);
  }

  async #apply({ overrides, servers, sticks, expired }: RestorePlan, origin: string): Promise<RestoreReport> {
    const { clock, events, services } = this.#ports;
    services.list.restore(servers);
    services.overrides.restore(overrides);
    const report = { overrides: overrides.size, servers: servers.size, sticks: sticks.length, expired };
    events.add('override', `restored from a backup (${origin})`, report);
    for (const [index, { key, server, expiresAtMs }] of sticks.entries()) {
      services.stickiness.restore(key, server, expiresAtMs);
      if (index % batchMax === 0) await clock.sleep(0);
    }
    return report;
  }
}
