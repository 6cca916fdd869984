/** Virtual routers, their groups, and what they track, as the program uses them. */

import { assert, ipFamily } from '../base/index.ts';
import type { IpFamily, IpPrefix } from '../base/index.ts';
import { dependentDefaults } from './schema.ts';
import type { ConfigFile } from './schema.ts';

export type VirtualRouterConfig = {
  readonly name: string;
  /** 2 only with IPv4 and whole seconds. */
  readonly version: 2 | 3;
  readonly vrid: number;
  /** By node name. */
  readonly interface: Readonly<Record<string, string>>;
  readonly family: IpFamily;
  readonly addresses: readonly IpPrefix[];
  /** A multiple of 10. */
  readonly advertIntervalMs: number;
  /** By node name, 1..255. */
  readonly priority: Readonly<Record<string, number>>;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  readonly mode: 'multicast' | 'unicast';
  readonly mac: 'interface' | 'virtual';
  readonly checksum: 'auto' | 'pseudoHeader' | 'messageOnly';
  /** Of version 2 only; undefined: none. */
  readonly simplePassword: string | undefined;
  readonly hmac: HmacConfig | undefined;
  /** Undefined: the addresses are not announced again. */
  readonly announceRefreshMs: number | undefined;
  readonly track: readonly TrackerConfig[];
  readonly hooks: HooksConfig;
};

export type HmacConfig = {
  /** Each `id` once. */
  readonly keys: readonly { readonly id: number; readonly keyFile: string }[];
  /** The `id` of one of them. */
  readonly activeKey: number;
  /** What is sealed and what is believed, while a pair is being changed over. */
  readonly mode: 'enforce' | 'permissive' | 'receive-only';
};

export type TrackerConfig = {
  /** -253..253 without 0. */
  readonly weight: number | 'fatal';
  readonly subject: TrackerSubject;
};

export type TrackerSubject =
  /** By node name. */
  | { readonly kind: 'interface'; readonly interface: Readonly<Record<string, string>> }
  | {
      readonly kind: 'script';
      readonly command: readonly string[];
      readonly interMs: number;
      readonly timeoutMs: number;
      readonly rise: number;
      readonly fall: number;
    }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'service'; readonly service: string };

/** Commands as lists of words. */
export type HooksConfig = {
  readonly onActive: readonly string[] | undefined;
  readonly onBackup: readonly string[] | undefined;
  readonly onFault: readonly string[] | undefined;
  readonly timeoutMs: number;
};

export type SyncGroupConfig = { readonly name: string; readonly virtualRouters: readonly string[] };

type RouterFile = ConfigFile['virtualRouters'][number];

export function virtualRouterOf(router: RouterFile, nodeNames: readonly string[]): VirtualRouterConfig {
  const family = ipFamily(router.addresses[0]?.address ?? '');
  assert(family !== undefined, 'a virtual router has an address');
  const defaultPriorities = byNode(nodeNames, (_, index) => dependentDefaults.priorities[index]);
  const { priority = defaultPriorities, hooks } = router;
  return {
    name: router.name,
    version: router.version,
    vrid: router.vrid,
    interface: byNode(nodeNames, (node) =>
      typeof router.interface === 'string' ? router.interface : router.interface[node],
    ),
    family,
    addresses: router.addresses,
    advertIntervalMs: router.advertInterval,
    priority: byNode(nodeNames, (node) => (typeof priority === 'number' ? priority : priority[node])),
    preempt: router.preempt,
    preemptDelayMs: router.preemptDelay,
    mode: router.mode,
    mac: router.mac,
    checksum: router.checksum,
    simplePassword: router.simplePassword,
    hmac: router.hmac,
    announceRefreshMs: unlessZero(router.announceRefresh),
    track: router.track.map((tracker) => trackerOf(tracker, nodeNames)),
    hooks: {
      onActive: hooks.onActive,
      onBackup: hooks.onBackup,
      onFault: hooks.onFault,
      timeoutMs: hooks.timeout,
    },
  };
}

export function unlessZero(durationMs: number): number | undefined {
  return durationMs === 0 ? undefined : durationMs;
}

function trackerOf(tracker: RouterFile['track'][number], nodeNames: readonly string[]): TrackerConfig {
  return { weight: tracker.weight, subject: subjectOf(tracker, nodeNames) };
}

function subjectOf(tracker: RouterFile['track'][number], nodeNames: readonly string[]): TrackerSubject {
  const { interface: name, file, service } = tracker;
  if (name !== undefined) {
    return {
      kind: 'interface',
      interface: byNode(nodeNames, (node) => (typeof name === 'string' ? name : name[node])),
    };
  }
  if (file !== undefined) return { kind: 'file', path: file };
  if (service !== undefined) return { kind: 'service', service };
  assert(tracker.script !== undefined, 'a tracker has a subject');
  const { tracker: defaults } = dependentDefaults;
  const { inter = defaults.interMs, rise = defaults.rise, fall = defaults.fall, timeout = inter } = tracker;
  return { kind: 'script', command: tracker.script, interMs: inter, timeoutMs: timeout, rise, fall };
}

function byNode<Value>(
  nodeNames: readonly string[],
  pick: (node: string, index: number) => Value | undefined,
): Readonly<Record<string, Value>> {
  const entries = nodeNames.map((node, index) => {
    const value = pick(node, index);
    assert(value !== undefined, `there is a value for node ${node}`);
    return [node, value] as const;
  });
  return Object.fromEntries(entries);
}
