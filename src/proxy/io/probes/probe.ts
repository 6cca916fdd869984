/** What every kind of probe looks like to who schedules them. */
import type { ProxyVersion } from '../../index.ts';

export type ProbeTarget = {
  /** For programs, which are told whom they check. */
  readonly service: string;
  readonly server: string;
  readonly address: string;
  readonly port: number;
  /** Where the probe leaves from; undefined: the kernel chooses. */
  readonly source: string | undefined;
  /** The PROXY protocol header that a connection begins with, which says that it is this node's own. */
  readonly sendProxy?: ProxyVersion | undefined;
};

export type ProbeOutcome =
  /** `detail`: what the server said, in few words. */
  { readonly passed: true; readonly detail?: string | undefined } | { readonly passed: false; readonly reason: string };

export type RunningProbe = {
  /** Ends it without an outcome. Once it has one, this does nothing. */
  cancel(): void;
  /** What it waits for, where there is more to say than that it takes too long. */
  progress?(): string | undefined;
};

export type Probe = {
  /** Begins a probe, which has its outcome once at most, perhaps before this returns; time-outs are the caller's. */
  start(target: ProbeTarget, onOutcome: (outcome: ProbeOutcome) => void): RunningProbe;
};
