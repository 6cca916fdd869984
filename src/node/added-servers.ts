/** Servers that operators added at run time, on either node: what may be added and removed, and why not. */
import { formatEndpoint, ipFamily, parseIp } from '../base/index.ts';
import { readServer } from '../config/index.ts';
import type { ServerConfig, ServiceConfig } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { Clock } from '../runtime/index.ts';
import type { ReplicaTable } from '../sync/index.ts';
import { keyOf, splitKey } from './replicated-state.ts';
import type { AddedServer } from './replicated-state.ts';

export type NewServer = {
  readonly service: string;
  readonly name: string;
  /** "10.9.0.29:8080", or without a port: that of the service's first server. */
  readonly address: string;
  readonly weight?: number | undefined;
};

/** As many as the file may have. */
const serversMax = 1_024;

export class AddedServers {
  readonly #table: ReplicaTable<AddedServer>;
  readonly #clock: Clock;

  constructor(dependencies: { table: ReplicaTable<AddedServer>; clock: Clock }) {
    this.#table = dependencies.table;
    this.#clock = dependencies.clock;
  }

  /** Those of a service; without those whose name the file has taken since. */
  of({ name: service, servers }: ServiceConfig): readonly ServerConfig[] {
    const added: ServerConfig[] = [];
    for (const [key, fields] of this.#table.entries(this.#clock.nowMs())) {
      const [itsService, name] = splitKey(key);
      if (itsService !== service || servers.some((server) => server.name === name)) continue;
      const read = readServer({ ...fields, name });
      if (read.ok) added.push(read.value);
    }
    return added.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  has(service: ServiceConfig, name: string): boolean {
    return this.of(service).some((server) => server.name === name);
  }

  /** `service` with all servers that it has now. Throws OperatorError with what stands against it. */
  add(service: ServiceConfig, { name, address, weight }: NewServer): ServerConfig {
    const port = service.servers[0]?.address.port ?? service.listen.port;
    const endpoint = parseIp(address) === undefined ? address : formatEndpoint(address, port);
    const fields = { address: endpoint, ...(weight === undefined ? {} : { weight }) };
    const server = readAdded(service, name, fields);
    if (!this.#table.set(keyOf(service.name, name), fields, this.#clock.nowMs())) {
      throw new OperatorError('TOO_MANY_SERVERS', 'there are too many servers that were added', 'remove some');
    }
    return server;
  }

  /** These and no others from now on; they have been read for their services. */
  restore(servers: ReadonlyMap<string, AddedServer>): void {
    const nowMs = this.#clock.nowMs();
    for (const [key] of [...this.#table.entries(nowMs)]) if (!servers.has(key)) this.#table.delete(key, nowMs);
    for (const [key, fields] of servers) this.#table.set(key, fields, nowMs);
  }

  remove(service: string, name: string): void {
    this.#table.delete(keyOf(service, name), this.#clock.nowMs());
  }

  /** Both nodes have these services: what was added to others, or is in the file by now, is forgotten. */
  retain(services: readonly ServiceConfig[]): void {
    const nowMs = this.#clock.nowMs();
    for (const [key] of [...this.#table.entries(nowMs)]) {
      const [service, name] = splitKey(key);
      const config = services.find((one) => one.name === service);
      if (config === undefined || config.servers.some((server) => server.name === name)) this.#table.delete(key, nowMs);
    }
  }
}

/** The server that is to be added to a service. Throws OperatorError with what stands against it. */
export function readAdded(service: ServiceConfig, name: string, fields: AddedServer): ServerConfig {
  const read = readServer({ ...fields, name });
  if (!read.ok) throw new OperatorError('BAD_SERVER', read.reason, 'see docs/configuration.md for what it may be');
  refuseClash(service, read.value);
  return read.value;
}

function refuseClash(service: ServiceConfig, { name, address }: ServerConfig): void {
  const where = formatEndpoint(address.address, address.port);
  const clash = service.servers.find(
    (server) => server.name === name || formatEndpoint(server.address.address, server.address.port) === where,
  );
  if (clash !== undefined) {
    const same = clash.name === name ? `a server ${name}` : `the server ${clash.name} on ${where}`;
    throw new OperatorError('SERVER_CLASH', `service ${service.name} has ${same} already`, 'choose another');
  }
  if (ipFamily(address.address) !== ipFamily(service.listen.address)) {
    const what = `${where} is not of the family of ${service.listen.address}, which connections leave from`;
    throw new OperatorError('SERVER_FAMILY', what, 'name an address of that family');
  }
  if (service.servers.length >= serversMax) {
    throw new OperatorError('TOO_MANY_SERVERS', `service ${service.name} has ${serversMax} servers`, 'remove some');
  }
}
