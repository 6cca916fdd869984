export type { BalanceState, Candidate, Picked } from './candidate.ts';
export type { Balance } from './pick.ts';
export { pick } from './pick.ts';
