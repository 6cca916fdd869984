import type { ServerCounters, ServiceCounters, WorkerCounters } from '../proxy/index.ts';

/** The counters of all workers as one, by service. */
export function sumCounters(workers: readonly WorkerCounters[]): ReadonlyMap<string, ServiceCounters> {
  const sums = new Map<string, ServiceCounters>();
  for (const worker of workers) {
    for (const counters of worker.services) {
      const known = sums.get(counters.service);
      sums.set(counters.service, known === undefined ? counters : add(known, counters));
    }
  }
  return sums;
}

function add(a: ServiceCounters, b: ServiceCounters): ServiceCounters {
  return {
    ...sumFields(a, b),
    // Each worker has seen what was true of all.
    queuedMax: Math.max(a.queuedMax, b.queuedMax),
    refused: sumReasons(a.refused, b.refused),
    ended: sumFields(a.ended, b.ended),
    servers: addServers(a.servers, b.servers),
  };
}

/** Of what has never happened to one of them it has no number; it may have happened to the other. */
function sumReasons(a: ServiceCounters['refused'], b: ServiceCounters['refused']): ServiceCounters['refused'] {
  return { ...b, ...sumFields(a, b) };
}

/** A server may be unknown to one of them: its worker has just been started. */
function addServers(a: readonly ServerCounters[], b: readonly ServerCounters[]): readonly ServerCounters[] {
  const names = new Set([...a, ...b].map(({ server }) => server));
  return [...names].flatMap((name) => {
    const [first, second] = [a, b].map((list) => list.find(({ server }) => server === name));
    if (first === undefined || second === undefined) return first ?? second ?? [];
    return [sumFields(first, second)];
  });
}

/** The first one, with every number replaced by the sum of both. */
function sumFields<Counters extends object>(a: Counters, b: Counters): Counters {
  const sums = Object.entries(a).map(([name, value]: [string, unknown]) => {
    const other = (b as Readonly<Record<string, unknown>>)[name];
    return [name, typeof value === 'number' && typeof other === 'number' ? value + other : value];
  });
  return Object.fromEntries(sums) as Counters;
}
