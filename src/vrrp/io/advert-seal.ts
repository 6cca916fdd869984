/** Seals what one virtual router sends, and finds recordings among what it receives: see docs/adr/0005. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../runtime/index.ts';
import type { AdvertPath, AdvertStamp, AdvertVersion, Hmac, ReplayDropReason, ReplayGuard } from '../index.ts';
import { encodeChallenge, judgeStamp, newReplayGuard, nonceLength, sealAdvert } from '../index.ts';

export type SealOptions = {
  readonly version: AdvertVersion;
  readonly vrid: number;
  /** Challenges are sent, and answered at once, at a rate that is measured by this. */
  readonly advertIntervalMs: number;
};

export type SealKey = { readonly keyId: number; readonly hmac: Hmac };

/** How many challenges are answered at once in an advert interval. A recorded one must not make us flood the LAN. */
const answersPerInterval = 8;

export class AdvertSeal {
  #options: SealOptions;
  readonly #clock: Clock;
  readonly #life = randomNonce();
  #counter = 0n;
  #answer: Uint8Array = new Uint8Array(nonceLength);
  #guard: ReplayGuard = newReplayGuard;
  #answersSinceMs = 0;
  #answers = 0;

  constructor(options: SealOptions, dependencies: { clock: Clock }) {
    this.#options = options;
    this.#clock = dependencies.clock;
  }

  /** Goes on with another interval: the counter of its seals must not begin anew. */
  reconfigure(options: SealOptions): void {
    this.#options = options;
  }

  /** An advert with its seal. The latest question is answered by every one, for the first of them may be lost. */
  seal(message: Uint8Array, path: AdvertPath, { keyId, hmac }: SealKey): Uint8Array {
    this.#counter++;
    return sealAdvert(message, path, { keyId, life: this.#life, counter: this.#counter, answer: this.#answer }, hmac);
  }

  /** Whether an advert with a right seal is one of now; if that cannot be told yet, what to ask its sender. */
  judge(
    source: Uint8Array,
    stamp: AdvertStamp,
  ): { readonly refused: ReplayDropReason | undefined; readonly question: Uint8Array | undefined } {
    const { guard, refused, question } = judgeStamp(this.#guard, source, stamp, {
      nowMs: this.#clock.nowMs(),
      pauseMs: this.#options.advertIntervalMs,
      newQuestion: randomNonce,
    });
    this.#guard = guard;
    return { refused, question };
  }

  challenge(question: Uint8Array, path: AdvertPath, { keyId, hmac }: SealKey): Uint8Array {
    const { version, vrid } = this.#options;
    return encodeChallenge({ version, vrid, keyId, question }, path, hmac);
  }

  /** Whether an advert is to be sent at once as the answer; otherwise the next regular one is it. */
  onChallenge(question: Uint8Array): boolean {
    this.#answer = question;
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#answersSinceMs + this.#options.advertIntervalMs) {
      this.#answersSinceMs = nowMs;
      this.#answers = 0;
    }
    this.#answers++;
    return this.#answers <= answersPerInterval;
  }
}

function randomNonce(): Uint8Array {
  return new Uint8Array(randomBytes(nonceLength));
}
