/** Moves virtual routers between the nodes, for whoever wants it: the operator of either one, or the health policy. */
import type { Config } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { FailoverRequest } from './admin-api.ts';
import type { EventLog } from './events.ts';
import { withTheirGroups } from './settings.ts';
import type { FailoverReport } from './status-document.ts';
import type { Switchover } from './switchover.ts';

export type FailoverPorts = {
  readonly switchover: Pick<Switchover, 'run'>;
  readonly events: EventLog;
  /** The one that is in force. */
  readonly config: () => Config;
};

export class Failover {
  readonly #ports: FailoverPorts;

  constructor(ports: FailoverPorts) {
    this.#ports = ports;
  }

  /** For an operator: as `move`, and a refusal is among the events as well. */
  async ask(request: FailoverRequest): Promise<FailoverReport> {
    try {
      return await this.move(request);
    } catch (error) {
      if (error instanceof OperatorError) {
        this.#ports.events.add('failover', `refused: ${error.line}`, { code: error.code });
      }
      throw error;
    }
  }

  /** Throws OperatorError as `Switchover.run`, and `NO_SUCH_ROUTER`. */
  async move({ routers, ...request }: FailoverRequest): Promise<FailoverReport> {
    const { switchover, events } = this.#ports;
    const report = await switchover.run({ ...request, routers: routers && this.#known(routers) });
    const gap = report.gapMs === undefined ? '' : `, ${report.gapMs.toFixed(1)} ms without service`;
    events.add('failover', `${report.from} handed over to ${report.to}${gap}`, { ...report });
    return report;
  }

  /** The routers asked for, with their groups. */
  #known(routers: readonly string[]): readonly string[] {
    const config = this.#ports.config();
    const known = config.virtualRouters.map(({ name }) => name);
    const stranger = routers.find((router) => !known.includes(router));
    if (stranger !== undefined) {
      const mend = `there are: ${known.join(', ')}`;
      throw new OperatorError('NO_SUCH_ROUTER', `there is no virtual router ${stranger}`, mend);
    }
    return withTheirGroups(config, routers);
  }
}
