/** The entries of replicated tables as lines of a snapshot, and back. */
import { recordLine, remainingMs } from '../../state/index.ts';
import type { Json, SnapshotRecord } from '../../state/index.ts';
import { isPlain } from '../../sync/index.ts';
import type { Entry, Plain } from '../../sync/index.ts';

/** Of values on disk, as on the wire. */
const valueBytesMax = 16 * 1024;

/** A line for each entry that lives at `nowMs`, and an empty one for each other, so that no step takes long. */
export function* tableLines(
  table: string,
  entries: Iterable<Entry>,
  nowMs: number,
): Generator<string, void, undefined> {
  for (const entry of entries) {
    if (entry.expiresAtMs <= nowMs) {
      yield '';
      continue;
    }
    const { key, value, counter, origin, expiresAtMs } = entry;
    // Rounded up: what lives for less than a millisecond still lives.
    const lifeMs = expiresAtMs === Infinity ? undefined : Math.ceil(expiresAtMs - nowMs);
    yield recordLine({ table, key, value: jsonOf(value), counter, origin, lifeMs });
  }
}

/** The entry as it is now; undefined: it has expired since, or its value is of no table. */
export function entryOf(
  { key, value, counter, origin, lifeMs }: SnapshotRecord,
  at: { readonly writtenWallMs: number; readonly wallMs: number; readonly nowMs: number },
): Entry | undefined {
  const remaining = remainingMs(lifeMs, at.writtenWallMs, at.wallMs);
  if (remaining <= 0 || !isPlain(value, valueBytesMax)) return undefined;
  return { key, value: value ?? undefined, counter, origin, expiresAtMs: at.nowMs + remaining };
}

/** Tables hold what JSON holds; bytes, which only another version could have sent, are of no use to this one. */
function jsonOf(value: Plain | undefined): Json {
  return value === undefined ? null : (value as Json);
}
