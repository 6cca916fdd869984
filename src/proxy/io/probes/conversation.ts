/** What all probes that talk over a connection have in common: it has one outcome, and is closed with it. */
import type { Dialed } from './dial.ts';
import { errorName } from './dial.ts';
import type { ProbeOutcome, ProbeTarget, RunningProbe } from './probe.ts';

export type Finish = (outcome: ProbeOutcome) => void;

/**
 * Dials, lets `talk` go on from there, and ends with the first outcome: that of `talk`, or the connection's error.
 * What `talk` answers is the progress of the probe.
 */
export function converse(
  dial: (target: ProbeTarget) => Dialed,
  target: ProbeTarget,
  onOutcome: Finish,
  talk: (dialed: Dialed, finish: Finish) => (() => string | undefined) | undefined,
): RunningProbe {
  let dialed: Dialed;
  try {
    dialed = dial(target);
  } catch (error) {
    onOutcome({ passed: false, reason: `TLS: ${errorName(error as Error)}` });
    return { cancel: () => undefined };
  }
  let isOver = false;
  const end = (): boolean => {
    if (isOver) return false;
    isOver = true;
    dialed.close();
    return true;
  };
  const finish: Finish = (outcome) => {
    if (end()) onOutcome(outcome);
  };
  dialed.stream.on('error', (error) => finish({ passed: false, reason: errorName(error) }));
  const progress = talk(dialed, finish);
  return { cancel: () => void end(), progress: () => progress?.() };
}
