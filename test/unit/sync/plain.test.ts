import fc from 'fast-check';
import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { isPlain, plainBytes } from '../../../src/sync/plain.ts';

const plain = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double(),
    fc.string({ unit: 'binary' }),
    fc.uint8Array(),
  ),
  tree: fc.oneof(
    { depthSize: 'small' },
    tie('leaf'),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('tree'),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).tree;

describe('plainBytes', () => {
  it('is never less than what msgpack takes', () => {
    fc.assert(
      fc.property(plain, (value) => {
        const bytes = plainBytes(value, Infinity);
        fc.pre(bytes !== undefined);
        expect(pack(value).length).toBeLessThanOrEqual(bytes);
      }),
    );
  });

  it.each([
    ['undefined', undefined],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a Date', new Date(0)],
    ['a Map', new Map()],
    ['an instance of a class', new URL('tcp://192.0.2.1')],
    ['a list with a hole in it', [1, undefined]],
    ['a map with an undefined field', { a: undefined }],
    ['a map with a key that the decoder renames', JSON.parse('{"__proto__": 1}')],
    ['nine levels', [[[[[[[[[]]]]]]]]]],
  ])('does not take %s for plain', (_, value) => {
    expect(plainBytes(value, 1_000)).toBeUndefined();
  });

  it('takes eight levels', () => {
    expect(isPlain([[[[[[[[]]]]]]]], 1_000)).toBe(true);
  });

  it('stops counting a value that is too large', () => {
    const cyclic: unknown[] = ['x'.repeat(100)];
    for (let i = 0; i < 1_000_000; i++) cyclic.push(i);
    expect(isPlain(cyclic, 200)).toBe(false);
    expect(plainBytes(cyclic, 200)).toBeLessThan(400);
  });
});
