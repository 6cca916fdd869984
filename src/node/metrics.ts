import { Counter, Gauge, Registry } from 'prom-client';
import type { StatusDocument } from './status-document.ts';

/** The status as Prometheus text. Built anew for each scrape, so that nothing that is gone lingers. */
export function renderMetrics(status: StatusDocument): Promise<string> {
  const registry = new Registry();
  addNodeMetrics(registry, status);
  addServiceMetrics(registry, status);
  return registry.metrics();
}

function addNodeMetrics(registry: Registry, status: StatusDocument): void {
  const active = gauge(registry, 'tandem_active', '1 while this node holds the virtual router', ['router']);
  const epoch = gauge(registry, 'tandem_epoch', 'mastership epoch', ['router']);
  const vrrp = counter(registry, 'tandem_vrrp_total', 'VRRP events by kind', ['router', 'kind']);
  for (const router of status.virtualRouters) {
    active.set({ router: router.name }, router.state === 'active' ? 1 : 0);
    epoch.set({ router: router.name }, router.epoch);
    for (const [kind, count] of Object.entries(router.counters)) vrrp.inc({ router: router.name, kind }, count);
  }
  const suspended = counter(registry, 'tandem_accept_suspended_total', 'times that new clients had to wait', ['cause']);
  suspended.inc({ cause: 'limit' }, status.accepting.limitHits);
  suspended.inc({ cause: 'shortage' }, status.accepting.pauses);
  if (status.accessLog !== undefined) {
    const dropped = counter(registry, 'tandem_access_records_dropped_total', 'records lost by the access log');
    dropped.inc(status.accessLog.droppedRecords);
  }
  const trouble = gauge(registry, 'tandem_state_failing', '1 while state cannot be written to disk', ['contents']);
  for (const file of status.stateOnDisk.files) {
    trouble.set({ contents: file.contents }, file.trouble === undefined ? 0 : 1);
  }
  const { peer } = status;
  if (peer === undefined) return;
  gauge(registry, 'tandem_peer_connected', '1 while the sync link to the peer is up').set(peer.connected ? 1 : 0);
  gauge(registry, 'tandem_config_differs', '1 while the peer has another configuration').set(
    peer.configDiffers ? 1 : 0,
  );
  gauge(registry, 'tandem_in_sync', '1 while the peer has all that this node has').set(peer.inSync ? 1 : 0);
  gauge(registry, 'tandem_sync_lag_seconds', 'age of the oldest change the peer has not confirmed').set(
    peer.lagMs / 1_000,
  );
  gauge(registry, 'tandem_sync_lag_entries', 'changes the peer has not confirmed').set(peer.lagEntries);
  gauge(registry, 'tandem_sync_lag_bytes', 'bytes of the changes the peer has not confirmed').set(peer.lagBytes);
  if (peer.comparedForMs !== undefined) {
    const help = 'time since all tables were last found the same on both nodes';
    gauge(registry, 'tandem_sync_compared_seconds', help).set(peer.comparedForMs / 1_000);
  }
  const entries = gauge(registry, 'tandem_table_entries', 'entries of a replicated table', ['table']);
  for (const [table, size] of Object.entries(peer.tables)) entries.set({ table }, size);
  const sync = counter(registry, 'tandem_sync_total', 'sync events by kind', ['kind']);
  for (const [kind, count] of Object.entries(peer.counters)) sync.inc({ kind }, count);
}

function addServiceMetrics(registry: Registry, status: StatusDocument): void {
  const open = gauge(registry, 'tandem_connections', 'client connections open now', ['service']);
  const total = counter(registry, 'tandem_connections_total', 'client connections accepted', ['service']);
  const bytes = counter(registry, 'tandem_bytes_total', 'bytes relayed', ['service', 'direction']);
  const refused = counter(registry, 'tandem_refused_total', 'connections not served', ['service', 'reason']);
  const ended = counter(registry, 'tandem_ended_total', 'connections that have ended', ['service', 'cause']);
  const queued = gauge(registry, 'tandem_queue', 'clients that wait for a server', ['service']);
  const up = gauge(registry, 'tandem_server_up', '1 while the checks pass', ['service', 'server']);
  const serverOpen = gauge(registry, 'tandem_server_connections', 'connections to a server', ['service', 'server']);
  const failures = counter(registry, 'tandem_server_connect_failures_total', 'failed connects', ['service', 'server']);
  const ejected = gauge(registry, 'tandem_server_ejected', '1 while it is out for failures', ['service', 'server']);
  const ejections = counter(registry, 'tandem_server_ejections_total', 'ejections', ['service', 'server']);
  const lookups = counter(registry, 'tandem_dns_lookups_total', 'DNS lookups for servers', ['service', 'name']);
  const lost = counter(registry, 'tandem_dns_failures_total', 'lookups that found nothing', ['service', 'name']);
  for (const service of status.services) {
    for (const { name, lookups: asked, failures: failed } of service.discoveries) {
      lookups.inc({ service: service.name, name }, asked);
      lost.inc({ service: service.name, name }, failed);
    }
    const labels = { service: service.name };
    open.set(labels, service.connections);
    total.inc(labels, service.connectionsTotal);
    bytes.inc({ ...labels, direction: 'in' }, service.bytesIn);
    bytes.inc({ ...labels, direction: 'out' }, service.bytesOut);
    queued.set(labels, service.queued);
    for (const [reason, count] of Object.entries(service.refused)) refused.inc({ ...labels, reason }, count);
    for (const [cause, count] of Object.entries(service.ended)) ended.inc({ ...labels, cause }, count);
    for (const server of service.servers) {
      const serverLabels = { ...labels, server: server.name };
      up.set(serverLabels, server.health === 'down' ? 0 : 1);
      serverOpen.set(serverLabels, server.connections);
      failures.inc(serverLabels, server.connectFailures);
      ejected.set(serverLabels, server.ejection === undefined ? 0 : 1);
      ejections.inc(serverLabels, server.ejectionsTotal);
    }
  }
}

function gauge<Label extends string>(registry: Registry, name: string, help: string, labelNames: Label[] = []) {
  return new Gauge({ name, help, labelNames, registers: [registry] });
}

function counter<Label extends string>(registry: Registry, name: string, help: string, labelNames: Label[] = []) {
  return new Counter({ name, help, labelNames, registers: [registry] });
}
