import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex } from '../../../../src/base/index.ts';
import { ClientHelloReader, helloBytesMax } from '../../../../src/proxy/tls/index.ts';
import type { HelloReading } from '../../../../src/proxy/tls/index.ts';
import { alpn, ascii, helloFor, helloMessage, inRecords, opensslHello, serverName, vector16 } from './hellos.ts';
import type { Extension } from './hellos.ts';

const fuzzRuns = 100_000;

describe('a ClientHello', () => {
  it('of OpenSSL is read with its name and protocols', async () => {
    const hello = await opensslHello({ servername: 'www.example.com', ALPNProtocols: ['h2', 'http/1.1'] });
    expect(read(hello)).toEqual({
      kind: 'hello',
      hello: { serverName: 'www.example.com', alpn: ['h2', 'http/1.1'] },
    });
  });

  it('of OpenSSL for TLS 1.2 and without a name says so', async () => {
    const hello = await opensslHello({ maxVersion: 'TLSv1.2' });
    expect(read(hello)).toEqual({ kind: 'hello', hello: { serverName: undefined, alpn: [] } });
  });

  it('without extensions, as before TLS 1.2, names nobody', () => {
    expect(read(inRecords(helloMessage(undefined)))).toMatchObject({ hello: { serverName: undefined, alpn: [] } });
  });

  it('is read however it is spread over records', () => {
    for (const fragmentBytes of [1, 2, 3, 5, 40, 77]) {
      expect(read(helloFor('www.example.com', fragmentBytes))).toMatchObject({
        hello: { serverName: 'www.example.com' },
      });
    }
  });

  it('with values that are made up, an encrypted hello and unknown extensions is read by what stands outside', () => {
    const extensions: Extension[] = [
      [0x2a2a, new Uint8Array()],
      [0xfe0d, new Uint8Array(200)],
      serverName('public.example.net'),
      alpn('\x1a\x1a', 'h2'),
      [0xdada, Uint8Array.of(0)],
    ];
    expect(read(inRecords(helloMessage(extensions)))).toEqual({
      kind: 'hello',
      hello: { serverName: 'public.example.net', alpn: ['\x1a\x1a', 'h2'] },
    });
  });

  it('has its name in lower case and without a final dot', () => {
    expect(read(helloFor('WWW.Example.COM.'))).toMatchObject({ hello: { serverName: 'www.example.com' } });
  });

  it('of 16 KiB with its record is read, and one of a byte more is refused when its head is there', () => {
    const padding = (bytes: number): Extension => [21, new Uint8Array(bytes)];
    const rest = inRecords(helloMessage([serverName('a.example'), padding(0)])).length;
    const largest = inRecords(helloMessage([serverName('a.example'), padding(helloBytesMax - rest)]));
    expect(largest).toHaveLength(helloBytesMax);
    expect(read(largest)).toMatchObject({ kind: 'hello' });
    const larger = inRecords(helloMessage([serverName('a.example'), padding(helloBytesMax - rest + 1)]));
    expect(read(larger.subarray(0, 5))).toEqual({ kind: 'refused', reason: 'tls-length' });
  });

  it('that announces more than 16 KiB in small records is refused at its fourth byte', () => {
    expect(read(fromHex('1603010004 01004000'))).toEqual({ kind: 'refused', reason: 'tls-length' });
  });

  it.each([
    ['an alert', '15 0301 0002 0228', 'not-tls'],
    ['HTTP', '47 45 54 20 2f', 'not-tls'],
    ['SSH', '53 53 48 2d', 'not-tls'],
    ['one byte of something else', '00', 'not-tls'],
    ['a record of another protocol', '16 04', 'not-tls'],
    ['text of four bytes above ASCII', 'c3a4c3b6', 'not-tls'],
    ['SSL 2.0', '802e 01 0002 0015 0000 0010', 'tls-sslv2'],
    ['SSL 2.0 that would speak TLS', '802e 01 0301 0015 0000 0010', 'tls-sslv2'],
    ['an empty record', '16 0301 0000', 'tls-record'],
    ['a record too long', '16 0301 4001', 'tls-record'],
    ['a ServerHello', '16 0303 0004 02000000', 'tls-handshake'],
    ['an alert in the middle', '16 0301 0001 01 15 0301 0002', 'tls-record'],
  ])('is not %s', (_what, bytes, expected) => {
    const reading = read(fromHex(bytes));
    expect(reading.kind === 'refused' ? reading.reason : reading.kind).toBe(expected);
  });

  const name = vector16(ascii('a.example'));
  it.each([
    ['two lists of names', [serverName('a.example'), serverName('b.example')]],
    ['two lists of protocols', [alpn('h2'), alpn('h2')]],
    ['two names', [[0, vector16(concatBytes(Uint8Array.of(0), name, Uint8Array.of(0), name))]]],
    ['a name of no length', [serverName('')]],
    ['a name of another type', [[0, vector16(concatBytes(Uint8Array.of(1), name))]]],
    ['no name in the list', [[0, vector16(new Uint8Array())]]],
    ['an empty list of names', [[0, new Uint8Array()]]],
    ['a name that ends behind its list', [[0, concatBytes(Uint8Array.of(0, 5, 0), name)]]],
    ['a byte behind the list of names', [[0, concatBytes(serverName('a.example')[1], Uint8Array.of(0))]]],
    ['an empty list of protocols', [alpn()]],
    ['a protocol of no length', [alpn('')]],
  ] as [string, Extension[]][])('with %s contradicts itself', (_what, extensions) => {
    expect(read(inRecords(helloMessage(extensions)))).toEqual({ kind: 'refused', reason: 'tls-handshake' });
  });

  it('that is cut short inside contradicts itself', () => {
    const message = helloMessage([serverName('www.example.com')]);
    for (let length = 4; length < message.length; length++) {
      const cut = message.slice(0, length);
      cut.set([0, (length - 4) >> 8, (length - 4) & 0xff], 1);
      // At 47 bytes it is whole, and from before there were extensions.
      const expected = length === 47 ? { kind: 'hello' } : { kind: 'refused', reason: 'tls-handshake' };
      expect({ length, ...read(inRecords(cut)) }).toMatchObject({ length, ...expected });
    }
  });
});

