import fc from 'fast-check';
import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import {
  decodeSession,
  encodeSession,
  isSessionValue,
  sessionKey,
} from '../../../../src/sync/takeover/session-record.ts';
import type { SessionRecord, SocketRecord } from '../../../../src/sync/takeover/session-record.ts';

const socket = {
  ...{ firstSent: 0xffff_fff0, firstReceived: 1, timestampOffset: 0x8000_0000, mss: 1_460 },
  ...{ sendScale: 7, receiveScale: 14, hasSack: true, hasTimestamps: true },
};

const back = '10.9.0.21:8080>10.9.0.100:50001';
const words = Array<number>(13).fill(0);

const record: SessionRecord = {
  ...{ service: 'web', server: 's1', startedWallMs: 1_790_000_000_000, injectedBytes: 28 },
  front: {
    ...socket,
    local: { address: '10.9.0.100', port: 80 },
    remote: { address: '10.9.0.31', port: 40_000 },
  },
  back: {
    ...{ ...socket, mss: 536, hasSack: false },
    local: { address: '10.9.0.100', port: 50_001 },
    remote: { address: '10.9.0.21', port: 8_080 },
  },
};

describe('the record of a session', () => {
  it("is found by the client's side of the connection", () => {
    expect(sessionKey(record.front)).toBe('10.9.0.31:40000>10.9.0.100:80');
  });

  it('is read as it was written', () => {
    expect(decodeSession(sessionKey(record.front), encodeSession(record))).toEqual(record);
  });

  it('is read as it was written, for IPv6 and every number', () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    const address = fc.constantFrom('fd00::1', 'fd00::100', '2001:db8:1:2:3:4:5:6', '::1');
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    const endpoint = fc.record({ address, port });
    const scale = fc.integer({ min: 0, max: 14 });
    const socketOf: fc.Arbitrary<SocketRecord> = fc.record({
      ...{ local: endpoint, remote: endpoint, firstSent: word, firstReceived: word, timestampOffset: word },
      ...{ mss: port, sendScale: scale, receiveScale: scale, hasSack: fc.boolean(), hasTimestamps: fc.boolean() },
    });
    fc.assert(
      fc.property(socketOf, socketOf, word, (front, back, injectedBytes) => {
        const written = { ...record, front, back, injectedBytes };
        expect(decodeSession(sessionKey(front), encodeSession(written))).toEqual(written);
      }),
    );
  });

  it('takes little room', () => {
    expect(pack([sessionKey(record.front), encodeSession(record)]).length).toBeLessThan(140);
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['no list', { service: 'web' }],
    ['a service without a name', ['', 's1', 1, back, words]],
    ['a server that is no name', ['web', 7, 1, back, words]],
    ['a start that is no time', ['web', 's1', '1', back, words]],
    ["a server's side of no text", ['web', 's1', 1, '', words]],
    ['a number too few', ['web', 's1', 1, back, words.slice(1)]],
    ['a number of more than 32 bits', ['web', 's1', 1, back, words.with(3, 2 ** 32)]],
    ['a number below zero', ['web', 's1', 1, back, words.with(3, -1)]],
    ['one item more', ['web', 's1', 1, back, words, 1]],
  ])('is not %s', (_, value) => {
    expect(isSessionValue(value)).toBe(false);
    expect(decodeSession('10.9.0.31:40000>10.9.0.100:80', value)).toBeUndefined();
  });

  it.each(['', '10.9.0.31:40000', '10.9.0.31:40000>10.9.0.100', 'a:1>b:2', '10.9.0.31:70000>10.9.0.100:80'])(
    'is not found by the key "%s"',
    (key) => {
      expect(decodeSession(key, encodeSession(record))).toBeUndefined();
    },
  );
});
