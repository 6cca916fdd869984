import { describe, expect, it } from 'vitest';
import { memoryOf } from '../../bench/memory.ts';

describe('memoryOf', () => {
  it('grows by what a process has taken', () => {
    const before = memoryOf([process.pid]);
    const bytes = 64 * 1024 * 1024;
    const taken = Buffer.alloc(bytes, 1);
    const growth = memoryOf([process.pid]) - before;
    expect(growth).toBeGreaterThan(bytes * 0.8);
    expect(growth).toBeLessThan(bytes * 1.5);
    expect(taken[bytes - 1]).toBe(1);
  });

  it('adds processes up', () => {
    const one = memoryOf([process.pid]);
    expect(memoryOf([process.pid, process.pid])).toBeGreaterThan(one * 1.5);
  });

  it('throws for a process that is not there', () => {
    expect(() => memoryOf([2 ** 22 + 1])).toThrow('ENOENT');
  });
});
