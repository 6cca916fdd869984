import { describe, expect, it } from 'vitest';
import { Admission } from '../../../src/sync/admission.ts';
import { backoffMs } from '../../../src/sync/backoff.ts';

describe('Admission', () => {
  it.each([
    ['192.0.2.2', '192.0.2.2', undefined],
    ['192.0.2.2', '192.0.2.3', 'foreign-address'],
    ['2001:db8::2', '2001:DB8:0:0::2', undefined],
    ['fe80::2', 'fe80::2%eth0', undefined],
    ['192.0.2.2', undefined, 'foreign-address'],
    ['192.0.2.2', 'localhost', 'foreign-address'],
  ])('of the peer %s: %s -> %s', (peer, remote, refusal) => {
    expect(new Admission(peer).refusalOf(remote, 0, 0)).toBe(refusal);
  });

  it('lets four be half-open', () => {
    const admission = new Admission('192.0.2.2');
    expect(admission.refusalOf('192.0.2.2', 3, 0)).toBeUndefined();
    expect(admission.refusalOf('192.0.2.2', 4, 0)).toBe('too-many-half-open');
  });

  it('lets twenty come per second, and strangers cost nothing of that', () => {
    const admission = new Admission('192.0.2.2');
    const attempt = (nowMs: number) => admission.refusalOf('192.0.2.2', 0, nowMs);
    for (let i = 0; i < 100; i++) admission.refusalOf('192.0.2.9', 0, 0);
    expect(Array.from({ length: 20 }, () => attempt(0))).toEqual(Array(20).fill(undefined));
    expect(attempt(0)).toBe('too-often');
    expect(attempt(49)).toBe('too-often');
    expect(attempt(50)).toBeUndefined();
    expect(attempt(50)).toBe('too-often');
    expect(Array.from({ length: 21 }, () => attempt(60_000)).at(-1)).toBe('too-often');
  });
});

describe('backoffMs', () => {
  it('doubles from 100 ms to a second and adds up to a quarter', () => {
    expect([1, 2, 3, 4, 5, 100].map((failures) => backoffMs(failures, 0))).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(backoffMs(1, 0.5)).toBe(112.5);
  });
});
