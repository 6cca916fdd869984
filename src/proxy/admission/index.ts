export type { Admitted, AdmissionRefusal, AdmissionSpec } from './admission.ts';
export { Admission } from './admission.ts';
export { PrefixSet } from './prefix-set.ts';
export { sourceSteering } from './reuseport-program.ts';
export type { PerSourceSpec } from './source-limits.ts';
export { SourceLimits } from './source-limits.ts';
