import { systemClock } from '../runtime/index.ts';
import type {
  DiscoveryStatus,
  PeerStatus,
  ServerStatus,
  ServiceStatus,
  StatusDocument,
  TrackerStatus,
  VirtualRouterStatus,
} from '../node/index.ts';
import { callNode } from './client.ts';
import type { NodeOptions } from './program.ts';
import { byteCount, duration, print, printJson, table } from './render.ts';

export async function status(options: NodeOptions, watch: boolean): Promise<void> {
  for (;;) {
    const document = await fetchStatus(options);
    if (watch && options.json !== true) process.stdout.write('\x1b[H\x1b[2J');
    if (options.json === true) printJson(document);
    else print(renderStatus(document));
    if (!watch) return;
    await systemClock.sleep(1_000);
  }
}

export function fetchStatus(options: NodeOptions): Promise<StatusDocument> {
  return callNode<StatusDocument>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'GET', path: '/status' },
  );
}

export function renderStatus(document: StatusDocument): string {
  return [
    `${document.node}: tandem ${document.version}, up ${duration(document.uptimeMs)}`,
    ...document.warnings.map((warning) => `  ! ${warning}`),
    '',
    renderRouters(document.virtualRouters),
    ...renderTrackers(document.virtualRouters),
    '',
    renderPeer(document.peer),
    ...document.services.flatMap((service) => ['', renderService(service)]),
  ].join('\n');
}

function renderRouters(routers: readonly VirtualRouterStatus[]): string {
  return table([
    ['VIRTUAL ROUTER', 'STATE', 'SINCE', 'PRIORITY', 'ADDRESSES', 'ACTIVE NODE', 'LAST CHANGE'],
    ...routers.map((router) => [
      `${router.name} (${router.interface}, VRID ${router.vrid})`,
      router.state,
      duration(router.stateForMs),
      router.priority === router.basePriority ? String(router.priority) : `${router.priority} (${router.basePriority})`,
      router.addresses.join(' '),
      router.activeAddress ?? '-',
      router.lastCause ?? '-',
    ]),
  ]);
}

function renderTrackers(routers: readonly VirtualRouterStatus[]): readonly string[] {
  const rows = routers.flatMap((router) =>
    router.trackers.map((tracker) => [router.name, tracker.name, tracker.state, effectOf(tracker), tracker.detail]),
  );
  return rows.length === 0 ? [] : ['', table([['TRACKED BY', 'TRACKER', 'STATE', 'PRIORITY', 'DETAIL'], ...rows])];
}

function effectOf({ weight, contribution }: TrackerStatus): string {
  if (weight === 'fatal') return 'fatal';
  return contribution > 0 ? `+${contribution}` : String(contribution);
}

function renderPeer(peer: PeerStatus | undefined): string {
  if (peer === undefined) return 'peer: none (a single node)';
  const routers = Object.entries(peer.virtualRouters).map(([name, state]) => `${name} ${state}`);
  const parts = [
    peer.connected ? 'connected' : `not connected${peer.refused === undefined ? '' : ` (${peer.refused})`}`,
    ...routers,
    peer.inSync ? `in sync for ${duration(peer.inSyncForMs ?? 0)}` : 'not in sync',
    ...(peer.comparedForMs === undefined ? [] : [`compared ${duration(peer.comparedForMs)} ago`]),
    ...(peer.lagEntries > 0 ? [`${peer.lagEntries} entries, ${duration(peer.lagMs)} behind`] : []),
    ...(peer.configDiffers ? ['its configuration differs'] : []),
  ];
  return `peer ${peer.name}: ${parts.join(', ')}`;
}

function renderService(service: ServiceStatus): string {
  const traffic = `${service.connections} connections (${service.connectionsTotal} in all), ${byteCount(
    service.bytesIn,
  )} in, ${byteCount(service.bytesOut)} out`;
  const refused = Object.entries(service.refused)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} ${reason}`);
  const lines = [
    `service ${service.name} on ${service.listen}, ${service.balance}: ${traffic}`,
    ...(service.listenError === undefined ? [] : [`  ! not listening: ${service.listenError}`]),
    ...(refused.length === 0 ? [] : [`  not served: ${refused.join(', ')}`]),
    ...(service.queuedMax === 0
      ? []
      : [`  queue: ${service.queued} waiting, ${service.queuedMax} at most (of ${service.queueLength})`]),
    ...service.discoveries.filter(({ trouble }) => trouble !== undefined).map(renderTrouble),
    ...(service.stickEntries === undefined ? [] : [`  stick table: ${service.stickEntries} entries`]),
  ];
  return [...lines, indent(renderServers(service))].join('\n');
}

function renderTrouble({ asks, trouble = '', servers, nextLookupInMs }: DiscoveryStatus): string {
  const next = duration(nextLookupInMs);
  return `  ! DNS does not find ${asks} (${trouble}): ${servers} servers as known before, next try in ${next}`;
}

export function renderServers(service: ServiceStatus): string {
  const hasAgents = service.servers.some(({ agent }) => agent !== undefined);
  return table([
    [
      ...['SERVER', 'ADDRESS', 'HEALTH', 'STATE', 'WEIGHT', 'CONNECTIONS', 'TOTAL', 'FAILED'],
      ...(hasAgents ? ['AGENT'] : []),
      'LAST CHECK',
    ],
    ...service.servers.map((server) => [
      server.origin === 'file' ? server.name : `${server.name} (${server.origin})`,
      server.address,
      healthOf(server),
      server.state,
      server.backup ? `${server.weight} (backup)` : String(server.weight),
      server.maxconn === undefined ? String(server.connections) : `${server.connections} of ${server.maxconn}`,
      String(server.connectionsTotal),
      String(server.connectFailures),
      ...(hasAgents ? [server.agent?.lastAnswer ?? '-'] : []),
      server.lastCheck === undefined ? '-' : `${server.check ?? ''} ${server.lastCheck}`.trim(),
    ]),
  ]);
}

function healthOf({ health, ejection }: ServerStatus): string {
  if (ejection === undefined) return health;
  return `${health}, ejected for ${duration(ejection.remainingMs)} more (${ejection.reason})`;
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}
