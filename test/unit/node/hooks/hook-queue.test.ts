import { describe, expect, it } from 'vitest';
import { emptyQueue, onChange, onEnd } from '../../../../src/node/hooks/hook-queue.ts';
import type { HookCall, HookStep } from '../../../../src/node/hooks/hook-queue.ts';
import type { RouterState } from '../../../../src/node/status-document.ts';

/** Changes as letters (A active, B backup, F fault), small ones without a hook; `.` is the end of the running hook. */
function play(script: string): string {
  let queue = emptyQueue;
  const trace: string[] = [];
  const follow = (step: HookStep): void => {
    queue = step.queue;
    if (step.skipped !== undefined) trace.push(`skip ${step.skipped.generation}`);
    if (step.start !== undefined) trace.push(`run ${step.start.generation}`);
  };
  let generation = 0;
  for (const letter of Array.from(script)) {
    follow(letter === '.' ? onEnd(queue) : onChange(queue, call(++generation, letter)));
  }
  return trace.join(', ');
}

function call(generation: number, letter: string): HookCall {
  const states: Readonly<Record<string, RouterState>> = { a: 'active', b: 'backup', f: 'initialize' };
  const to = states[letter.toLowerCase()] ?? 'initialize';
  const command = letter === letter.toUpperCase() ? ['hook'] : undefined;
  return { generation, from: 'backup', to, cause: 'startup', epoch: 0, command };
}

describe('the queue of hooks', () => {
  it.each([
    ['runs what comes alone at once', 'A.B.', 'run 1, run 2'],
    ['lets the next one wait for the one that runs', 'AB.', 'run 1, run 2'],
    ['skips what is outdated before its turn', 'ABA.', 'run 1, skip 2, run 3'],
    ['skips all but the latest', 'ABABF.', 'run 1, skip 2, skip 3, skip 4, run 5'],
    ['never interrupts', 'AB', 'run 1'],
    ['runs nothing for a state without a hook', 'a', ''],
    ['skips "active" when the node is not any more, hook or not', 'BAf.', 'run 1, skip 2'],
    ['still says "not active" when that has only become worse', 'ABf.', 'run 1, run 2'],
    ['skips "not active" when the node is active again, hook or not', 'FBa.', 'run 1, skip 2'],
    ['goes on after it was empty', 'A..B.', 'run 1, run 2'],
  ])('%s: %s', (_claim, script, trace) => {
    expect(play(script)).toBe(trace);
  });
});
