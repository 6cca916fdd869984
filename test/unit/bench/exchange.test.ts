import { describe, expect, it } from 'vitest';
import { cutMessages, isMessage, makeMessage, requestBytes, responseBytes } from '../../bench/exchange.ts';

describe('messages of the connections bench', () => {
  it('are of their length, and carry their number', () => {
    const message = makeMessage(responseBytes, 0xfedcba98);
    expect(message).toHaveLength(responseBytes);
    expect(isMessage(message, 0xfedcba98)).toBe(true);
    expect(isMessage(message, 0xfedcba99)).toBe(false);
  });

  it.each([4, 500, responseBytes - 1])('are wrong with another byte %i', (index) => {
    const message = makeMessage(responseBytes, 7);
    message[index] = (message[index] ?? 0) ^ 1;
    expect(isMessage(message, 7)).toBe(false);
  });

  it('do not share their bytes', () => {
    const first = makeMessage(requestBytes, 1);
    makeMessage(requestBytes, 2);
    expect(isMessage(first, 1)).toBe(true);
  });
});

describe('cutMessages', () => {
  const stream = Buffer.concat([1, 2, 3].map((number) => makeMessage(requestBytes, number)));

  it.each([1, 7, 99, 100, 101, 150, 200, 300])('finds every message in pieces of %i bytes', (pieceBytes) => {
    const found: number[] = [];
    let rest: Uint8Array | undefined;
    for (let offset = 0; offset < stream.length; offset += pieceBytes) {
      const cut = cutMessages(rest, stream.subarray(offset, offset + pieceBytes), requestBytes);
      rest = cut.rest;
      for (const message of cut.messages) {
        const number = found.length + 1;
        expect(isMessage(message, number)).toBe(true);
        found.push(number);
      }
    }
    expect(found).toEqual([1, 2, 3]);
    expect(rest).toBeUndefined();
  });

  it('keeps a copy of what is not complete yet', () => {
    const arrived = Uint8Array.from(stream.subarray(0, 130));
    const { messages, rest } = cutMessages(undefined, arrived, requestBytes);
    arrived.fill(0);
    expect(messages).toHaveLength(1);
    expect(rest).toEqual(Uint8Array.from(stream.subarray(100, 130)));
  });
});