describe('reading piece by piece', () => {
  it('asks each time for the end of a record or of its head, and comes to the same', () => {
    const bytes = helloFor('www.example.com', 30);
    const reader = new ClientHelloReader();
    const asked: number[] = [];
    let reading = reader.read(bytes.subarray(0, 1));
    while (reading.kind === 'incomplete') {
      asked.push(reading.bytesNeeded);
      reading = reader.read(bytes.subarray(0, reading.bytesNeeded));
    }
    expect(reading).toMatchObject({ kind: 'hello', hello: { serverName: 'www.example.com' } });
    expect(asked).toEqual([5, 35, 40, 70, 75, bytes.length]);
  });

  it('comes to the same wherever the bytes are cut', () => {
    const start = fc.constantFrom('', '16', '1603', '160301', '1603010005', '160301000501', '80', '8000', '800001');
    const parts = fc.tuple(start.map(fromHex), fc.uint8Array({ maxLength: 80 })).map((both) => concatBytes(...both));
    const host = fc.constantFrom('a', 'www.example.com', 'a-name.of-some.length.example.org');
    const whole = fc.tuple(host, fc.integer({ min: 1, max: 130 })).map(([name, size]) => helloFor(name, size));
    const broken = fc.tuple(whole, fc.nat(), fc.nat(255)).map(([bytes, at, byte]) => {
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    const input = fc.oneof(parts, whole, broken).filter((bytes) => bytes.length > 0);
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 });
    fc.assert(fc.property(input, cuts, sameInPieces), { numRuns: fuzzRuns });
  }, 60_000);
});

/** Whether reading it in pieces of these sizes, and then the rest, ends as reading at once does, asking sensibly. */
function sameInPieces(bytes: Uint8Array, sizes: readonly number[]): boolean {
  const reader = new ClientHelloReader();
  let length = 0;
  for (const size of [...sizes, bytes.length]) {
    length = Math.min(bytes.length, length + size);
    const reading = reader.read(bytes.subarray(0, length));
    if (reading.kind !== 'incomplete') return isDeepStrictEqual(reading, read(bytes.subarray(0, length)));
    if (reading.bytesNeeded <= length || reading.bytesNeeded > helloBytesMax) return false;
  }
  return read(bytes).kind === 'incomplete';
}

function read(bytes: Uint8Array): HelloReading {
  return new ClientHelloReader().read(bytes);
}
