/** Pools for the tests of the balancing algorithms. */
import { buildMaglevTable } from '../../../../src/proxy/index.ts';
import type { Candidate, PoolView, Question } from '../../../../src/proxy/index.ts';
import { seededRandom } from '../../../../src/runtime/index.ts';

/** A candidate whose load tests may change. */
export type TestServer = { -readonly [Key in keyof Candidate]: Candidate[Key] };

/** Servers s0, s1 ... of these weights, idle. */
export function servers(weights: readonly number[]): TestServer[] {
  return weights.map((weight, index) => server(`s${index}`, { weight }));
}

export function server(name: string, given: Partial<TestServer> = {}): TestServer {
  return { name, weight: 1, connections: 0, isFull: false, latency: undefined, turn: 0, ...given };
}

export function pool(all: readonly TestServer[]): PoolView<TestServer> {
  let table: Uint16Array | undefined;
  return { servers: all, maglevTable: () => (table ??= buildMaglevTable(all)) };
}

export function question(given: Partial<Question> = {}): Question {
  return { source: '192.0.2.1', excluded: new Set(), nowMs: 0, fraction: () => 0, ...given };
}

/** Fractions that a seed reproduces. */
export function fractions(seed: number): () => number {
  const random = seededRandom(seed);
  return () => random.next();
}

/** So many different client addresses. */
export function sources(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`);
}

/** How many of the picks each server got, by its place. */
export function tally(all: readonly TestServer[], picks: Iterable<TestServer | undefined>): number[] {
  const counts = new Map<TestServer | undefined, number>();
  for (const picked of picks) counts.set(picked, (counts.get(picked) ?? 0) + 1);
  return all.map((one) => counts.get(one) ?? 0);
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
