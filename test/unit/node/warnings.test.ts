import { describe, expect, it } from 'vitest';
import type { PeerStatus, ServiceStatus, StatusDocument } from '../../../src/node/status-document.ts';
import { warningsOf } from '../../../src/node/warnings.ts';

describe('warningsOf', () => {
  it('says nothing of a healthy pair', () => {
    expect(warningsOf(healthy)).toEqual([]);
  });

  it('says nothing of a peer where there is none', () => {
    expect(warningsOf({ ...healthy, peer: undefined })).toEqual([]);
  });

  it.each<[string, Partial<PeerStatus>, string]>([
    [
      'not connected',
      { connected: false },
      "lb2 is not connected: it would take over without knowing this node's state",
    ],
    [
      'of another configuration',
      { configDiffers: true, configDiffersForMs: 12_300, configHash: 'y' },
      'lb2 has another configuration (y, here x) for 12 s: reload where it is the old one',
    ],
    ['behind', { inSync: false }, 'lb2 is not in sync yet'],
    ['active as well', { virtualRouters: { web: 'active' } }, 'both nodes are active for web'],
  ])('tells of a peer that is %s', (_what, change, warning) => {
    expect(warningsOf({ ...healthy, peer: { ...peer, ...change } })).toEqual([warning]);
  });

  it.each<[string, Partial<typeof stateFile>, string]>([
    [
      'cannot be written',
      { trouble: 'ENOSPC' },
      '/var/lib/tandem/lb1.sticks.state cannot be written (ENOSPC): what has changed since is in memory only',
    ],
    ['was set aside', { setAside: ['/a', '/b'] }, '/b was not loaded: look at it, and delete it'],
  ])('tells of state on disk that %s', (_what, change, warning) => {
    const files = [{ ...stateFile, ...change }];
    expect(warningsOf({ ...healthy, stateOnDisk: { ...healthy.stateOnDisk, files } })).toEqual([warning]);
  });

  it('tells of a virtual router that takes no part, and why', () => {
    const virtualRouters = [{ ...router, state: 'initialize' as const, lastCause: 'link-down' }];
    expect(warningsOf({ ...healthy, virtualRouters })).toEqual(['virtual router web takes no part: link-down']);
    const [unknown] = warningsOf({
      ...healthy,
      virtualRouters: [{ ...router, state: 'initialize', lastCause: undefined }],
    });
    expect(unknown).toBe('virtual router web takes no part: the vrrp process is down');
  });

  it('tells of a backup that hears nothing of the active node, as soon as it would have', () => {
    const fenced = { ...router, state: 'backup' as const, isFenced: true, advertIntervalMs: 100 };
    const withRouter = (stateForMs: number) => ({ ...healthy, virtualRouters: [{ ...fenced, stateForMs }] });
    expect(warningsOf(withRouter(250))).toEqual([]);
    expect(warningsOf(withRouter(350))).toEqual([
      'virtual router web hears no adverts of the active node: look at the LAN',
    ]);
  });

  it.each<[string, Partial<ServiceStatus['servers'][number]>, boolean]>([
    ['down', { health: 'down' }, true],
    ['drained', { state: 'drain' }, true],
    ['in maintenance', { state: 'maint' }, true],
    ['not checked', { health: 'unchecked' }, false],
  ])('tells of a service whose only server is %s', (_what, change, isWarned) => {
    const services = [{ ...service, servers: [{ ...server, ...change }] }];
    expect(warningsOf({ ...healthy, services })).toEqual(
      isWarned ? ['service web has no server for new connections'] : [],
    );
  });

  it('tells of a service that does not listen, and leaves its servers unsaid', () => {
    const services = [{ ...service, listenError: 'EADDRINUSE', servers: [] }];
    expect(warningsOf({ ...healthy, services })).toEqual(['service web does not listen: EADDRINUSE']);
  });

  it('tells of an access log that cannot be written before records are lost, and of those that were', () => {
    const log = { destination: '/var/log/access.log', droppedRecords: 0, trouble: 'ENOSPC' };
    expect(warningsOf({ ...healthy, accessLog: log })).toEqual([
      'the access log cannot be written: /var/log/access.log: ENOSPC',
    ]);
    expect(warningsOf({ ...healthy, accessLog: { ...log, droppedRecords: 3, trouble: undefined } })).toEqual([
      'the access log has lost 3 records: /var/log/access.log did not take them',
    ]);
  });

  it('tells of clients that wait because workers have all the connections that they may have', () => {
    const full = { ...accepting, fullWorkers: 1, limitHits: 7 };
    const many = '1 of 2 workers have as many connections as their descriptors allow';
    expect(warningsOf({ ...healthy, accepting: full })).toEqual([
      `${many}, new clients wait: raise the limit (ulimit -n)`,
    ]);
  });

  it('tells of a vrrp process that may be late', () => {
    const realtime = { fifoScheduling: 'EPERM', lockedMemory: 'ENOMEM' };
    expect(warningsOf({ ...healthy, realtime })).toEqual([
      'no SCHED_FIFO (EPERM): a busy machine delays adverts',
      'memory is not locked (ENOMEM): what is swapped out delays adverts',
    ]);
    expect(warningsOf({ ...healthy, realtime: undefined })).toEqual([]);
  });

  it('tells of capabilities that the vrrp process lacks, and of what any process could not give up', () => {
    const none = { held: [], missing: [], surplus: [] };
    const vrrp = { ...none, process: 'vrrp', missing: ['CAP_NET_RAW', 'CAP_NET_ADMIN'] };
    // Where it needs them, to listen on a low port for example, it says so itself.
    const worker = { ...none, process: 'worker 1', missing: ['CAP_NET_BIND_SERVICE'] };
    const main = { ...none, process: 'node', surplus: ['CAP_SYS_ADMIN'] };
    expect(warningsOf({ ...healthy, privileges: [main, vrrp, worker] })).toEqual([
      'node holds more than it needs: CAP_SYS_ADMIN',
      'vrrp lacks CAP_NET_RAW, CAP_NET_ADMIN',
    ]);
  });
});

