import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { closeSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SharedCounts, createSharedMemory, isBefore, ownSlot } from '../../../../src/proxy/io/index.ts';
import { loadNative } from '../../../../src/runtime/index.ts';

const native = loadNative();

describe('a slot', () => {
  it('holds what all workers hold together, and no more than the limit', () => {
    const counts = startCounts(3);
    const [a, b, c] = [0, 1, 2].map((worker) => counts.slot(5, worker));
    expect([a?.acquire(2), b?.acquire(2), c?.acquire(2)]).toEqual([1, 2, 0]);
    expect([a?.held, b?.held, c?.held]).toEqual([2, 2, 2]);
    a?.release();
    expect(c?.acquire(2)).toBe(2);
  });

  it('has no limit where none is given, and may hold more than a limit that has become lower', () => {
    const slot = startCounts(1).slot(5, 0);
    for (let i = 0; i < 3; i++) slot.add();
    expect(slot.acquire(2)).toBe(0);
    expect(slot.held).toBe(3);
  });

  it('is not another slot', () => {
    const counts = startCounts(2);
    counts.slot(5, 0).add();
    expect([counts.slot(4, 0).held, counts.slot(6, 1).held]).toEqual([0, 0]);
  });

  it('names the worker where the client waits that came first, also when tickets wrap', () => {
    const counts = startCounts(3);
    const [a, b, c] = [0, 1, 2].map((worker) => counts.slot(5, worker));
    expect(a?.firstWaiting()).toBeUndefined();
    a?.tellWaiting(2, -0x8000_0000 + 1);
    b?.tellWaiting(1, 0x7fff_ffff);
    c?.tellWaiting(0, 3);
    expect(a?.firstWaiting()).toEqual({ worker: 1, ticket: 0x7fff_ffff });
    expect(c?.waiting).toBe(3);
  });

  it('of a worker that has died is free', () => {
    const counts = startCounts(2);
    const [a, b] = [0, 1].map((worker) => counts.slot(5, worker));
    a?.add();
    a?.tellWaiting(1, 1);
    b?.add();
    counts.clearRow(0, [5]);
    expect([b?.held, b?.waiting, b?.firstWaiting()]).toEqual([1, 0, undefined]);
  });

  it('of its own is counted by nobody else', () => {
    const [a, b] = [ownSlot(native), ownSlot(native)];
    expect([a.acquire(1), a.acquire(1), b.acquire(1)]).toEqual([1, 0, 1]);
  });
});

describe('tickets', () => {
  it('rise over all workers', () => {
    const memory = createSharedMemory(native, 2);
    onTestFinished(() => closeSync(memory.fd));
    const [a, b] = [new SharedCounts(native, memory), new SharedCounts(native, memory)];
    const tickets = [a.nextTicket(), b.nextTicket(), a.nextTicket()];
    expect(isBefore(tickets[0] ?? 0, tickets[1] ?? 0) && isBefore(tickets[1] ?? 0, tickets[2] ?? 0)).toBe(true);
  });
});

describe('processes that take slots at the same time', () => {
  it('never have more than the limit, leave none free that is wanted, and lose none when killed', async () => {
    const [workers, limit] = [3, 2];
    const memory = createSharedMemory(native, workers);
    onTestFinished(() => closeSync(memory.fd));
    const slot = new SharedCounts(native, memory).slot(1, 0);
    const children = [0, 1, 2].map((worker) => startTaker(memory.fd, [worker, workers, limit, 100_000]));
    // Two of three get one to keep; which, is theirs to sort out.
    const first = await Promise.race(children.map(({ line }) => line));
    expect(first).toMatchObject({ tooMany: 0 });
    await children[0]?.end();
    await children[1]?.end();
    const counts = new SharedCounts(native, memory);
    counts.clearRow(0, [1]);
    counts.clearRow(1, [1]);
    expect(await children[2]?.line).toMatchObject({ tooMany: 0 });
    expect(slot.held).toBe(1);
  });
});

function startCounts(workers: number): SharedCounts {
  const memory = createSharedMemory(native, workers);
  const counts = new SharedCounts(native, memory);
  closeSync(memory.fd);
  return counts;
}

function startTaker(fd: number, args: readonly number[]) {
  const program = new URL('fixtures/acquire-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit', fd] });
  const exited = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  const line = new Promise<unknown>((resolve) => {
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).once('line', (text) => resolve(JSON.parse(text)));
  });
  return {
    line,
    async end() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
