/**
 * A conversation of a health check: what to send, and what must come in answer (HAProxy's tcp-check send and expect).
 * Each expected text may stand anywhere behind the one before it.
 */
import { concatBytes } from '../base/index.ts';
import type { ExpectStep } from './probe-spec.ts';

/** Of an answer that does not hold what is expected, no more is kept. */
export const expectBytesMax = 64 * 1024;

export type ExpectState = {
  /** Index of the step that is waited for; the number of steps when all are done. */
  readonly step: number;
  /** What came and has not been matched. */
  readonly received: Uint8Array;
};

export type ExpectEffect =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly reason: string };

export type ExpectTurn = { readonly state: ExpectState; readonly effects: readonly ExpectEffect[] };

/** The connection is there. */
export function startExpect(steps: readonly ExpectStep[]): ExpectTurn {
  return proceed(steps, { step: 0, received: new Uint8Array() });
}

/** The server has sent something. */
export function feedExpect(steps: readonly ExpectStep[], state: ExpectState, bytes: Uint8Array): ExpectTurn {
  if (state.step >= steps.length) return { state, effects: [] };
  return proceed(steps, { ...state, received: concatBytes(state.received, bytes) });
}

/** What has not come yet: "expected +PONG, got -ERR". */
export function missingOf(steps: readonly ExpectStep[], { step, received }: ExpectState): string {
  const got = received.length === 0 ? 'nothing' : printable(received);
  return `expected ${steps[step]?.label ?? 'nothing more'}, got ${got}`;
}

const shownBytesMax = 60;

/** The begin of what a server said, fit for a terminal. */
export function printable(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, shownBytesMax);
  const text = Array.from(shown, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ' '));
  const rest = bytes.length > shownBytesMax ? '...' : '';
  const trimmed = text.join('').trim();
  return trimmed === '' ? `${bytes.length} unprintable bytes` : `${trimmed}${rest}`;
}

function proceed(steps: readonly ExpectStep[], before: ExpectState): ExpectTurn {
  let { step, received } = before;
  const effects: ExpectEffect[] = [];
  for (let next = steps[step]; next !== undefined; next = steps[++step]) {
    if (next.kind === 'send') {
      effects.push({ kind: 'send', bytes: next.bytes });
      continue;
    }
    const at = indexOf(received, next.bytes);
    if (at >= 0) {
      received = received.subarray(at + next.bytes.length);
      continue;
    }
    const state = { step, received };
    if (received.length < expectBytesMax) return { state, effects };
    const reason = `expected ${next.label}, not in ${expectBytesMax} bytes`;
    return { state: { ...state, step: steps.length }, effects: [...effects, { kind: 'failed', reason }] };
  }
  return { state: { step, received }, effects: [...effects, { kind: 'passed' }] };
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array): number {
  for (let at = 0; at + wanted.length <= bytes.length; at++) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
