import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, formatIp, fromHex, parseIp, toHex } from '../../../../src/base/index.ts';
import { decodeProxyHeader, encodeProxyHeader } from '../../../../src/proxy/proxy-protocol/index.ts';
import type { ProxyHeaderReading } from '../../../../src/proxy/proxy-protocol/index.ts';
import { crc32c } from '../../../../src/proxy/proxy-protocol/crc32c.ts';

const fuzzRuns = 100_000;
const signature = '0d0a0d0a000d0a515549540a';

describe('a header of version 1', () => {
  it('is read with its addresses, and ends where its line does', () => {
    expect(readV1('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n')).toEqual({
      length: 47,
      source: '192.168.0.1 56324',
      destination: '192.168.0.11 443',
    });
    expect(readV1('PROXY TCP6 2001:db8::1 2001:DB8::2 0 65535\r\n')).toEqual({
      length: 44,
      source: '2001:db8::1 0',
      destination: '2001:db8::2 65535',
    });
  });

  it('of the greatest length of its kind is read, and one byte more is refused', () => {
    const longest = {
      tcp4: 'PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n',
      tcp6: `PROXY TCP6 ${full} ${full} 65535 65535\r\n`,
      unknown: `PROXY UNKNOWN ${full} ${full} 65535 65535\r\n`,
    };
    expect(Object.values(longest).map((line) => line.length)).toEqual([56, 104, 107]);
    for (const line of Object.values(longest)) expect(readV1(line)).toMatchObject({ length: line.length });
    expect(decode(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`)).toEqual({ kind: 'refused', reason: 'proxy-line' });
    expect(decode('PROXY TCP4 255.255.255.255  255.255.255.255 65535 65535\r\n')).toMatchObject({
      reason: 'proxy-line',
    });
  });

  it.each(['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN whatever it is\r\n', 'PROXY UNKNOWN 1.2.3.4 1.2.3.5 1 2\r\n'])(
    'that says UNKNOWN is accepted and says nothing: %j',
    (line) => expect(readV1(line)).toEqual({ length: line.length, source: undefined, destination: undefined }),
  );

  it.each([
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n', 'proxy-line'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx\n', 'proxy-line'],
    ['PROXY\r\n', 'proxy-line'],
    ['PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n', 'proxy-line'],
    ['PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n', 'proxy-line'],
    ['PROXY UNKNOWNX\r\n', 'proxy-line'],
    ['PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n', 'proxy-line'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n', 'proxy-line'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n', 'proxy-line'],
    ['PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n', 'proxy-line'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n', 'proxy-line'],
    ['PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n', 'proxy-address'],
    ['PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n', 'proxy-address'],
    ['PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n', 'proxy-address'],
    ['PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n', 'proxy-address'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n', 'proxy-address'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n', 'proxy-address'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n', 'proxy-address'],
    ['GET / HTTP/1.1\r\n', 'proxy-signature'],
    ['PROXz', 'proxy-signature'],
  ])('is refused with its reason: %j', (line, reason) => {
    expect(decode(line)).toEqual({ kind: 'refused', reason });
  });

  it('asks for more as long as it may become one, and not beyond its greatest length', () => {
    const line = 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n';
    for (let length = 1; length < line.length; length++) {
      expect(decode(line.slice(0, length))).toEqual({ kind: 'incomplete', bytesNeeded: length + 1 });
    }
    expect(decode(`PROXY ${'x'.repeat(100)}`)).toMatchObject({ kind: 'incomplete' });
    expect(decode(`PROXY ${'x'.repeat(101)}`)).toEqual({ kind: 'refused', reason: 'proxy-line' });
  });
});

describe('a header of version 2', () => {
  it('is read with its addresses', () => {
    expect(readV2('21 11 000c', 'c0000201 c6336401 dc04 01bb')).toEqual({
      length: 28,
      source: '192.0.2.1 56324',
      destination: '198.51.100.1 443',
    });
    const [from, to] = ['20010db8000000000000000000000001', '20010db8000000000000000000000002'];
    expect(readV2('21 21 0024', `${from}${to} 0001 0002`)).toEqual({
      length: 52,
      source: '2001:db8::1 1',
      destination: '2001:db8::2 2',
    });
  });

  // The four cases of HAProxy's reg-tests/connection/proxy_protocol_tlv_validation.vtc.
  const localhost = '7F 00 00 01 7F 00 00 01 00 2A 05 39';
  it.each([
    ['whose TLV is as long as it says', '02 00 05 31 32 33 34 35', 36],
    ['with another TLV behind its end', '02 00 05 31 32 33 34 35 02 00 05 35 34 33 32 31', 36],
    ['whose TLV is longer than the header', '02 00 0A 31 32 33 34 35 31 32 33 34 35', 'proxy-tlv'],
    ['whose TLVs end before the header', '02 00 04 31 32 33 34 47', 'proxy-tlv'],
  ])('%s is judged as HAProxy does', (_case, tlvs, expected) => {
    const reading = decodeProxyHeader(fromHex(`${signature} 21 11 00 14 ${localhost} ${tlvs}`));
    if (typeof expected === 'string') expect(reading).toEqual({ kind: 'refused', reason: expected });
    else expect(reading).toMatchObject({ kind: 'read', header: { length: expected } });
  });

  it('that says LOCAL is skipped with all that it carries, and says nothing', () => {
    expect(readV2('20 00 0000', '')).toEqual({ length: 16, source: undefined, destination: undefined });
    expect(readV2('20 ff 0003', 'ffffff')).toEqual({ length: 19, source: undefined, destination: undefined });
  });

  it.each([
    ['unspecified', '21 00 0002', 'abcd'],
    ['UDP', '21 12 000c', 'c0000201 c6336401 dc04 01bb'],
    ['UNIX', '21 31 00d8', '00'.repeat(216)],
  ])('of a kind that is not TCP over IP is accepted and says nothing: %s', (_kind, head, rest) => {
    expect(readV2(head, rest)).toMatchObject({ source: undefined, destination: undefined });
  });

  it.each([
    ['11 11 000c', 'proxy-version'],
    ['31 11 000c', 'proxy-version'],
    ['22 11 000c', 'proxy-command'],
    ['21 41 000c', 'proxy-family'],
    ['21 13 000c', 'proxy-family'],
    ['21 11 000b', 'proxy-length'],
    ['21 21 0023', 'proxy-length'],
    ['21 11 3ff1', 'proxy-length'],
    ['20 00 ffff', 'proxy-length'],
  ])('is refused with its reason: %s', (head, reason) => {
    expect(decodeProxyHeader(fromHex(`${signature}${head}${'00'.repeat(100)}`))).toEqual({ kind: 'refused', reason });
  });

  it('asks for exactly what is missing', () => {
    const whole = v2('21 11 000c', 'c0000201 c6336401 dc04 01bb');
    for (let length = 1; length < whole.length; length++) {
      const bytesNeeded = length < 16 ? 16 : 28;
      expect(decodeProxyHeader(whole.subarray(0, length))).toEqual({ kind: 'incomplete', bytesNeeded });
    }
    expect(decodeProxyHeader(fromHex(`${signature} 21 11 3ff0`))).toMatchObject({ kind: 'incomplete' });
  });

  it('with a checksum is accepted only if it is right', () => {
    const header = v2('21 11 0017', 'c0000201 c6336401 dc04 01bb 03 0004 00000000 04 0001 00');
    const checksum = crc32c(header);
    new DataView(header.buffer).setUint32(31, checksum);
    expect(decodeProxyHeader(header)).toMatchObject({ kind: 'read', header: { length: 39 } });
    for (const index of [16, 31, 38]) {
      const broken = header.map((byte, at) => (at === index ? byte ^ 1 : byte));
      expect(decodeProxyHeader(broken)).toEqual({ kind: 'refused', reason: 'proxy-checksum' });
    }
    const short = v2('21 11 0012', 'c0000201 c6336401 dc04 01bb 03 0003 000000');
    expect(decodeProxyHeader(short)).toEqual({ kind: 'refused', reason: 'proxy-tlv' });
  });

  it('has the checksum of RFC 4960, known by its check value', () => {
    expect(crc32c(Uint8Array.from('123456789', (letter) => letter.charCodeAt(0))).toString(16)).toBe('e3069283');
    expect(crc32c(new Uint8Array(32)).toString(16)).toBe('8a9136aa');
  });
});

it('an address that is IPv4 in the dress of IPv6 is IPv4', () => {
  expect(readV1('PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n')).toMatchObject({
    source: '192.0.2.1 1',
    destination: '192.0.2.2 2',
  });
});

describe('writing', () => {
  const source = { ip: ip('192.0.2.1'), port: 56_324 };
  const destination = { ip: ip('198.51.100.1'), port: 443 };

  it('gives the bytes that the specification shows', () => {
    expect(text(encodeProxyHeader('v1', { source, destination }))).toBe(
      'PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n',
    );
    expect(toHex(encodeProxyHeader('v2', { source, destination }))).toBe(
      `${signature}2111000cc0000201c6336401dc0401bb`,
    );
    expect(text(encodeProxyHeader('v1', undefined))).toBe('PROXY UNKNOWN\r\n');
    expect(toHex(encodeProxyHeader('v2', undefined))).toBe(`${signature}20000000`);
  });

  it('puts two families into IPv6', () => {
    const other = { ip: ip('2001:db8::1'), port: 1 };
    expect(text(encodeProxyHeader('v1', { source, destination: other }))).toBe(
      'PROXY TCP6 ::ffff:c000:201 2001:db8::1 56324 1\r\n',
    );
  });

  it('and reading bring back any two addresses, with any bytes behind them', () => {
    const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const address = (length: number) => fc.record({ ip: bytesOf(length), port: fc.nat(65_535) });
    const both = fc.oneof(fc.tuple(address(4), address(4)), fc.tuple(address(16), address(16)));
    fc.assert(
      fc.property(fc.constantFrom('v1', 'v2'), both, fc.uint8Array(), (version, [from, to], rest) => {
        const header = encodeProxyHeader(version, { source: from, destination: to });
        expect(shown(decodeProxyHeader(concatBytes(header, rest)))).toEqual({
          length: header.length,
          source: `${formatIp(from.ip)} ${from.port}`,
          destination: `${formatIp(to.ip)} ${to.port}`,
        });
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('bytes that mean harm', () => {
  const v1Start = fc.uint8Array({ maxLength: 120 }).map((rest) => concatBytes(bytes('PROXY TCP4 '), rest));
  const v2Start = fc
    .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ maxLength: 300 }))
    .map(([head, rest]) => concatBytes(fromHex(signature), head, rest));
  const plausible = fc
    .tuple(fc.constantFrom(0x20, 0x21), fc.constantFrom(0x11, 0x21, 0x31, 0x00), fc.uint8Array({ maxLength: 64 }))
    .map(([command, family, rest]) =>
      concatBytes(fromHex(signature), Uint8Array.of(command, family, 0, rest.length), rest),
    );
  const input = fc.oneof(fc.uint8Array({ minLength: 1 }), v1Start, v2Start, plausible);

  it('never throw, and what is read lies within them', () => {
    fc.assert(
      fc.property(input, (bytes) => {
        const reading = decodeProxyHeader(bytes);
        if (reading.kind === 'read') return reading.header.length <= bytes.length && reading.header.length >= 15;
        if (reading.kind === 'incomplete') {
          return reading.bytesNeeded > bytes.length && reading.bytesNeeded <= 16 * 1024;
        }
        return true;
      }),
      { numRuns: fuzzRuns },
    );
  });

  it('are judged the same whether they come at once or piece by piece', () => {
    fc.assert(
      fc.property(input, (bytes) => {
        const whole = decodeProxyHeader(bytes);
        let length = 1;
        for (;;) {
          const part = decodeProxyHeader(bytes.subarray(0, length));
          if (part.kind !== 'incomplete') expect(part).toEqual(whole);
          // What ends before that is refused for ending.
          if (part.kind !== 'incomplete' || part.bytesNeeded > bytes.length) return;
          length = part.bytesNeeded;
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

const full = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';

function decode(line: string): ProxyHeaderReading {
  return decodeProxyHeader(bytes(line));
}

function readV1(line: string): unknown {
  return shown(decode(line));
}

function readV2(head: string, rest: string): unknown {
  return shown(decodeProxyHeader(v2(head, rest)));
}

function v2(head: string, rest: string): Uint8Array {
  return fromHex(`${signature}${head}${rest}`);
}

function shown(reading: ProxyHeaderReading): unknown {
  if (reading.kind !== 'read') return reading;
  const { length, addresses } = reading.header;
  const [source, destination] = [addresses?.source, addresses?.destination].map(
    (end) => end && `${formatIp(end.ip)} ${end.port}`,
  );
  return { length, source, destination };
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function ip(text: string): Uint8Array {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}
