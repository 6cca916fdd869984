import { afterEach, beforeEach, expect, test } from 'vitest';
import { PreciseClock, loadNative, systemClock } from '../../../src/runtime/index.ts';

let clock: PreciseClock;

beforeEach(() => {
  clock = new PreciseClock({ native: loadNative() });
});

afterEach(() => clock.close());

function wait(delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}

test('a timer never comes early, and mostly within the millisecond', async () => {
  const lateMs: number[] = [];
  for (let i = 0; i < 20; i++) {
    const startedMs = clock.nowMs();
    const delayMs = 1 + i / 10;
    await wait(delayMs);
    lateMs.push(clock.nowMs() - startedMs - delayMs);
  }
  expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0);
  expect(lateMs.sort((a, b) => a - b)[5]).toBeLessThan(0.5);
});

test('timers fire in order of time, then of asking', async () => {
  const fired: string[] = [];
  clock.after(3, () => fired.push('late'));
  clock.after(1, () => fired.push('early'));
  clock.after(1, () => fired.push('early, asked later'));
  clock.after(0, () => fired.push('at once'));
  expect(fired).toEqual([]);
  await wait(4);
  expect(fired).toEqual(['at once', 'early', 'early, asked later', 'late']);
});

test('a timer that is cancelled never fires, also when another one cancels it in the same moment', async () => {
  const fired: string[] = [];
  const soonest = clock.after(0.5, () => fired.push('soonest'));
  soonest.cancel();
  clock.after(1, () => {
    fired.push('first');
    second.cancel();
  });
  const second = clock.after(1, () => fired.push('second'));
  // Both are due before the event loop looks.
  for (const startedMs = clock.nowMs(); clock.nowMs() - startedMs < 2;);
  await wait(3);
  expect(fired).toEqual(['first']);
});

test('a timer may be set from within another one, sooner than those that wait', async () => {
  const fired: string[] = [];
  clock.after(20, () => fired.push('long'));
  await new Promise<void>((resolve) => {
    clock.after(1, () => {
      clock.after(1, () => {
        fired.push('short');
        resolve();
      });
    });
  });
  expect(fired).toEqual(['short']);
  await wait(20);
  expect(fired).toEqual(['short', 'long']);
});

test('what waits when it is closed is never called', async () => {
  const closed = new PreciseClock({ native: loadNative() });
  let fired = false;
  closed.after(1, () => (fired = true));
  closed.close();
  await systemClock.sleep(5);
  expect(fired).toBe(false);
});

test('what its `afterPoll` calls comes in the turn of a timer, after the sockets', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    clock.after(1, () => {
      clock.afterPoll(() => {
        order.push('after poll');
        resolve();
      });
      order.push('timer');
    });
  });
  expect(order).toEqual(['timer', 'after poll']);
});
