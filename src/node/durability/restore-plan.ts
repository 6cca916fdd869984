/** What a backup would set on this node, or everything that does not fit the node's configuration. */
import { fail, ok } from '../../base/index.ts';
import type { Result } from '../../base/index.ts';
import type { ServerConfig, ServiceConfig } from '../../config/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { SnapshotRecord } from '../../state/index.ts';
import { readAdded } from '../added-servers.ts';
import {
  addedServersMax,
  overridesMax,
  parseOverride,
  parseServer,
  parseStick,
  splitKey,
} from '../replicated-state.ts';
import type { AddedServer, Override } from '../replicated-state.ts';
import { entryOf } from './table-lines.ts';

export type RestorePlan = {
  readonly overrides: ReadonlyMap<string, Override>;
  readonly servers: ReadonlyMap<string, AddedServer>;
  /** Of a key that is there twice, which changed while the backup was made, the last one counts. */
  readonly sticks: readonly PlannedStick[];
  /** Stick entries whose time is over. */
  readonly expired: number;
};

export type PlannedStick = { readonly key: string; readonly server: string; readonly expiresAtMs: number };

export type Instants = { readonly writtenWallMs: number; readonly wallMs: number; readonly nowMs: number };

type Draft = {
  readonly overrides: Map<string, Override>;
  readonly servers: Map<string, AddedServer>;
  /** A list: a map of a million would hold up the process each time that it grows. */
  readonly sticks: PlannedStick[];
  /** Each once, however often it shows. */
  readonly problems: Set<string>;
  /** The services with the servers that the backup adds. */
  readonly services: Map<string, ServiceConfig>;
  /** By service. */
  readonly stickCounts: Map<string, number>;
  expired: number;
};

/** Between two pauses. */
const batchMax = 1_000;
/** So many are named; a backup of another pair would bring one for each of its servers. */
const problemsMax = 20;

/**
 * `services`: of the configuration, with what DNS names stand for, without servers that were added. `pause` lets others
 * have their turn: a full stick table takes a second.
 */
export async function planRestore(
  records: readonly SnapshotRecord[],
  services: readonly ServiceConfig[],
  at: Instants,
  pause: () => Promise<void>,
): Promise<Result<RestorePlan, readonly string[]>> {
  const draft: Draft = {
    ...{ overrides: new Map(), servers: new Map(), sticks: [], problems: new Set(), expired: 0 },
    services: new Map(services.map((service) => [service.name, service])),
    stickCounts: new Map(),
  };
  // Overrides and sticky clients may be of servers that the backup adds.
  for (const record of records) if (record.table === 'servers') planServer(draft, record);
  for (const [index, record] of records.entries()) {
    if (draft.problems.size >= problemsMax) break;
    if (index % batchMax === 0) await pause();
    if (record.table === 'overrides') planOverride(draft, record);
    else if (record.table === 'sticks') planStick(draft, record, at);
    else if (record.table !== 'servers') draft.problems.add(`it has a table ${record.table}, which is not known here`);
  }
  checkSizes(draft);
  return draft.problems.size > 0 ? fail([...draft.problems]) : ok(draft);
}

function planServer(draft: Draft, { key, value }: SnapshotRecord): void {
  const [serviceName, name] = splitKey(key);
  const service = draft.services.get(serviceName);
  const fields = value === null ? undefined : parseServer(value);
  if (service === undefined) draft.problems.add(`there is no service ${serviceName}`);
  else if (fields === undefined) draft.problems.add(`its server ${key} cannot be read`);
  // The file has taken it over, as files do.
  else if (!service.servers.some((server) => server.name === name)) tryServer(draft, service, { key, name, fields });
}

function tryServer(
  draft: Draft,
  service: ServiceConfig,
  { key, name, fields }: { readonly key: string; readonly name: string; readonly fields: AddedServer },
): void {
  let server: ServerConfig;
  try {
    server = readAdded(service, name, fields);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    draft.problems.add(`its server ${key} does not fit: ${error.message}`);
    return;
  }
  draft.servers.set(key, fields);
  draft.services.set(service.name, { ...service, servers: [...service.servers, server] });
}

function planOverride(draft: Draft, { key, value }: SnapshotRecord): void {
  const override = value === null ? undefined : parseOverride(value);
  if (override === undefined) draft.problems.add(`what it sets of ${key} cannot be read`);
  else if (requireServer(draft, ...splitKey(key))) draft.overrides.set(key, override);
}

function planStick(draft: Draft, record: SnapshotRecord, at: Instants): void {
  const [serviceName] = splitKey(record.key);
  const server = record.value === null ? undefined : parseStick(record.value);
  if (server === undefined) {
    draft.problems.add(`its stick entry ${record.key} cannot be read`);
    return;
  }
  if (!requireServer(draft, serviceName, server)) return;
  if (draft.services.get(serviceName)?.stick === undefined) {
    draft.problems.add(`service ${serviceName} has no stickiness`);
    return;
  }
  const entry = entryOf(record, at);
  if (entry === undefined) {
    draft.expired++;
    return;
  }
  draft.sticks.push({ key: record.key, server, expiresAtMs: entry.expiresAtMs });
  draft.stickCounts.set(serviceName, (draft.stickCounts.get(serviceName) ?? 0) + 1);
}

/** Of a DNS name that the file has, servers come and go. */
function requireServer({ services, problems }: Draft, serviceName: string, server: string): boolean {
  const service = services.get(serviceName);
  if (service === undefined) problems.add(`there is no service ${serviceName}`);
  const isThere =
    service?.servers.some(({ name }) => name === server) === true ||
    service?.discoveries.some(({ name }) => server.startsWith(`${name}-`)) === true;
  if (service !== undefined && !isThere) problems.add(`service ${serviceName} has no server ${server}`);
  return isThere;
}

function checkSizes({ overrides, servers, sticks, stickCounts, services, problems }: Draft): void {
  if (overrides.size > overridesMax) problems.add(`it has ${overrides.size} overrides, more than ${overridesMax}`);
  if (servers.size > addedServersMax) problems.add(`it adds ${servers.size} servers, more than ${addedServersMax}`);
  for (const [name, countMax] of stickCounts) {
    const size = services.get(name)?.stick?.size ?? 0;
    if (countMax <= size) continue;
    const count = new Set(sticks.filter(({ key }) => splitKey(key)[0] === name).map(({ key }) => key)).size;
    if (count > size) problems.add(`it has ${count} sticky clients of service ${name}, whose table's size is ${size}`);
  }
}
