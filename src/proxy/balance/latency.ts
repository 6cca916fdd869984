/**
 * How long a server takes to answer: moving averages of the time to connect and of the time to its first byte. A peak
 * counts in full at once, and better times are believed only bit by bit (the "peak EWMA" of Twitter's Finagle): a
 * server that has become slow is left at its first slow answer. What is not seen again fades, so that it is tried
 * again.
 */
export type Latency = {
  readonly connect?: Average;
  readonly firstByte?: Average;
};

type Average = {
  readonly ms: number;
  /** When it was last measured. */
  readonly atMs: number;
};

/** In this time an average loses all but 1/e of what it was. */
const decayMs = 10_000;

/** Takes in one measured time. */
export function observeLatency(
  known: Latency | undefined,
  part: keyof Latency,
  sampleMs: number,
  nowMs: number,
): Latency {
  const before = known?.[part];
  const kept = before === undefined ? 0 : keptPart(before, nowMs);
  const ms = before === undefined || sampleMs > before.ms ? sampleMs : before.ms * kept + sampleMs * (1 - kept);
  return { ...known, [part]: { ms, atMs: nowMs } };
}

/** The time to connect and to the first byte together, as far as it is still believed. */
export function latencyAt({ connect, firstByte }: Latency, nowMs: number): number {
  return believed(connect, nowMs) + believed(firstByte, nowMs);
}

function believed(average: Average | undefined, nowMs: number): number {
  return average === undefined ? 0 : average.ms * keptPart(average, nowMs);
}

function keptPart({ atMs }: Average, nowMs: number): number {
  return Math.exp(-Math.max(0, nowMs - atMs) / decayMs);
}
