import type {
  AcceptingStatus,
  AccessLogStatus,
  PeerStatus,
  PrivilegeStatus,
  RealtimeStatus,
  StateOnDiskStatus,
  StatusDocument,
  VirtualRouterStatus,
} from './status-document.ts';

/** What an operator should look at, one sentence each. */
export function warningsOf(status: StatusDocument): readonly string[] {
  return [
    ...routerWarnings(status),
    ...peerWarnings(status),
    ...serviceWarnings(status),
    ...acceptingWarnings(status.accepting),
    ...accessLogWarnings(status.accessLog),
    ...stateWarnings(status.stateOnDisk),
    ...realtimeWarnings(status.realtime),
    ...privilegeWarnings(status.privileges),
  ];
}

function routerWarnings({ virtualRouters, peer }: StatusDocument): string[] {
  return virtualRouters.flatMap((router) => {
    const { name, state, lastCause, faults, trackers } = router;
    const why = faults.length > 0 ? faults.join('; ') : (lastCause ?? 'the vrrp process is down');
    if (state === 'initialize') return [`virtual router ${name} takes no part: ${why}`];
    if (state === 'active' && peer?.virtualRouters[name] === 'active') return [`both nodes are active for ${name}`];
    const down = trackers.filter((tracker) => tracker.state === 'down');
    return [
      ...(isDeaf(router) ? [`virtual router ${name} hears no adverts of the active node: look at the LAN`] : []),
      ...down.map((tracker) => `virtual router ${name}: ${tracker.name} ${tracker.detail}`),
    ];
  });
}

/** For longer than it takes to hear the first one after a change. */
function isDeaf({ isFenced, stateForMs, advertIntervalMs }: VirtualRouterStatus): boolean {
  return isFenced && stateForMs > 3 * advertIntervalMs;
}

function peerWarnings({ peer, configHash }: StatusDocument): string[] {
  if (peer === undefined) return [];
  if (!peer.connected) {
    return [`${peer.name} is not connected: it would take over without knowing this node's state`];
  }
  return [
    ...(peer.configDiffers ? [differingConfigs(peer, configHash)] : []),
    ...(peer.inSync ? [] : [`${peer.name} is not in sync yet`]),
  ];
}

function differingConfigs({ name, configHash = 'unknown', configDiffersForMs = 0 }: PeerStatus, own: string): string {
  const seconds = Math.round(configDiffersForMs / 1_000);
  const hashes = `${configHash}, here ${own}`;
  return `${name} has another configuration (${hashes}) for ${seconds} s: reload where it is the old one`;
}

function serviceWarnings({ services }: StatusDocument): string[] {
  return services.flatMap((service) => {
    if (service.listenError !== undefined) return [`service ${service.name} does not listen: ${service.listenError}`];
    const usable = service.servers.filter(
      ({ health, state, agent }) => health !== 'down' && state === 'ready' && (agent?.state ?? 'ready') === 'ready',
    );
    return usable.length === 0 ? [`service ${service.name} has no server for new connections`] : [];
  });
}

function acceptingWarnings({ workers, fullWorkers }: AcceptingStatus): string[] {
  if (fullWorkers === 0) return [];
  const some = `${fullWorkers} of ${workers} workers`;
  return [`${some} have as many connections as their descriptors allow, new clients wait: raise the limit (ulimit -n)`];
}

function accessLogWarnings(accessLog: AccessLogStatus | undefined): string[] {
  if (accessLog === undefined) return [];
  const { destination, droppedRecords, trouble } = accessLog;
  return [
    ...(trouble === undefined ? [] : [`the access log cannot be written: ${destination}: ${trouble}`]),
    ...(droppedRecords === 0
      ? []
      : [`the access log has lost ${droppedRecords} records: ${destination} did not take them`]),
  ];
}

function stateWarnings({ files }: StateOnDiskStatus): string[] {
  return files.flatMap(({ path, trouble, setAside }) => [
    ...(trouble === undefined
      ? []
      : [`${path} cannot be written (${trouble}): what has changed since is in memory only`]),
    ...(setAside.length === 0 ? [] : [`${setAside.at(-1) ?? path} was not loaded: look at it, and delete it`]),
  ]);
}

function realtimeWarnings(realtime: RealtimeStatus | undefined): string[] {
  if (realtime === undefined) return [];
  const { fifoScheduling, lockedMemory } = realtime;
  return [
    ...(fifoScheduling === 'yes' ? [] : [`no SCHED_FIFO (${fifoScheduling}): a busy machine delays adverts`]),
    ...(lockedMemory === 'yes' ? [] : [`memory is not locked (${lockedMemory}): what is swapped out delays adverts`]),
  ];
}

/** A worker without its capabilities fails where it needs them, and says so there. */
function privilegeWarnings(privileges: readonly PrivilegeStatus[]): string[] {
  return privileges.flatMap(({ process, missing, surplus }) => [
    ...(process !== 'vrrp' || missing.length === 0 ? [] : [`${process} lacks ${missing.join(', ')}`]),
    ...(surplus.length === 0 ? [] : [`${process} holds more than it needs: ${surplus.join(', ')}`]),
  ]);
}
