const firstDelayMs = 100;
const delayMaxMs = 1_000;

/** How long to wait after so many failures in a row (1 and more); `random` in [0, 1) adds up to a quarter. */
export function backoffMs(failures: number, random: number): number {
  const delayMs = Math.min(delayMaxMs, firstDelayMs * 2 ** Math.min(10, failures - 1));
  return delayMs * (1 + random / 4);
}
