export type { Candidate, PoolView, Question } from './candidate.ts';
export type { Latency } from './latency.ts';
export { latencyAt, observeLatency } from './latency.ts';
export { buildMaglevTable } from './maglev.ts';
export type { Balance } from './pick.ts';
export { isHashed, pick } from './pick.ts';
