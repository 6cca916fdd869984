import { assert } from '../../base/index.ts';
import type { Plain, RequestOutcome } from '../index.ts';

/**
 * `not-connected`: nothing was sent. `busy`: too many requests are in flight, nothing was sent. `refused`: the peer
 * did not do it, `message` says why. `timed-out`, `connection-lost`: whether the peer did it is not known.
 */
export type SyncRequestCode = 'not-connected' | 'busy' | 'refused' | 'timed-out' | 'connection-lost';

export class SyncRequestError extends Error {
  readonly code: SyncRequestCode;

  constructor(code: SyncRequestCode, method: string, text = `the request ${method} failed: ${code}`) {
    super(text);
    this.name = 'SyncRequestError';
    this.code = code;
  }
}

type Pending = {
  readonly method: string;
  readonly resolve: (result: Plain) => void;
  readonly reject: (error: SyncRequestError) => void;
};

/** The promises of the requests that the current connection's session keeps in flight. */
export class PendingRequests {
  readonly #pending = new Map<number, Pending>();

  add(id: number, method: string): Promise<Plain> {
    return new Promise((resolve, reject) => this.#pending.set(id, { method, resolve, reject }));
  }

  settle(id: number, outcome: RequestOutcome): void {
    const pending = this.#pending.get(id);
    assert(pending !== undefined, `request ${id} is pending`);
    this.#pending.delete(id);
    switch (outcome.kind) {
      case 'result':
        return pending.resolve(outcome.result);
      case 'refused':
        return pending.reject(new SyncRequestError('refused', pending.method, outcome.error));
      case 'timed-out':
        return pending.reject(new SyncRequestError('timed-out', pending.method));
    }
  }

  rejectAll(): void {
    for (const { method, reject } of this.#pending.values()) reject(new SyncRequestError('connection-lost', method));
    this.#pending.clear();
  }
}
