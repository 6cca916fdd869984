/** What has to happen to the running virtual routers so that they are as configured. */
import { isDeepStrictEqual } from 'node:util';
import type { RouterSpec } from './vrrp-protocol.ts';

export type RouterPlan<Spec extends RouterSpec = RouterSpec> = {
  /** Names, in the order in which they run. */
  readonly removed: readonly string[];
  /** Ended, and made anew as a backup. */
  readonly restarted: readonly Spec[];
  /** Go on in the state in which they are. */
  readonly changed: readonly { readonly from: RouterSpec; readonly to: Spec }[];
  readonly added: readonly Spec[];
};

/** Those that are as they were are not in it: nothing touches them. */
export function planRouters<Spec extends RouterSpec>(
  running: readonly RouterSpec[],
  wanted: readonly Spec[],
): RouterPlan<Spec> {
  const known = new Map(running.map((spec) => [spec.name, spec]));
  const different = wanted.flatMap((to) => {
    const from = known.get(to.name);
    return from === undefined || isSameRouter(from, to) ? [] : [{ from, to }];
  });
  return {
    removed: running.map(({ name }) => name).filter((name) => !wanted.some((spec) => spec.name === name)),
    restarted: different.filter(({ from, to }) => identityChanges(from, to).length > 0).map(({ to }) => to),
    changed: different.filter(({ from, to }) => identityChanges(from, to).length === 0),
    added: wanted.filter(({ name }) => !known.has(name)),
  };
}

/**
 * What of a change a running machine cannot take over, in the words of the file: the other nodes know the router by it,
 * or would not believe its adverts any more. Version 2 drops adverts of another interval.
 */
export function identityChanges(from: RouterSpec, to: RouterSpec): readonly string[] {
  const isOtherInterval = to.version === 2 && from.advertIntervalMs !== to.advertIntervalMs;
  return [
    ...(from.version === to.version ? [] : ['version']),
    ...(from.vrid === to.vrid ? [] : ['vrid']),
    ...(from.interface === to.interface ? [] : ['interface']),
    ...(from.family === to.family ? [] : ['addresses']),
    ...(from.unicastPeer === to.unicastPeer ? [] : ['mode']),
    ...(from.virtualMac === to.virtualMac ? [] : ['mac']),
    ...(from.simplePassword === to.simplePassword ? [] : ['simplePassword']),
    ...(isOtherInterval ? ['advertInterval'] : []),
  ];
}

/** The epoch, the trackers' word and the peer's are no configuration. */
function isSameRouter(from: RouterSpec, to: RouterSpec): boolean {
  const configured = (spec: RouterSpec) => ({ ...spec, epoch: 0, health: undefined, fence: undefined });
  return isDeepStrictEqual(configured(from), configured(to));
}
