import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedQueue, assert, concatBytes, fromHex, internetChecksum, toHex } from '../../../src/base/index.ts';

describe('internetChecksum', () => {
  it('is that of the example in RFC 1071, 3', () => {
    expect(internetChecksum(fromHex('0001 f203 f4f5 f6f7'))).toBe(~0xddf2 & 0xffff);
  });

  it('is 0 over a message with its own checksum, in one part or several', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 64 }), (bytes) => {
        const even = bytes.length % 2 === 0 ? bytes : concatBytes(bytes, Uint8Array.of(0));
        const sum = internetChecksum(even);
        const check = Uint8Array.of(sum >> 8, sum & 0xff);
        expect(internetChecksum(concatBytes(even, check))).toBe(0);
        expect(internetChecksum(even, check)).toBe(0);
      }),
    );
  });

  it('takes an odd last byte as the high one', () => {
    expect(internetChecksum(Uint8Array.of(0x12))).toBe(~0x1200 & 0xffff);
  });
});

describe('hexadecimal', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
  });

  it('refuses what is none', () => {
    expect(() => fromHex('0g')).toThrow('no hexadecimal');
    expect(() => fromHex('123')).toThrow('no hexadecimal');
  });
});

describe('BoundedQueue', () => {
  it('behaves like an array that refuses when full', () => {
    const operation = fc.oneof(fc.record({ push: fc.integer() }), fc.constant('shift' as const));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 400 }), fc.integer({ min: 1, max: 80 }), (operations, capacity) => {
        const queue = new BoundedQueue<number>(capacity);
        const model: number[] = [];
        for (const step of operations) {
          if (step === 'shift') expect(queue.shift()).toBe(model.shift());
          else expect(queue.push(step.push)).toBe(model.length < capacity && model.push(step.push) > 0);
          expect([queue.length, queue.peek(), [...queue]]).toEqual([model.length, model[0], model]);
        }
      }),
    );
  });

  it('is empty after clear()', () => {
    const queue = new BoundedQueue<string>(2);
    queue.push('a');
    queue.clear();
    expect([queue.length, queue.shift()]).toEqual([0, undefined]);
  });
});

describe('assert', () => {
  it('ends with the invariant that broke', () => {
    expect(() => assert(false, 'one is two')).toThrow('broken invariant: one is two');
  });
});
