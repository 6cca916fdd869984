/**
 * Who may begin a handshake: it costs far more than a connection, so what cannot be the peer is closed before it, and
 * even the peer's address has only a few at once and a rate.
 */

import { formatIp, parseIp } from '../base/index.ts';

export type AdmissionRefusal = 'foreign-address' | 'too-many-half-open' | 'too-often';

const attemptsPerSecond = 20;
const halfOpenMax = 4;

export class Admission {
  readonly #peerAddress: string | undefined;
  #attempts = attemptsPerSecond;
  #refilledAtMs = 0;

  constructor(peerAddress: string) {
    this.#peerAddress = canonical(peerAddress);
  }

  /** Undefined to go on; `halfOpenCount` connections have been admitted and are not through their greeting. */
  refusalOf(remoteAddress: string | undefined, halfOpenCount: number, nowMs: number): AdmissionRefusal | undefined {
    if (remoteAddress === undefined || canonical(remoteAddress) !== this.#peerAddress) return 'foreign-address';
    if (halfOpenCount >= halfOpenMax) return 'too-many-half-open';
    const refilled = this.#attempts + ((nowMs - this.#refilledAtMs) / 1_000) * attemptsPerSecond;
    this.#attempts = Math.min(attemptsPerSecond, refilled);
    this.#refilledAtMs = nowMs;
    if (this.#attempts < 1) return 'too-often';
    this.#attempts--;
    return undefined;
  }
}

/** One spelling per address; the zone of a link-local one is the kernel's business. */
function canonical(address: string): string | undefined {
  const bytes = parseIp(address.replace(/%.*$/, ''));
  return bytes === undefined ? undefined : formatIp(bytes);
}
