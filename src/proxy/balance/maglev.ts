/**
 * Maglev consistent hashing (Eisenbud et al., NSDI 2016, 3.4): every server has its own permutation of the table's
 * places, and they take turns in claiming the next free one of theirs. Each gets its share of the places, and when a
 * server goes, the others keep almost all of theirs.
 */
import { hashSeeds, hashText } from './hash.ts';
import type { Candidate } from './candidate.ts';

/** A prime, so that every skip visits every place; large enough that shares are exact to about a percent. */
export const maglevTableSize = 65_537;

const free = 0xffff;

type Claimant = { readonly weight: number; readonly skip: number; place: number; claims: number };

/** The place in `servers` (at most 65,535 of them) for each hash: a matter of names and weights alone. */
export function buildMaglevTable(servers: readonly Pick<Candidate, 'name' | 'weight'>[]): Uint16Array {
  const table = new Uint16Array(maglevTableSize).fill(free);
  const claimants = servers.map(claimantOf);
  const weightMax = Math.max(...servers.map(({ weight }) => weight));
  let freePlaces = servers.length === 0 ? 0 : maglevTableSize;
  for (let round = 1; freePlaces > 0; round++) {
    for (let index = 0; index < claimants.length && freePlaces > 0; index++) {
      const claimant = claimants[index];
      // One of half the largest weight has a turn in every other round, and so on.
      if (claimant === undefined || claimant.claims * weightMax >= round * claimant.weight) continue;
      table[claimNext(table, claimant)] = index;
      claimant.claims++;
      freePlaces--;
    }
  }
  return table;
}

/**
 * The server of a source address. Where that one is excluded, the next place of the table that is another's: the
 * clients of a server that refuses are spread over all others, each to the same one every time.
 */
export function pickByMaglev<Server extends Candidate>(
  servers: readonly Server[],
  table: Uint16Array,
  source: string,
  excluded: ReadonlySet<string>,
): Server | undefined {
  const start = hashText(source, hashSeeds.source) % maglevTableSize;
  for (let step = 0; step < maglevTableSize; step++) {
    const server = servers[table[(start + step) % maglevTableSize] ?? free];
    if (server === undefined) return undefined;
    if (!excluded.has(server.name)) return server;
  }
  return undefined;
}

function claimantOf({ name, weight }: Pick<Candidate, 'name' | 'weight'>): Claimant {
  return {
    weight,
    place: hashText(name, hashSeeds.maglevOffset) % maglevTableSize,
    skip: 1 + (hashText(name, hashSeeds.maglevSkip) % (maglevTableSize - 1)),
    claims: 0,
  };
}

/** The next place of its permutation that is free; there must be one. */
function claimNext(table: Uint16Array, claimant: Claimant): number {
  let { place } = claimant;
  while (table[place] !== free) place = (place + claimant.skip) % maglevTableSize;
  claimant.place = place;
  return place;
}
