/** Durations as people write them, "250ms" or "1.5s", and the milliseconds that the program counts in. */

const microsecondsOf = {
  us: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
} as const;

type Unit = keyof typeof microsecondsOf;

/** A number, with or without a fraction, and one unit right after it. */
export const durationPattern = /^(\d{1,12}(?:\.\d{1,12})?)(us|ms|s|m|h|d)$/;

/** Milliseconds, exact to the microsecond; undefined for anything but a number with a unit. */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = durationPattern.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  // Rounded to whole microseconds: 1.001 * 1000 is 1000.9999999999999.
  return Math.round(Number(amount) * microsecondsOf[unit as Unit]) / 1000;
}

/** The shortest text in the largest unit that needs no fraction, or in seconds: "1h", "40.95s", "250ms". */
export function formatDuration(durationMs: number): string {
  const microseconds = Math.round(durationMs * 1000);
  if (microseconds === 0) return '0s';
  const units: readonly Unit[] = ['d', 'h', 'm', 's', 'ms', 'us'];
  const whole = units.find((unit) => microseconds % microsecondsOf[unit] === 0) ?? 'us';
  if (whole === 'ms' && durationMs > 10_000) return `${durationMs / 1000}s`;
  return `${microseconds / microsecondsOf[whole]}${whole}`;
}
