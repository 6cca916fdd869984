/** Version 1, a line of text: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n" (section 2.1). */
import { formatIp, parseIp } from '../../base/index.ts';
import { mapped, unmapped } from '../socket-address.ts';
import type { ClientAddresses } from '../socket-address.ts';
import { incomplete, refused } from './header.ts';
import type { ProxyHeaderReading } from './header.ts';

/** The longest lines that the specification knows, with their CRLF. */
const lineBytesMax = { TCP4: 56, TCP6: 104, UNKNOWN: 107 } as const;

const addressBytes = { TCP4: 4, TCP6: 16 } as const;
const carriageReturn = 0x0d;
const lineFeed = 0x0a;
/** A port without leading zeros; its range is checked as a number. */
const portPattern = /^(?:0|[1-9]\d{0,4})$/;

/** Reads a header of which the first bytes are known to be "PROXY", as far as they are there. */
export function decodeV1(bytes: Uint8Array): ProxyHeaderReading {
  const end = bytes.subarray(0, lineBytesMax.UNKNOWN).indexOf(lineFeed);
  if (end < 0) return bytes.length < lineBytesMax.UNKNOWN ? incomplete(bytes.length + 1) : refused('proxy-line');
  if (bytes[end - 1] !== carriageReturn) return refused('proxy-line');
  const [signature, kind, ...fields] = String.fromCharCode(...bytes.subarray(0, end - 1)).split(' ');
  const length = end + 1;
  if (signature !== 'PROXY') return refused('proxy-line');
  // What follows UNKNOWN is to be ignored, whatever it is.
  if (kind === 'UNKNOWN') return { kind: 'read', header: { length, addresses: undefined } };
  if ((kind !== 'TCP4' && kind !== 'TCP6') || length > lineBytesMax[kind]) return refused('proxy-line');
  if (fields.length !== 4) return refused('proxy-line');
  const addresses = readAddresses(fields, addressBytes[kind]);
  return addresses === undefined ? refused('proxy-address') : { kind: 'read', header: { length, addresses } };
}

/** Without addresses: UNKNOWN. Where the two are of different families, both are written as IPv6. */
export function encodeV1(addresses: ClientAddresses | undefined): Uint8Array {
  return Uint8Array.from(lineOf(addresses), (letter) => letter.charCodeAt(0));
}

function lineOf(addresses: ClientAddresses | undefined): string {
  if (addresses === undefined) return 'PROXY UNKNOWN\r\n';
  const { source, destination } = addresses;
  const isIpv4 = source.ip.length === 4 && destination.ip.length === 4;
  const [from, to] = [source.ip, destination.ip].map((ip) => formatIp(isIpv4 ? ip : mapped(ip)));
  return `PROXY ${isIpv4 ? 'TCP4' : 'TCP6'} ${from} ${to} ${source.port} ${destination.port}\r\n`;
}

function readAddresses(fields: readonly string[], bytesEach: number): ClientAddresses | undefined {
  const [sourceText = '', destinationText = '', sourcePort = '', destinationPort = ''] = fields;
  const [source, destination] = [parseIp(sourceText), parseIp(destinationText)];
  if (source?.length !== bytesEach || destination?.length !== bytesEach) return undefined;
  if (!isPort(sourcePort) || !isPort(destinationPort)) return undefined;
  return {
    source: { ip: unmapped(source), port: Number(sourcePort) },
    destination: { ip: unmapped(destination), port: Number(destinationPort) },
  };
}

function isPort(text: string): boolean {
  return portPattern.test(text) && Number(text) <= 65_535;
}
