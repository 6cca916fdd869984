/** What the vrrp process tells the main process: in the order in which it happened, after all that is more urgent. */
import type { IpPrefix } from '../../base/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { Clock, LogFields } from '../../runtime/index.ts';
import type { AddressReport } from '../../vip/io/index.ts';
import type { VrrpReport } from '../vrrp-protocol.ts';

export type ReportsPorts = {
  readonly clock: Pick<Clock, 'afterPoll'>;
  readonly send: (report: VrrpReport) => void;
};

export class Reports {
  readonly #ports: ReportsPorts;
  readonly #unsent: VrrpReport[] = [];

  constructor(ports: ReportsPorts) {
    this.#ports = ports;
  }

  /**
   * To write a message takes longer than to claim an address, and nobody is served meanwhile: so two turns of the event
   * loop come first. In the one the claim goes out, in the other comes the kernel's answer, which it gives at once; if
   * it does not, the report goes out nevertheless.
   */
  add(report: VrrpReport): void {
    this.#unsent.push(report);
    const { clock } = this.#ports;
    if (this.#unsent.length === 1) clock.afterPoll(() => clock.afterPoll(() => this.flush()));
  }

  /** Sends what has not been sent yet. */
  flush(): void {
    for (const report of this.#unsent.splice(0)) this.#ports.send(report);
  }

  /** Something that happened to a router's addresses or to what they are on, and the error behind it. */
  trouble(router: string, message: string, error?: unknown): void {
    this.#tell(router, message, error === undefined ? {} : { err: describe(error) });
  }

  conflicts(router: string, { conflicts }: AddressReport): void {
    for (const { foreign } of conflicts) {
      const message = `${foreign.address} is configured on the interface by somebody else and left alone`;
      this.#tell(router, message, { address: foreign.address });
    }
  }

  putBack(router: string, { address }: IpPrefix): void {
    this.#tell(router, `${address} was deleted by somebody else and put back`, { address });
  }

  #tell(router: string, message: string, fields: LogFields): void {
    this.add({ type: 'address-event', router, message, fields });
  }
}

function describe(error: unknown): string {
  return error instanceof OperatorError ? error.line : String(error);
}
