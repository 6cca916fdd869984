/** What a virtual router asks for must fit together, and its trackers and groups must name what is there. */

import { ipFamily } from '../base/index.ts';
import { findRepeats } from './cross-check-names.ts';
import type { Draft, FileDraft } from './draft.ts';
import { nearest } from './nearest.ts';
import { formatPath } from './problem.ts';
import type { Finding, Path } from './problem.ts';
import type { ConfigFile } from './schema.ts';

type RouterDraft = Draft<ConfigFile['virtualRouters'][number]>;
type TrackerDraft = Draft<ConfigFile['virtualRouters'][number]['track'][number]>;

const subjects = ['interface', 'script', 'file', 'service'] as const;
const timings = ['inter', 'timeout', 'rise', 'fall'] as const;

/** Version 2 knows less than version 3, and is alone in knowing a password (RFC 3768). */
export function checkVersions(file: FileDraft): readonly Finding[] {
  return (file.virtualRouters ?? []).flatMap((router, index) => {
    const path: Path = ['virtualRouters', index];
    return router === undefined ? [] : [...versionFindings(router, path), ...hmacFindings(router, path)];
  });
}

export function checkTrackers(file: FileDraft): readonly Finding[] {
  const services = file.services?.map((service) => service?.name);
  return (file.virtualRouters ?? []).flatMap((router, index) =>
    (router?.track ?? []).flatMap((tracker, item) => {
      if (tracker === undefined) return [];
      const path: Path = ['virtualRouters', index, 'track', item];
      return [
        ...subjectFindings(tracker, path),
        ...serviceFindings(tracker, path, services),
        ...ownerFindings(router, tracker, path),
      ];
    }),
  );
}

/** The members of a group exist, are in no other one, and want to be on the same node. */
export function checkSyncGroups(file: FileDraft): readonly Finding[] {
  const groups = file.syncGroups ?? [];
  const places = groups.flatMap((group, index) =>
    (group?.virtualRouters ?? []).map((key, item) => ({
      key,
      path: ['syncGroups', index, 'virtualRouters', item] as Path,
    })),
  );
  const repeats = findRepeats(places, (firstPath) => ({
    what: `this virtual router is in ${formatPath(firstPath.slice(0, 2))} already`,
    mend: 'name it once',
  }));
  const routers = (file.virtualRouters ?? []).map((router) => router?.name);
  const strangers = places.flatMap(({ key, path }) => unknownName(key, routers, path, 'virtual router'));
  return [...repeats, ...strangers, ...groups.flatMap((group, index) => discord(file, group?.virtualRouters, index))];
}

function versionFindings(router: RouterDraft, path: Path): readonly Finding[] {
  const { version, advertInterval, simplePassword, addresses } = router;
  if (version === undefined) return [];
  if (version === 3) {
    if (simplePassword === undefined) return [];
    const what = 'version 3 of VRRP has no password';
    return [atValue([...path, 'simplePassword'], what, 'leave it out; hmac authenticates Tandem nodes')];
  }
  const isIpv6 = ipFamily(addresses?.[0]?.address ?? '') === 6;
  const isFraction = advertInterval !== undefined && advertInterval % 1_000 !== 0;
  return [
    ...(isIpv6 ? [atValue([...path, 'version'], 'version 2 of VRRP knows no IPv6', 'write version: 3')] : []),
    ...(isFraction
      ? [atValue([...path, 'version'], 'version 2 of VRRP counts in seconds', 'write e.g. advertInterval: 1s')]
      : []),
  ];
}

