/** Names: each is there once, and who speaks of a node means one that exists. */

import { isMapping } from './draft.ts';
import type { FileDraft } from './draft.ts';
import { nearest } from './nearest.ts';
import { formatPath } from './problem.ts';
import type { Finding, Path } from './problem.ts';

export function checkNames(file: FileDraft): readonly Finding[] {
  const servers = (file.services ?? []).map((service, index) =>
    duplicateNames(service?.servers, ['services', index, 'servers']),
  );
  return [
    ...duplicateNames(file.nodes, ['nodes']),
    ...duplicateNames(file.virtualRouters, ['virtualRouters']),
    ...duplicateNames(file.syncGroups, ['syncGroups']),
    ...duplicateNames(file.services, ['services']),
    ...servers.flat(),
  ];
}

/** Mappings from node to value must name every node and nothing else. */
export function checkNodeMaps(file: FileDraft): readonly Finding[] {
  const nodeNames = (file.nodes ?? []).map((node) => node?.name);
  const known = nodeNames.filter((name) => name !== undefined);
  if (known.length === 0 || known.length < nodeNames.length) return [];
  return (file.virtualRouters ?? []).flatMap((router, index) => [
    ...checkNodeMap(router?.interface, known, ['virtualRouters', index, 'interface']),
    ...checkNodeMap(router?.priority, known, ['virtualRouters', index, 'priority']),
    ...(router?.track ?? []).flatMap((tracker, item) =>
      checkNodeMap(tracker?.interface, known, ['virtualRouters', index, 'track', item, 'interface']),
    ),
  ]);
}

/** One finding for each further place of a key that must be unique; the first place is the rightful one. */
export function findRepeats(
  places: readonly { readonly key: string | undefined; readonly path: Path }[],
  explain: (firstPath: Path, path: Path) => Omit<Finding, 'path' | 'at'>,
): readonly Finding[] {
  const first = new Map<string, Path>();
  const findings: Finding[] = [];
  for (const { key, path } of places) {
    if (key === undefined) continue;
    const firstPath = first.get(key);
    if (firstPath === undefined) first.set(key, path);
    else findings.push({ path, at: 'value', ...explain(firstPath, path) });
  }
  return findings;
}

function duplicateNames(
  items: readonly ({ readonly name?: string | undefined } | undefined)[] | undefined,
  path: Path,
): readonly Finding[] {
  const places = (items ?? []).map((item, index) => ({ key: item?.name, path: [...path, index, 'name'] }));
  return findRepeats(places, (firstPath) => ({
    what: `this name is taken by ${formatPath(firstPath.slice(0, -1))}`,
    mend: 'choose another name',
  }));
}

function checkNodeMap(map: unknown, nodeNames: readonly string[], path: Path): readonly Finding[] {
  if (!isMapping(map)) return [];
  const strangers = Object.keys(map).filter((name) => !nodeNames.includes(name));
  // A misspelt node is one mistake, not also the lack of the right one.
  if (strangers.length > 0) return strangers.map((name) => strangeNode(name, nodeNames, path));
  const lacking = nodeNames.filter((name) => !Object.hasOwn(map, name));
  if (lacking.length === 0) return [];
  const what = `nothing for node ${lacking.join(', ')}`;
  return [{ path, at: 'value', what, mend: `name every node: ${nodeNames.join(', ')}` }];
}

function strangeNode(name: string, nodeNames: readonly string[], path: Path): Finding {
  const meant = nearest(name, nodeNames);
  const mend = meant === undefined ? `known here: ${nodeNames.join(', ')}` : `did you mean '${meant}'?`;
  return { path: [...path, name], at: 'key', what: 'no such node', mend };
}
