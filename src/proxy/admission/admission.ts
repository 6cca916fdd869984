/** Which clients a service takes, by their address: first `deny`, then, where there is one, `allow`, then limits. */
import { PrefixSet } from './prefix-set.ts';
import { SourceLimits } from './source-limits.ts';
import type { PerSourceSpec } from './source-limits.ts';

export type AdmissionSpec = {
  readonly deny: readonly string[];
  /** Undefined: everybody who is not denied. */
  readonly allow: readonly string[] | undefined;
  readonly perSource: PerSourceSpec | undefined;
};

export type AdmissionRefusal = 'denied' | 'source-connections' | 'source-rate';

export type Admitted =
  /** `source` is to be given to `release` when the connection has ended. */
  | { readonly ok: true; readonly source: string | undefined }
  | { readonly ok: false; readonly reason: AdmissionRefusal };

/** Some 200 bytes each. */
const idleSourcesMax = 100_000;

const anybody: Admitted = { ok: true, source: undefined };

export class Admission {
  readonly #deny: PrefixSet;
  readonly #allow: PrefixSet | undefined;
  readonly #limits: SourceLimits | undefined;

  /** The counts of sources go on where `before` has them. */
  constructor(spec: AdmissionSpec, before?: Admission) {
    this.#deny = new PrefixSet(spec.deny);
    this.#allow = spec.allow && new PrefixSet(spec.allow);
    if (spec.perSource === undefined) return;
    const known = before === undefined ? undefined : before.#limits;
    known?.update(spec.perSource);
    this.#limits = known ?? new SourceLimits(spec.perSource, idleSourcesMax);
  }

  /** Whether the client is one of those who are denied, or none of those who are allowed. */
  denies(ip: Uint8Array): boolean {
    return this.#deny.has(ip) || this.#allow?.has(ip) === false;
  }

  /** Counts a client that is not denied among those of its source, or says which limit of theirs it would pass. */
  admit(ip: Uint8Array, nowMs: number): Admitted {
    if (this.#limits === undefined) return anybody;
    const source = this.#limits.sourceOf(ip);
    const reason = this.#limits.admit(source, nowMs);
    return reason === undefined ? { ok: true, source } : { ok: false, reason };
  }

  release(source: string, nowMs: number): void {
    this.#limits?.release(source, nowMs);
  }
}
