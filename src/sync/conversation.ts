/**
 * Everything on a connection that is not table data: notices, requests and their answers, and the frames that wait to
 * go out ahead of the tables.
 */

import { assert } from '../base/index.ts';
import type { SyncCounters } from './counters.ts';
import { encodeFrame } from './frame.ts';
import * as limits from './limits.ts';
import type { Message, Notice, Request, Response } from './message.ts';
import type { Plain } from './plain.ts';
import { isPlain } from './plain.ts';
import { RequestsInFlight } from './requests.ts';

export type RequestOutcome =
  | { readonly kind: 'result'; readonly result: Plain }
  | { readonly kind: 'refused'; readonly error: string }
  | { readonly kind: 'timed-out' };

/** How this node answers a request of the peer's. */
export type Answer = Exclude<RequestOutcome, { kind: 'timed-out' }>;

export type ConversationEvent =
  | { readonly kind: 'notice'; readonly name: string; readonly body: Plain }
  | { readonly kind: 'request'; readonly id: number; readonly method: string; readonly params: Plain }
  | { readonly kind: 'answered'; readonly id: number; readonly outcome: RequestOutcome };

export class Conversation {
  readonly #counters: SyncCounters;
  readonly #requests = new RequestsInFlight();
  /** Ids of the peer's requests that wait for our answer. */
  readonly #peerRequests = new Set<number>();
  #frames: Uint8Array[] = [];
  #noticesWaiting = 0;

  constructor(counters: SyncCounters) {
    this.#counters = counters;
  }

  get isWaiting(): boolean {
    return this.#frames.length > 0;
  }

  send(message: Message): void {
    this.#frames.push(encodeFrame(message));
  }

  /** The frames that wait, in their order. */
  takeFrames(): readonly Uint8Array[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#noticesWaiting = 0;
    return frames;
  }

  /** False when too many notices wait already. */
  notify(name: string, body: Plain): boolean {
    assertName(name);
    assert(isPlain(body, limits.noticeBytesMax), `notice ${name}: plain, at most ${limits.noticeBytesMax} bytes`);
    if (this.#noticesWaiting >= limits.noticesWaitingMax) {
      this.#counters.noticesRefused++;
      return false;
    }
    this.#noticesWaiting++;
    this.#counters.noticesSent++;
    this.send({ type: 'notice', name, body });
    return true;
  }

  /** The id that the `answered` event will carry. Undefined when too many requests are in flight. */
  request(method: string, params: Plain, deadlineMs: number): number | undefined {
    assertName(method);
    assert(isPlain(params, limits.bodyBytesMax), `request ${method}: plain, at most ${limits.bodyBytesMax} bytes`);
    const id = this.#requests.open(deadlineMs);
    if (id === undefined) return undefined;
    this.#counters.requestsSent++;
    this.send({ type: 'request', id, method, params });
    return id;
  }

  /** Answers a request of the peer's; a second answer is dropped. */
  respond(id: number, answer: Answer): void {
    if (this.#peerRequests.delete(id)) this.send(responseOf(id, answer));
  }

  /** Undefined when the peer sends requests and does not read the answers. */
  receive(message: Notice | Request | Response): ConversationEvent[] | undefined {
    switch (message.type) {
      case 'notice':
        this.#counters.noticesReceived++;
        return [{ kind: 'notice', name: message.name, body: message.body }];
      case 'request':
        return this.#receiveRequest(message);
      case 'response':
        return this.#receiveResponse(message);
    }
  }

  /** Gives up the requests whose time is over. */
  expire(nowMs: number): ConversationEvent[] {
    const expired = this.#requests.expire(nowMs);
    this.#counters.requestsTimedOut += expired.length;
    return expired.map((id) => ({ kind: 'answered', id, outcome: { kind: 'timed-out' } }));
  }

  nextDeadlineMs(): number {
    return this.#requests.nextDeadlineMs();
  }

  #receiveRequest({ id, method, params }: Request): ConversationEvent[] | undefined {
    this.#counters.requestsReceived++;
    if (this.#frames.length >= limits.framesWaitingMax) return undefined;
    // The peer gives up on a request that takes too long and may send others while we still work on it.
    if (this.#peerRequests.size >= limits.requestsInFlightMax || this.#peerRequests.has(id)) {
      this.send(responseOf(id, { kind: 'refused', error: 'busy: too many requests in flight' }));
      return [];
    }
    this.#peerRequests.add(id);
    return [{ kind: 'request', id, method, params }];
  }

  #receiveResponse(response: Response): ConversationEvent[] {
    if (!this.#requests.settle(response.id)) {
      this.#counters.responsesLate++;
      return [];
    }
    const outcome: Answer = response.ok
      ? { kind: 'result', result: response.result }
      : { kind: 'refused', error: response.error };
    return [{ kind: 'answered', id: response.id, outcome }];
  }
}

function assertName(name: string): void {
  assert(name.length > 0 && name.length <= limits.nameLengthMax, `${name}: 1 to ${limits.nameLengthMax} characters`);
}

function responseOf(id: number, answer: Answer): Response {
  if (answer.kind === 'refused') {
    return { type: 'response', id, ok: false, error: answer.error.slice(0, limits.errorLengthMax) };
  }
  if (isPlain(answer.result, limits.bodyBytesMax)) return { type: 'response', id, ok: true, result: answer.result };
  return { type: 'response', id, ok: false, error: 'the result is not plain or too large' };
}
