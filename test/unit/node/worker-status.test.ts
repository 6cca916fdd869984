import { describe, expect, it } from 'vitest';
import { acceptingOf, accessLogOf } from '../../../src/node/worker-status.ts';
import type { WorkerCounters } from '../../../src/proxy/index.ts';

const idle: WorkerCounters = {
  ...{ services: [], acceptPauses: 0, connectionLimitHits: 0, isFull: false, accessRecordsDropped: 0 },
};

describe('what the workers say together', () => {
  it('counts those that let clients wait, and how often they did', () => {
    const full = { ...idle, acceptPauses: 1, connectionLimitHits: 3, isFull: true };
    expect(acceptingOf([idle, full, { ...full, isFull: false }])).toEqual({
      ...{ workers: 3, fullWorkers: 1, limitHits: 6, pauses: 2 },
    });
  });

  it('names the access log, what it has lost, and why it takes nothing', () => {
    const stuck = { ...idle, accessRecordsDropped: 2, accessLogTrouble: 'ENOSPC' };
    const file = '/var/log/access.log';
    expect(accessLogOf({ file }, [idle, stuck, { ...idle, accessRecordsDropped: 5 }])).toEqual({
      ...{ destination: file, droppedRecords: 7, trouble: 'ENOSPC' },
    });
    expect(accessLogOf('stdout', [idle])).toEqual({ destination: 'stdout', droppedRecords: 0, trouble: undefined });
    expect(accessLogOf(undefined, [stuck])).toBeUndefined();
  });
});
