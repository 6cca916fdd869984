/** What can go wrong without being a bug is a value: the caller has to look at it. */
export type Result<Value, Failure> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: Failure };

export function ok<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}

export function fail<Failure>(reason: Failure): { readonly ok: false; readonly reason: Failure } {
  return { ok: false, reason };
}

/** A broken invariant is a bug: the process ends and its standby takes over. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`);
}