const router: StatusDocument['virtualRouters'][number] = {
  ...{ name: 'web', vrid: 51, interface: 'eth0', addresses: [], state: 'active', stateForMs: 0, priority: 200 },
  ...{
    epoch: 1,
    activeAddress: undefined,
    basePriority: 100,
    syncGroup: undefined,
    faults: [],
    trackers: [],
    lastHook: undefined,
    ...{ version: 3, activePriority: undefined, advertIntervalMs: 100, activeAdvertIntervalMs: 100 },
    ...{ isFenced: false, preempt: false, isPreemptPermitted: true, peerChecksumForm: undefined },
    ...{ lastDropReason: undefined, lastSendError: undefined, transitions: [] },
    lastCause: 'take-over',
    counters: {},
  },
};

const peer: PeerStatus = {
  ...{ name: 'lb2', connected: true, refused: undefined, inSync: true, inSyncForMs: 1, lagEntries: 0, lagMs: 0 },
  ...{ lagBytes: 0, comparedForMs: undefined, protocolVersion: 2, tables: {} },
  ...{
    configDiffers: false,
    configDiffersForMs: undefined,
    configHash: 'x',
    virtualRouters: { web: 'backup' },
    counters: {},
  },
};

const server: ServiceStatus['servers'][number] = {
  ...{ name: 's1', address: '10.0.0.1:80', weight: 1, connections: 0, connectionsTotal: 0, connectFailures: 0 },
  ...{ origin: 'file', health: 'up', state: 'ready', lastCheck: undefined, backup: false, maxconn: undefined },
  ...{ check: undefined, agent: undefined, ejection: undefined, ejectionsTotal: 0 },
  ...{ queued: 0, drained: 0, shutdowns: 0 },
};

const service: ServiceStatus = {
  ...{ name: 'web', listen: '10.0.0.9:80', balance: 'roundrobin', listenError: undefined, connections: 0 },
  ...{ connectionsTotal: 0, bytesIn: 0, bytesOut: 0, refused: {}, ended: {}, stickEntries: undefined },
  ...{ queued: 0, queuedMax: 0, queueLength: 10_000, discoveries: [] },
  servers: [server],
};

const accepting = { workers: 2, fullWorkers: 0, limitHits: 0, pauses: 0 };

const stateFile: StatusDocument['stateOnDisk']['files'][number] = {
  ...{ contents: 'sticks', path: '/var/lib/tandem/lb1.sticks.state', trouble: undefined, setAside: [] },
  ...{ writtenForMs: 1, bytes: 1, durationMs: 1 },
};

const healthy: StatusDocument = {
  ...{ node: 'lb1', version: '1', pid: 1, uptimeMs: 1, configHash: 'x', virtualRouters: [router], peer },
  ...{ services: [service], processes: [], accepting, accessLog: undefined, realtime: undefined },
  ...{ privileges: [], warnings: [] },
  stateOnDisk: { state: 'kept', directory: '/var/lib/tandem', files: [stateFile] },
};
