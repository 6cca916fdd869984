import { describe, expect, it } from 'vitest';
import { Poller } from '../../../../src/proxy/io/poller.ts';
import { epoll } from '../../../../src/runtime/index.ts';
import type { PollerHandle } from '../../../../src/runtime/index.ts';
import { native } from './harness.ts';

describe('poller', () => {
  it('never tells a new descriptor what was meant for one closed in the same turn', () => {
    const { poller, happen } = fakePoller();
    const told: string[] = [];
    const closing = poller.add(11, epoll.in, { onReady: () => told.push('closed one') });
    const closer = poller.add(10, epoll.in, {
      onReady() {
        poller.release(closing);
        poller.add(12, epoll.in, { onReady: () => told.push('new one') });
      },
    });
    happen(closer, closing);
    expect(told).toEqual([]);
  });

  it('uses ids again in later turns, so that they stay few', () => {
    const { poller, happen } = fakePoller();
    const target = { onReady: () => undefined };
    const ids = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const id = poller.add(10, epoll.in, target);
      ids.add(id);
      poller.release(id);
      happen(id);
    }
    expect(ids.size).toBe(1);
  });

  it('may have any number of ids released at once, as when every connection is reset', () => {
    const { poller, happen } = fakePoller();
    const target = { onReady: () => undefined };
    const ids = Array.from({ length: 200_000 }, () => poller.add(10, epoll.in, target));
    for (const id of ids) poller.release(id);
    happen(poller.add(10, epoll.in, target));
    expect(ids).toContain(poller.add(10, epoll.in, target));
  });

  it('gives the errno of a descriptor that cannot be watched', () => {
    const { poller } = fakePoller(-9);
    expect(poller.add(10, epoll.in, { onReady: () => undefined })).toBe(-9);
  });
});

/** A poller whose turns are made by the test. */
function fakePoller(addResult = 0): { poller: Poller; happen: (...ids: readonly number[]) => void } {
  let pairs = new Int32Array();
  let callback: (count: number) => void = () => undefined;
  const poller = new Poller({
    native: {
      ...native,
      pollerOpen(ready, onReady) {
        pairs = ready as Int32Array<ArrayBuffer>;
        callback = onReady;
        return {} as PollerHandle;
      },
      pollerAdd: () => addResult,
    },
  });
  poller.open();
  return {
    poller,
    happen(...ids) {
      pairs.set(ids.flatMap((id) => [id, epoll.in]));
      callback(ids.length);
    },
  };
}
