/**
 * What no single value shows: whether the parts of the file fit together. Each check takes what could be understood
 * and says nothing about what it does not know, so that one mistake is reported once.
 */

import { checkChecks, checkOutliers } from './cross-check-checks.ts';
import { checkAdvertSources, checkFirstAddresses, checkReachable } from './cross-check-ipv6.ts';
import { checkFirstServers } from './cross-check-capacity.ts';
import { checkFrontDoors } from './cross-check-front-door.ts';
import { checkNames, checkNodeMaps } from './cross-check-names.ts';
import { checkAddresses, checkFamilies, checkListeners, checkVrids } from './cross-check-network.ts';
import { checkServerKinds } from './cross-check-servers.ts';
import { checkSyncGroups, checkTrackers, checkVersions } from './cross-check-routers.ts';
import type { FileDraft } from './draft.ts';
import type { Finding } from './problem.ts';

/** The kernel's limit for the path of a UNIX socket, without its final zero (unix(7)). */
const socketPathBytesMax = 107;

export function crossCheck(file: FileDraft): readonly Finding[] {
  const checks = [
    checkSync,
    checkNames,
    checkNodeMaps,
    checkAddresses,
    checkFamilies,
    checkFirstAddresses,
    checkReachable,
    checkAdvertSources,
    checkVrids,
    checkListeners,
    checkFrontDoors,
    checkServerKinds,
    checkVersions,
    checkTrackers,
    checkSyncGroups,
    checkChecks,
    checkOutliers,
    checkFirstServers,
    checkSocketPath,
  ];
  return checks.flatMap((check) => check(file));
}

function checkSync(file: FileDraft): readonly Finding[] {
  if (file.nodes?.length !== 2 || file.sync !== undefined) return [];
  const mend = 'write e.g. sync: {keyFile: /etc/tandem/sync.key}';
  return [{ path: ['sync'], at: 'parent', what: 'missing, and two nodes need it', mend }];
}

function checkSocketPath(file: FileDraft): readonly Finding[] {
  const directory = file.admin?.socket;
  if (directory === undefined) return [];
  const nameLengths = (file.nodes ?? []).map((node) => node?.name?.length ?? 0);
  const length = utf8Length(directory) + '/.sock'.length + Math.max(0, ...nameLengths);
  if (length <= socketPathBytesMax) return [];
  const what = `the path of <node>.sock in it has ${length} bytes, and the kernel takes ${socketPathBytesMax}`;
  return [{ path: ['admin', 'socket'], at: 'value', what, mend: 'choose a shorter path, e.g. /run/tandem' }];
}

function utf8Length(text: string): number {
  return encodeURIComponent(text.toWellFormed()).replace(/%../g, '.').length;
}
