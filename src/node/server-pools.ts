/** The server pools of all services, and what follows when a service has other servers than before, or none. */
import type { ServiceConfig } from '../config/index.ts';
import { createPool, eligibility, serving } from '../proxy/index.ts';
import type { PoolUpdate, ServerPool } from '../proxy/index.ts';
import type { Logger } from '../runtime/index.ts';
import type { EventLog } from './events.ts';
import { noSuchServer, noSuchService } from './service-errors.ts';
import { serverSpecs } from './settings.ts';

export type ServerPoolsPorts = {
  readonly logger: Logger;
  readonly events: EventLog;
  /** What a service's servers are good for has changed. */
  readonly onChanged: (service: string) => void;
  /** All pools are others: those of these services have come, gone, or been made anew. */
  readonly onReplaced: (services: Iterable<string>) => void;
  /** Whether a service has a server for new connections has changed. */
  readonly onUsable: (service: string, isUsable: boolean) => void;
};

export class ServerPools {
  readonly #ports: ServerPoolsPorts;
  #pools: Map<string, ServerPool>;

  constructor(services: readonly ServiceConfig[], ports: ServerPoolsPorts) {
    this.#ports = ports;
    this.#pools = new Map(services.map((service) => [service.name, createPool(serverSpecs(service))]));
  }

  /** All as they are now, by service. */
  snapshot(): ReadonlyMap<string, ServerPool> {
    return new Map(this.#pools);
  }

  /** Empty for a service that does not exist. */
  of(service: string): ServerPool {
    return this.#pools.get(service) ?? new Map();
  }

  /** Throws OperatorError for a service or server that does not exist. */
  require(service: string, server: string): void {
    const pool = this.#pools.get(service);
    if (pool === undefined) throw noSuchService(service, this.#pools.keys());
    if (!pool.has(server)) throw noSuchServer(service, server, pool.keys());
  }

  /** Whether the service has a server for new connections. */
  isUsable(service: string): boolean {
    return [...this.of(service).values()].some((server) => eligibility(serving(server)) === 'all');
  }

  store(service: string, { pool, change }: PoolUpdate): void {
    const wasUsable = this.isUsable(service);
    this.#pools.set(service, pool);
    if (change === undefined) return;
    this.#tellUsable(service, wasUsable);
    this.#ports.onChanged(service);
  }

  /** These pools and no others from now on. */
  replace(pools: ReadonlyMap<string, ServerPool>): void {
    const wasUsable = new Map([...this.#pools.keys()].map((name) => [name, this.isUsable(name)]));
    this.#pools = new Map(pools);
    this.#ports.onReplaced(new Set([...wasUsable.keys(), ...pools.keys()]));
    for (const name of pools.keys()) this.#tellUsable(name, wasUsable.get(name));
  }

  /** `wasUsable` is undefined for a service that is new. */
  #tellUsable(service: string, wasUsable: boolean | undefined): void {
    const isUsable = this.isUsable(service);
    if (isUsable !== wasUsable) this.#ports.onUsable(service, isUsable);
    if (isUsable || wasUsable !== true) return;
    this.#ports.logger.warn({ service }, 'no server is left for new connections');
    this.#ports.events.add('server', `${service}: no server is left for new connections`, { service });
  }
}
