/**
 * The servers behind a DNS name: when to ask again, and what an answer, an empty one or none at all means for those
 * that are known. A driver asks and feeds back what came.
 */

/** What a name stands for. `weight` in 1..256 where the records say it. */
export type Found = { readonly address: string; readonly port: number; readonly weight: number | undefined };

export type Answer =
  /** `ttlMs`: how long it may be believed. */
  | { readonly kind: 'found'; readonly found: readonly Found[]; readonly ttlMs: number }
  /** There is no such name, or it has no address of the family. */
  | { readonly kind: 'empty'; readonly reason: string }
  /** Nothing is known: no answer, or one that says nothing. */
  | { readonly kind: 'failed'; readonly reason: string };

export type DiscoveryState = {
  /** Each endpoint once, in order. */
  readonly found: readonly Found[];
  readonly nextLookupAtMs: number;
  /** Since when the name has had no addresses, although servers are known. */
  readonly emptySinceMs: number | undefined;
  /** Lookups in a row that failed, or were empty from the start. */
  readonly failures: number;
  /** Of the last lookup; undefined: it was answered. */
  readonly trouble: string | undefined;
};

/** A time to live is believed within these bounds: 0 would ask without end, a day would miss a move. */
export const ttlMinMs = 1_000;
export const ttlMaxMs = 300_000;
const retryMaxMs = 30_000;
/** One name may stand for so many; those after them in order are left out. */
export const foundMax = 256;

/** Due at once. */
export function newDiscovery(nowMs: number): DiscoveryState {
  return { found: [], nextLookupAtMs: nowMs, emptySinceMs: undefined, failures: 0, trouble: undefined };
}

/** `holdMs`: how long servers outlive the addresses of their name. */
export function stepDiscovery(holdMs: number, state: DiscoveryState, answer: Answer, nowMs: number): DiscoveryState {
  switch (answer.kind) {
    case 'found':
      if (answer.found.length === 0) return onEmpty(holdMs, state, 'no address', nowMs);
      return {
        found: inOrder(answer.found),
        nextLookupAtMs: nowMs + Math.min(ttlMaxMs, Math.max(ttlMinMs, answer.ttlMs)),
        emptySinceMs: undefined,
        failures: 0,
        trouble: undefined,
      };
    case 'empty':
      return onEmpty(holdMs, state, answer.reason, nowMs);
    case 'failed':
      return { ...state, ...retry(state, nowMs), trouble: answer.reason };
  }
}

/** An emptied name is looked up again and again while its servers are held, and once more when that is over. */
function onEmpty(holdMs: number, state: DiscoveryState, reason: string, nowMs: number): DiscoveryState {
  const again = { ...retry(state, nowMs), trouble: reason };
  if (state.found.length === 0) return { ...state, ...again };
  const emptySinceMs = state.emptySinceMs ?? nowMs;
  const dropAtMs = emptySinceMs + holdMs;
  if (nowMs >= dropAtMs) return { ...state, ...again, found: [], emptySinceMs: undefined };
  return { ...state, ...again, emptySinceMs, nextLookupAtMs: Math.min(again.nextLookupAtMs, dropAtMs) };
}

function retry({ failures }: DiscoveryState, nowMs: number) {
  return {
    failures: failures + 1,
    nextLookupAtMs: nowMs + Math.min(retryMaxMs, ttlMinMs * 2 ** Math.min(failures, 5)),
  };
}

/** DNS servers turn the order of their answers; servers must not change because of that. */
function inOrder(found: readonly Found[]): readonly Found[] {
  const byEndpoint = new Map(found.map((one) => [`${one.address} ${one.port}`, one]));
  return [...byEndpoint.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, foundMax)
    .map(([, one]) => one);
}
