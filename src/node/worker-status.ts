/** What the counters of all workers together say of the node, beside those of the services. */
import type { AccessLogDestination, WorkerCounters } from '../proxy/index.ts';
import type { AcceptingStatus, AccessLogStatus } from './status-document.ts';

export function acceptingOf(workers: readonly WorkerCounters[]): AcceptingStatus {
  return {
    workers: workers.length,
    fullWorkers: workers.filter(({ isFull }) => isFull).length,
    limitHits: sumOf(workers, ({ connectionLimitHits }) => connectionLimitHits),
    pauses: sumOf(workers, ({ acceptPauses }) => acceptPauses),
  };
}

/** Undefined where there is no access log. */
export function accessLogOf(
  destination: AccessLogDestination | undefined,
  workers: readonly WorkerCounters[],
): AccessLogStatus | undefined {
  if (destination === undefined) return undefined;
  return {
    destination: destination === 'stdout' ? destination : destination.file,
    droppedRecords: sumOf(workers, ({ accessRecordsDropped }) => accessRecordsDropped),
    trouble: workers.find(({ accessLogTrouble }) => accessLogTrouble !== undefined)?.accessLogTrouble,
  };
}

function sumOf(workers: readonly WorkerCounters[], count: (worker: WorkerCounters) => number): number {
  return workers.reduce((sum, worker) => sum + count(worker), 0);
}
