/**
 * The health check of one server: when to probe, when a probe has taken too long, and how many results in a row change
 * the server's health (HAProxy's inter, fastinter, downinter, timeout, rise, fall). A driver performs the effects and
 * feeds back what came.
 */
import type { CheckTiming } from '../base/index.ts';
import type { Health } from './server-pool.ts';

export type CheckConfig = CheckTiming & {
  /** The interval varies by this part up or down, 0..1, so that many servers' checks do not march in step. */
  readonly jitter: number;
};

type Standing = {
  readonly health: Health;
  /** Results in a row that speak against the present health. */
  readonly against: number;
};

export type CheckState = Standing &
  (
    | { readonly kind: 'waiting'; readonly startAtMs: number }
    | { readonly kind: 'probing'; readonly startedAtMs: number; readonly timeoutAtMs: number }
  );

/** `fraction` is randomness in [0, 1) for the next interval. */
export type CheckInput =
  /** `progress` is what a running probe waits for, should its time be over. */
  | { readonly kind: 'tick'; readonly fraction: number; readonly progress?: string | undefined }
  /** `detail` is what the server said, in few words. */
  | { readonly kind: 'passed'; readonly fraction: number; readonly detail?: string | undefined }
  | { readonly kind: 'failed'; readonly reason: string; readonly fraction: number };

export type CheckResult =
  | { readonly passed: true; readonly durationMs: number; readonly detail: string | undefined }
  | { readonly passed: false; readonly durationMs: number; readonly reason: string };

export type CheckEffect =
  | { readonly kind: 'start-probe' }
  | { readonly kind: 'cancel-probe' }
  | { readonly kind: 'result'; readonly result: CheckResult; readonly health: Health; readonly changed: boolean };

export type CheckStep = { readonly state: CheckState; readonly effects: readonly CheckEffect[] };

/**
 * Up until a check fails, and the first check is due at once. As in HAProxy the first failure is enough to take down a
 * server that has never been seen working; only a passed check earns it the benefit of `fall`.
 */
export function startCheck(config: CheckConfig, nowMs: number): CheckState {
  return { kind: 'waiting', startAtMs: nowMs, health: 'up', against: config.fall - 1 };
}

/** The check of the same server under other settings: it keeps what it has learned, and is due at once. */
export function restartCheck(config: CheckConfig, { health, against }: CheckState, nowMs: number): CheckState {
  const needed = health === 'up' ? config.fall : config.rise;
  return { kind: 'waiting', startAtMs: nowMs, health, against: Math.min(against, needed - 1) };
}

/** When the next `tick` is due. */
export function nextCheckDeadlineMs(state: CheckState): number {
  return state.kind === 'waiting' ? state.startAtMs : state.timeoutAtMs;
}

export function stepCheck(config: CheckConfig, state: CheckState, input: CheckInput, nowMs: number): CheckStep {
  switch (state.kind) {
    case 'waiting':
      // A result that comes after its probe was given up is no longer asked for.
      if (input.kind !== 'tick' || nowMs < state.startAtMs) return { state, effects: [] };
      return {
        state: { ...standing(state), kind: 'probing', startedAtMs: nowMs, timeoutAtMs: nowMs + config.timeoutMs },
        effects: [{ kind: 'start-probe' }],
      };
    case 'probing':
      return stepProbing(config, state, input, nowMs);
  }
}

function stepProbing(
  config: CheckConfig,
  state: CheckState & { kind: 'probing' },
  input: CheckInput,
  nowMs: number,
): CheckStep {
  const durationMs = nowMs - state.startedAtMs;
  switch (input.kind) {
    case 'tick': {
      if (nowMs < state.timeoutAtMs) return { state, effects: [] };
      const reason = input.progress === undefined ? 'timeout' : `timeout: ${input.progress}`;
      const step = finish(config, state, { passed: false, durationMs, reason }, input.fraction, nowMs);
      return { state: step.state, effects: [{ kind: 'cancel-probe' }, ...step.effects] };
    }
    case 'passed':
      return finish(config, state, { passed: true, durationMs, detail: input.detail }, input.fraction, nowMs);
    case 'failed':
      return finish(config, state, { passed: false, durationMs, reason: input.reason }, input.fraction, nowMs);
  }
}

function finish(
  config: CheckConfig,
  state: CheckState & { kind: 'probing' },
  result: CheckResult,
  fraction: number,
  nowMs: number,
): CheckStep {
  const next = judge(config, state, result.passed);
  const intervalMs = baseIntervalMs(config, next) * (1 + config.jitter * (2 * fraction - 1));
  const startAtMs = Math.max(nowMs, state.startedAtMs + intervalMs);
  return {
    state: { ...next, kind: 'waiting', startAtMs },
    effects: [{ kind: 'result', result, health: next.health, changed: next.health !== state.health }],
  };
}

function judge(config: CheckConfig, { health, against }: Standing, passed: boolean): Standing {
  if (passed === (health === 'up')) return { health, against: 0 };
  const needed = passed ? config.rise : config.fall;
  if (against + 1 < needed) return { health, against: against + 1 };
  return { health: passed ? 'up' : 'down', against: 0 };
}

/** As in HAProxy: results that speak against the present health are looked into quickly, whichever way it goes. */
function baseIntervalMs(config: CheckConfig, { health, against }: Standing): number {
  if (against > 0) return config.fastinterMs;
  return health === 'up' ? config.interMs : config.downinterMs;
}

function standing({ health, against }: Standing): Standing {
  return { health, against };
}
