/**
 * Whether an advert with a right seal is one of now or a recording. Within one life of its sender counters rise. A life
 * that is not known has to answer a question of ours first: the answer can only have been made after the question. So
 * nothing needs to be kept over a restart on either side, and no clock has to agree with another.
 */
import { compareIp } from '../base/index.ts';
import type { AdvertStamp } from './advert-trailer.ts';
import { isEqual } from './advert-trailer.ts';

export type ReplayGuard = {
  /** Who has proved to live now, the latest last. */
  readonly senders: readonly Sender[];
  readonly open: OpenQuestion | undefined;
  /** No question is asked before: recordings must not make us flood the LAN. */
  readonly nextQuestionAtMs: number;
};

type Sender = { readonly address: Uint8Array; readonly life: Uint8Array; readonly counter: bigint };
type OpenQuestion = { readonly question: Uint8Array; readonly staleAtMs: number };

export const replayDropReasons = ['auth-replay', 'auth-unknown-life'] as const;
export type ReplayDropReason = (typeof replayDropReasons)[number];

export type Judgement = {
  readonly guard: ReplayGuard;
  /** Undefined: it is one of now. */
  readonly refused: ReplayDropReason | undefined;
  /** To be sent as a challenge. */
  readonly question: Uint8Array | undefined;
};

/** More routers than any virtual router has. A stranger cannot fill this: its seals would be wrong. */
const sendersMax = 16;

/** An answer that took longer may be a recording that somebody has kept back. */
const questionLifeMs = 1000;

export const newReplayGuard: ReplayGuard = { senders: [], open: undefined, nextQuestionAtMs: 0 };

/** `newQuestion` makes unpredictable bytes. A question is asked once in `pauseMs` at most. */
export function judgeStamp(
  guard: ReplayGuard,
  source: Uint8Array,
  stamp: AdvertStamp,
  context: { readonly nowMs: number; readonly pauseMs: number; readonly newQuestion: () => Uint8Array },
): Judgement {
  const known = guard.senders.find(({ address }) => compareIp(address, source) === 0);
  if (known !== undefined && isEqual(known.life, stamp.life)) {
    if (stamp.counter <= known.counter) return { guard, refused: 'auth-replay', question: undefined };
    return accept(guard, source, stamp);
  }
  const open = guard.open !== undefined && context.nowMs < guard.open.staleAtMs ? guard.open : undefined;
  // One answer per question: what is recorded of it opens nothing later.
  if (open !== undefined && isEqual(open.question, stamp.answer)) {
    return accept({ ...guard, open: undefined }, source, stamp);
  }
  if (context.nowMs < guard.nextQuestionAtMs) return { guard, refused: 'auth-unknown-life', question: undefined };
  // An open question is asked again: on a busy machine an answer may take longer than the pause.
  const asked = open ?? { question: context.newQuestion(), staleAtMs: context.nowMs + questionLifeMs };
  return {
    guard: { ...guard, open: asked, nextQuestionAtMs: context.nowMs + context.pauseMs },
    refused: 'auth-unknown-life',
    question: asked.question,
  };
}

function accept(guard: ReplayGuard, address: Uint8Array, { life, counter }: AdvertStamp): Judgement {
  const others = guard.senders.filter((sender) => compareIp(sender.address, address) !== 0);
  const senders = [...others.slice(1 - sendersMax), { address, life, counter }];
  return { guard: { ...guard, senders }, refused: undefined, question: undefined };
}
