/**
 * What is different in another configuration, in the words of the file: for operators who reload it. Things that have
 * a name (or, like keys, an `id`) are compared with their namesakes, whatever their place in the list.
 */

import { formatEndpoint, formatPrefix } from '../base/index.ts';
import type { IpPrefix } from '../base/index.ts';
import type { Config } from './config.ts';
import { isMapping } from './draft.ts';
import { formatDuration } from './duration.ts';
import type { Endpoint } from './endpoint.ts';
import { canonicalJson } from './hash.ts';

export type ConfigChange = {
  /** "services.web.servers.s1.weight" */
  readonly path: string;
  readonly kind: 'added' | 'removed' | 'changed' | 'reordered';
  /** As people read it; undefined where there was nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
};

/** What a running node can take over; the rest of the file is for its next start. */
const liveSections: ReadonlySet<string> = new Set(['virtualRouters', 'syncGroups', 'services', 'resolvers', 'log']);

/** Outside of these, too: keys can be exchanged while both nodes run. */
const livePaths: ReadonlySet<string> = new Set(['sync.keyFile']);

/** Changes are told to the log, where secrets have no place. */
const secretKeys: ReadonlySet<string> = new Set(['simplePassword']);

/** Every difference, each once; empty exactly when the two have the same hash. */
export function diffConfig(before: Config, after: Config): readonly ConfigChange[] {
  return diff('', before, after);
}

/** "services.web.servers: + s3 10.9.0.23:8080", "virtualRouters.web.priority.lb1: 200 -> 150" */
export function formatChange({ path, kind, before = 'none', after = 'none' }: ConfigChange): string {
  switch (kind) {
    case 'added':
      return `${path}: + ${after}`;
    case 'removed':
      return `${path}: - ${before}`;
    case 'changed':
      return `${path}: ${before} -> ${after}`;
    case 'reordered':
      return `${path}: in the order ${after}`;
  }
}

/** Whether a change has to wait for the node's next start. */
export function needsRestart({ path }: ConfigChange): boolean {
  return !livePaths.has(path) && !liveSections.has(path.split('.', 1)[0] ?? '');
}

function diff(path: string, before: unknown, after: unknown): readonly ConfigChange[] {
  if (canonicalJson(before) === canonicalJson(after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) return diffLists(path, before, after);
  if (isSection(before) && isSection(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => diffKey(path, key, before[key], after[key]));
  }
  return [{ path, kind: 'changed', before: describe(before), after: describe(after) }];
}

function diffKey(path: string, key: string, before: unknown, after: unknown): readonly ConfigChange[] {
  if (secretKeys.has(key)) {
    const isSame = canonicalJson(before) === canonicalJson(after);
    return isSame ? [] : [{ path: join(path, key), kind: 'changed', before: hidden(before), after: hidden(after) }];
  }
  return diff(join(path, wordOf(key)), inItsUnit(key, before), inItsUnit(key, after));
}

function diffLists(path: string, before: readonly unknown[], after: readonly unknown[]): readonly ConfigChange[] {
  const [old, next] = [byIdentity(before), byIdentity(after)];
  const changes = [
    ...[...old].filter(([key]) => !next.has(key)).map(([, item]) => removed(path, item)),
    ...[...next].filter(([key]) => !old.has(key)).map(([, item]) => added(path, item)),
    ...[...next].flatMap(([key, item]) => (old.has(key) ? diff(join(path, key), old.get(key), item) : [])),
  ];
  const kept = [...next.keys()].filter((key) => old.has(key));
  const isReordered = kept.join('\n') !== [...old.keys()].filter((key) => next.has(key)).join('\n');
  // An item that went to another place while others came or went is told by its name alone.
  if (!isReordered) return changes;
  return [...changes, { path, kind: 'reordered', before: undefined, after: after.map(nameOf).join(', ') }];
}

function added(path: string, item: unknown): ConfigChange {
  return { path, kind: 'added', before: undefined, after: describe(item) };
}

function removed(path: string, item: unknown): ConfigChange {
  return { path, kind: 'removed', before: describe(item), after: undefined };
}

/** Items by what tells them apart; equal ones that have no name are numbered. */
function byIdentity(items: readonly unknown[]): ReadonlyMap<string, unknown> {
  const byKey = new Map<string, unknown>();
  for (const item of items) {
    const key = identityOf(item);
    let unique = key;
    for (let count = 2; byKey.has(unique); count++) unique = `${key} (${count})`;
    byKey.set(unique, item);
  }
  return byKey;
}

function identityOf(item: unknown): string {
  const { name, id } = isMapping(item) ? item : {};
  if (typeof name === 'string') return name;
  return typeof id === 'number' ? String(id) : canonicalJson(item);
}

function nameOf(item: unknown): string {
  const { name, id } = isMapping(item) ? item : {};
  return typeof name === 'string' ? name : typeof id === 'number' ? String(id) : describe(item);
}

/** Whether its keys are worth a line each. */
function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return isMapping(value) && !isEndpoint(value) && !isIpPrefix(value) && value['kind'] === undefined;
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'none';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(describe).join(', ');
  if (!isMapping(value)) return typeof value === 'string' ? value : JSON.stringify(value);
  if (isEndpoint(value)) return formatEndpoint(value.address, value.port);
  if (isIpPrefix(value)) return formatPrefix(value);
  const { name } = value;
  if (typeof name === 'string') {
    const where = value['address'] ?? value['listen'] ?? value['addresses'] ?? value['virtualRouters'];
    return where === undefined ? name : `${name} ${describe(where)}`;
  }
  const parts = Object.entries(value)
    .filter(([, part]) => part !== undefined)
    .map(([key, part]) => `${wordOf(key)}: ${secretKeys.has(key) ? hidden(part) : describe(inItsUnit(key, part))}`);
  return `{${parts.join(', ')}}`;
}

function hidden(value: unknown): string {
  return value === undefined ? 'none' : '(hidden)';
}

/** The key as the file has it: there a duration carries its unit itself. */
function wordOf(key: string): string {
  return key.length > 2 && key.endsWith('Ms') ? key.slice(0, -2) : key;
}

function inItsUnit(key: string, value: unknown): unknown {
  return key.endsWith('Ms') && typeof value === 'number' ? formatDuration(value) : value;
}

function join(path: string, step: string): string {
  return path === '' ? step : `${path}.${step}`;
}

function isEndpoint(value: Readonly<Record<string, unknown>>): value is Endpoint {
  return hasOnly(value, 'address', 'port');
}

function isIpPrefix(value: Readonly<Record<string, unknown>>): value is IpPrefix {
  return hasOnly(value, 'address', 'prefixLength');
}

function hasOnly(value: Readonly<Record<string, unknown>>, ...keys: readonly string[]): boolean {
  return Object.keys(value).length === keys.length && keys.every((key) => value[key] !== undefined);
}
