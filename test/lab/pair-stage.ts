/** The stage of tests that share a pair: it is set up once, and each of them begins with two healthy nodes. */

import { afterAll, beforeAll, beforeEach } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { makeWhole, rolesOf, startPair, startServers } from './stage.ts';
import type { Pair, Roles } from './stage.ts';

export type PairStage = {
  readonly lab: Lab;
  /** A test that replaces a node says so here. */
  pair: Pair;
  /** All of it, and who has the virtual address. */
  withRoles(): Promise<Roles & { readonly lab: Lab; readonly pair: Pair }>;
};

/** For the tests of the `describe` that calls this. `prepare` changes the lab before anything is started in it. */
export function usePairStage(prepare?: (lab: Lab) => Promise<void>): PairStage {
  // Empty until the tests run.
  const stage = {} as { lab: Lab; pair: Pair };

  beforeAll(async () => {
    stage.lab = await createLab();
    await prepare?.(stage.lab);
    await startServers(stage.lab);
    stage.pair = await startPair(stage.lab);
  });

  beforeEach(async () => {
    stage.pair = await makeWhole(stage.lab, stage.pair);
  });

  afterAll(() => stage.lab.destroy());

  return Object.assign(stage, {
    withRoles: async () => {
      const { lab, pair } = stage;
      return { lab, pair, ...(await rolesOf(lab, pair)) };
    },
  });
}
