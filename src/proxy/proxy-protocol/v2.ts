/**
 * Version 2, binary (section 2.2):
 *
 *    0                12        13           14       16            16 + addresses        16 + length
 *   +------------------+---------+------------+--------+-----------------+------------------+
 *   | signature        | version | family     | length | source and      | TLVs: type (1),  |
 *   |                  | command | transport  |        | destination     | length (2), ...  |
 *   +------------------+---------+------------+--------+-----------------+------------------+
 */
import { concatBytes, viewOf } from '../../base/index.ts';
import { mapped, unmapped } from '../socket-address.ts';
import type { ClientAddresses } from '../socket-address.ts';
import { crc32c } from './crc32c.ts';
import { incomplete, refused } from './header.ts';
import type { ProxyHeaderReading } from './header.ts';

export const signatureV2 = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

/** Longer ones are legal and of no use: certificates of clients, at most, make a header of some thousand bytes. */
const headerBytesMax = 16 * 1024;

const fixedBytes = 16;
const version = 2;
const commands = { local: 0, proxy: 1 } as const;
const families = { unspecified: 0, ipv4: 1, ipv6: 2, unix: 3 } as const;
const transportStream = 1;
const transportMax = 2;
/** Of both addresses with their ports, by family. */
const addressBytes = [0, 12, 36, 216] as const;
const tlvHeadBytes = 3;
const tlvChecksum = 3;
const checksumBytes = 4;

/** Reads a header of which the first bytes are known to be those of the signature, as far as they are there. */
export function decodeV2(bytes: Uint8Array): ProxyHeaderReading {
  if (bytes.length < fixedBytes) return incomplete(fixedBytes);
  const view = viewOf(bytes);
  const command = view.getUint8(12) & 0x0f;
  if (view.getUint8(12) >> 4 !== version) return refused('proxy-version');
  if (command !== commands.local && command !== commands.proxy) return refused('proxy-command');
  const length = fixedBytes + view.getUint16(14);
  if (length > headerBytesMax) return refused('proxy-length');
  if (bytes.length < length) return incomplete(length);
  // A health check of the sender's: its header says nothing that counts, but is skipped all the same.
  if (command === commands.local) return { kind: 'read', header: { length, addresses: undefined } };
  return decodeProxied(bytes.subarray(0, length));
}

/** Without addresses: LOCAL. Where the two are of different families, both are written as IPv6. */
export function encodeV2(addresses: ClientAddresses | undefined): Uint8Array {
  if (addresses === undefined) return head(commands.local, families.unspecified, 0, 0);
  const { source, destination } = addresses;
  const isIpv4 = source.ip.length === 4 && destination.ip.length === 4;
  const family = isIpv4 ? families.ipv4 : families.ipv6;
  const ports = new Uint8Array(4);
  viewOf(ports).setUint16(0, source.port);
  viewOf(ports).setUint16(2, destination.port);
  const [from, to] = [source.ip, destination.ip].map((ip) => (isIpv4 ? ip : mapped(ip)));
  return concatBytes(
    head(commands.proxy, family, transportStream, addressBytes[family]),
    from ?? source.ip,
    to ?? destination.ip,
    ports,
  );
}

function head(command: number, family: number, transport: number, length: number): Uint8Array {
  return concatBytes(signatureV2, Uint8Array.of((version << 4) | command, (family << 4) | transport, 0, length));
}

/** `header` is the whole of one with the command PROXY. */
function decodeProxied(header: Uint8Array): ProxyHeaderReading {
  const { length } = header;
  const family = (header[13] ?? 0) >> 4;
  const transport = (header[13] ?? 0) & 0x0f;
  const addressesLength = addressBytes[family];
  if (addressesLength === undefined || transport > transportMax) return refused('proxy-family');
  // Where the addresses are of no kind that is known, neither is where they end.
  if (family === families.unspecified) return { kind: 'read', header: { length, addresses: undefined } };
  if (length < fixedBytes + addressesLength) return refused('proxy-length');
  const fault = checkTlvs(header, fixedBytes + addressesLength);
  if (fault !== undefined) return refused(fault);
  const isTcp = transport === transportStream && family !== families.unix;
  return { kind: 'read', header: { length, addresses: isTcp ? readAddresses(header, family) : undefined } };
}

function readAddresses(header: Uint8Array, family: number): ClientAddresses {
  const each = family === families.ipv4 ? 4 : 16;
  const ports = fixedBytes + 2 * each;
  const view = viewOf(header);
  // Copies: the header stands in a buffer that serves the next connection.
  const ipAt = (offset: number): Uint8Array => unmapped(header.slice(offset, offset + each));
  return {
    source: { ip: ipAt(fixedBytes), port: view.getUint16(ports) },
    destination: { ip: ipAt(fixedBytes + each), port: view.getUint16(ports + 2) },
  };
}

/** The TLVs have to end with the header, and a checksum among them has to be right; what else they say is not used. */
function checkTlvs(header: Uint8Array, start: number): 'proxy-tlv' | 'proxy-checksum' | undefined {
  const view = viewOf(header);
  let checksumAt: number | undefined;
  let offset = start;
  while (offset < header.length) {
    if (offset + tlvHeadBytes > header.length) return 'proxy-tlv';
    const valueBytes = view.getUint16(offset + 1);
    if (view.getUint8(offset) === tlvChecksum) {
      if (valueBytes !== checksumBytes || checksumAt !== undefined) return 'proxy-tlv';
      checksumAt = offset + tlvHeadBytes;
    }
    offset += tlvHeadBytes + valueBytes;
  }
  if (offset !== header.length) return 'proxy-tlv';
  return checksumAt === undefined || isChecksumRight(header, checksumAt) ? undefined : 'proxy-checksum';
}

/** The checksum is over the whole header with zeros in its own place (section 2.2.3). */
function isChecksumRight(header: Uint8Array, checksumAt: number): boolean {
  const zeroed = header.slice();
  zeroed.fill(0, checksumAt, checksumAt + checksumBytes);
  return crc32c(zeroed) === viewOf(header).getUint32(checksumAt);
}
