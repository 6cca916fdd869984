/**
 * The services with all servers that they have now: those of the file, those that operators added on either node, and
 * those that DNS names of the file stand for.
 */
import { formatEndpoint } from '../base/index.ts';
import type { ServiceConfig } from '../config/index.ts';
import type { Change } from '../sync/index.ts';
import type { AddedServers, NewServer } from './added-servers.ts';
import type { Discovery } from './discovery.ts';
import { splitKey } from './replicated-state.ts';
import type { AddedServer } from './replicated-state.ts';
import { configuredServer, noSuchServer, noSuchService } from './service-errors.ts';
import type { ServerOrigin } from './status-document.ts';
import type { TellOverride } from './tell-override.ts';

type State = {
  /** As in the file. */
  readonly configured: readonly ServiceConfig[];
  /** With the servers that were added at run time, and those that DNS names stand for. */
  readonly services: readonly ServiceConfig[];
  readonly byName: ReadonlyMap<string, ServiceConfig>;
};

export type ServiceListDependencies = {
  readonly tell: TellOverride;
  readonly added: AddedServers;
  readonly discovery: Discovery;
  /** Other servers were added than before: it is time for `refresh`. */
  readonly onChanged: () => void;
  /** An operator of this node has removed a server. */
  readonly onRemoved: (service: string, server: string) => void;
};

export class ServiceList {
  readonly #dependencies: ServiceListDependencies;
  #state: State;

  constructor(configured: readonly ServiceConfig[], dependencies: ServiceListDependencies) {
    this.#dependencies = dependencies;
    this.#state = stateOf(configured, configured);
  }

  get all(): readonly ServiceConfig[] {
    return this.#state.services;
  }

  get configured(): readonly ServiceConfig[] {
    return this.#state.configured;
  }

  get(name: string): ServiceConfig | undefined {
    return this.#state.byName.get(name);
  }

  /** Throws OperatorError `NO_SUCH_SERVICE`. */
  require(name: string): ServiceConfig {
    const service = this.get(name);
    if (service === undefined) throw noSuchService(name, this.#state.byName.keys());
    return service;
  }

  /** These services of the file, with what is added and found now. */
  refresh(configured: readonly ServiceConfig[] = this.configured): void {
    const { added, discovery } = this.#dependencies;
    const services = configured.map((service) => ({
      ...service,
      servers: [...service.servers, ...discovery.of(service), ...added.of(service)],
    }));
    this.#state = stateOf(configured, services);
  }

  /** All as it is now; answers how it is brought back. */
  save(): () => void {
    const state = this.#state;
    return () => {
      this.#state = state;
    };
  }

  /** Where a server comes from; undefined: there is none of that name. */
  originOf({ name: service, servers }: ServiceConfig, name: string): ServerOrigin | undefined {
    const { discovery } = this.#dependencies;
    const configured = this.configured.find((one) => one.name === service);
    if (configured?.servers.some((server) => server.name === name) === true) return 'file';
    if (configured !== undefined && discovery.of(configured).some((one) => one.name === name)) return 'dns';
    return servers.some((server) => server.name === name) ? 'added' : undefined;
  }

  /** Throws OperatorError: there is no such service, or what stands against the server. */
  add(server: NewServer): void {
    const { added, tell, onChanged } = this.#dependencies;
    const { address } = added.add(this.require(server.service), server);
    onChanged();
    const where = formatEndpoint(address.address, address.port);
    tell(`${server.service}: ${server.name} ${where} added`, { ...server });
  }

  /**
   * Its connections go on until they end. Throws OperatorError for a service or server that does not exist, and for one
   * that was not added at run time.
   */
  remove(serviceName: string, name: string): void {
    const { added, tell, onRemoved, onChanged } = this.#dependencies;
    const service = this.require(serviceName);
    const origin = this.originOf(service, name);
    if (origin === undefined)
      throw noSuchServer(
        serviceName,
        name,
        service.servers.map((server) => server.name),
      );
    if (origin !== 'added') throw configuredServer(serviceName, name, origin);
    added.remove(serviceName, name);
    onRemoved(serviceName, name);
    onChanged();
    tell(`${serviceName}: ${name} removed`, { service: serviceName, server: name });
  }

  /** As they are without any server that was added. */
  withoutAdded(): readonly ServiceConfig[] {
    const { discovery } = this.#dependencies;
    return this.configured.map((service) => ({
      ...service,
      servers: [...service.servers, ...discovery.of(service)],
    }));
  }

  /** These are the added servers from now on, by service/name. */
  restore(servers: ReadonlyMap<string, AddedServer>): void {
    const { added, onChanged } = this.#dependencies;
    added.restore(servers);
    onChanged();
  }

  /** The peer's operator added or removed a server. */
  onMerged({ key, value }: Change<AddedServer>): void {
    const { tell, onChanged } = this.#dependencies;
    const [service, server] = splitKey(key);
    const what = value === undefined ? 'removed' : 'added';
    tell(`${service}: ${server} ${what} on the peer`, { service, server });
    onChanged();
  }

  /** Both nodes have the same services: what was added to others is of no use to either. */
  forgetStrangers(): void {
    this.#dependencies.added.retain(this.configured);
  }
}

function stateOf(configured: readonly ServiceConfig[], services: readonly ServiceConfig[]): State {
  return { configured, services, byName: new Map(services.map((service) => [service.name, service])) };
}