function hmacFindings({ hmac }: RouterDraft, path: Path): readonly Finding[] {
  if (hmac?.keys === undefined) return [];
  const ids = hmac.keys.map((key) => key?.id);
  const places = ids.map((id, index) => ({
    key: id === undefined ? undefined : String(id),
    path: [...path, 'hmac', 'keys', index, 'id'],
  }));
  const repeats = findRepeats(places, (firstPath) => ({
    what: `${formatPath(firstPath.slice(0, -1))} has this id`,
    mend: 'choose another from 1 to 255',
  }));
  const { activeKey } = hmac;
  if (activeKey === undefined || ids.includes(undefined) || ids.includes(activeKey)) return repeats;
  const mend = `write one of ${ids.join(', ')}`;
  return [...repeats, atValue([...path, 'hmac', 'activeKey'], `no key has the id ${activeKey}`, mend)];
}

function subjectFindings(tracker: TrackerDraft, path: Path): readonly Finding[] {
  const named = subjects.filter((subject) => tracker[subject] !== undefined);
  const [first, second] = named;
  if (second !== undefined) {
    return [atValue([...path, second], `there is ${first} as well`, 'make it a tracker of its own')];
  }
  if (first === undefined || first === 'script') return [];
  return timings
    .filter((timing) => tracker[timing] !== undefined)
    .map((timing) => atValue([...path, timing], `only scripts are timed, not a tracked ${first}`, 'leave it out'));
}

function serviceFindings(
  { service }: TrackerDraft,
  path: Path,
  services: readonly (string | undefined)[] | undefined,
): readonly Finding[] {
  return unknownName(service, services ?? [], [...path, 'service'], 'service');
}

/** RFC 9568, 5.2.4: the owner of the addresses has 255, at all times. */
function ownerFindings(router: RouterDraft | undefined, { weight }: TrackerDraft, path: Path): readonly Finding[] {
  const priority = router?.priority;
  const priorities = typeof priority === 'object' ? Object.values(priority) : [priority];
  if (typeof weight !== 'number' || !priorities.includes(255)) return [];
  const what = 'a node with priority 255 owns the addresses, and no weight changes that';
  return [atValue([...path, 'weight'], what, 'write fatal, or a priority of 254 or less')];
}

/** Members that pull in different directions would never come to rest. */
function discord(
  file: FileDraft,
  names: readonly (string | undefined)[] | undefined,
  group: number,
): readonly Finding[] {
  const members = (names ?? []).map((name) => file.virtualRouters?.find((router) => router?.name === name));
  const [first] = members;
  const firstNode = file.nodes?.[0]?.name;
  const differing = members.findIndex((member) => wishOf(member, firstNode) !== wishOf(first, firstNode));
  if (first === undefined || members.includes(undefined) || differing < 0) return [];
  const what = `${names?.[differing] ?? ''} prefers another node than ${names?.[0] ?? ''}, or differs in preempt`;
  const mend = 'give the members of a group the same preferred node and the same preempt';
  return [atValue(['syncGroups', group, 'virtualRouters', differing], what, mend)];
}

/** Which node it wants to be on, and how much. Without a priority the node listed first is preferred. */
function wishOf(router: RouterDraft | undefined, firstNode: string | undefined): string {
  const { priority = { [firstNode ?? '']: 200 }, preempt } = router ?? {};
  if (typeof priority === 'number') return `any ${preempt ?? ''}`;
  const entries = Object.entries(priority).map(([node, value]) => [node, Number(value)] as const);
  const highest = Math.max(...entries.map(([, value]) => value));
  return `${entries.flatMap(([node, value]) => (value === highest ? [node] : [])).join()} ${preempt ?? ''}`;
}

function unknownName(
  name: string | undefined,
  known: readonly (string | undefined)[],
  path: Path,
  kind: string,
): readonly Finding[] {
  // A name that could not be read may be the one in question.
  if (name === undefined || known.includes(undefined) || known.includes(name)) return [];
  const names = known.filter((one) => one !== undefined);
  const meant = nearest(name, names);
  const mend = meant === undefined ? `there are: ${names.join(', ') || 'none'}` : `did you mean '${meant}'?`;
  return [atValue(path, `there is no ${kind} ${name}`, mend)];
}

function atValue(path: Path, what: string, mend: string): Finding {
  return { path, at: 'value', what, mend };
}
