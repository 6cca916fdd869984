/** The workers of this node's services: what they are told of them, and who hears what they report. */
import type { Config, ServiceConfig } from '../config/index.ts';
import type { WorkerService } from '../proxy/index.ts';
import type { Clock, Logger, Native } from '../runtime/index.ts';
import type { EventLog } from './events.ts';
import type { Outliers } from './outliers.ts';
import { keyOf } from './replicated-state.ts';
import type { ServerPools } from './server-pools.ts';
import type { ServiceList } from './service-list.ts';
import { workerService } from './settings.ts';
import type { Counted } from './settings.ts';
import { SlotTable } from './slot-table.ts';
import type { Stickiness } from './stickiness.ts';
import { WorkerPool } from './worker-pool.ts';

export type ServiceWorkersPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly native: Native;
  readonly events: EventLog;
  readonly list: ServiceList;
  readonly pools: ServerPools;
  readonly outliers: Outliers;
  readonly stickiness: Stickiness;
  readonly accessLog: () => Config['log']['access'];
};

/** So many workers, not started yet. */
export function createServiceWorkers(count: number, ports: ServiceWorkersPorts): WorkerPool {
  const { clock, logger, native, events, list, pools, outliers, stickiness, accessLog } = ports;
  const slots = new SlotTable();
  const told = (service: ServiceConfig): WorkerService => {
    // A name has no slash, so that the slots of the queue and of the clients are no server's.
    const slotOf = (counted: Counted): number =>
      slots.slotOf(keyOf(service.name, typeof counted === 'string' ? `/${counted}` : counted.server));
    return workerService(service, pools.of(service.name), { workers: count, slotOf });
  };
  const workers = new WorkerPool(count, {
    ...{ clock, logger, native, events, accessLog },
    services: () => list.all.map(told),
    usedSlots: () => slots.used,
    onWorkerStarted: (worker) => {
      outliers.onWorkerStarted(worker);
      stickiness.teach(worker);
    },
    onServerFailures: (worker, servers) => outliers.onFailures(worker, servers),
    onStickClaims: (worker, claims) => workers.assignSticks(worker, stickiness.claim(claims)),
    onStickTouched: (entries) => stickiness.touch(entries),
  });
  return workers;
}
