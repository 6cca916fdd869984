/** The VRRP advertisement: version 3 over IPv4 and IPv6 (RFC 9568, section 5), version 2 over IPv4 (RFC 3768). */
import type { Result } from '../base/index.ts';
import { assert, concatBytes, fail, internetChecksum, ok, viewOf } from '../base/index.ts';
import { vrrpProtocol } from './ip-packet.ts';

/**
 * Version 3:
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------+-------+---------------+---------------+---------------+
 * |   3   |type 1 |     VRID      |   priority    | address count |
 * +-------+-------+---------------+---------------+---------------+
 * |reservd|  interval, 1/100 s    |           checksum            |
 * +-------+-----------------------+-------------------------------+
 * |           addresses, 4 or 16 bytes each                       |
 *
 * Version 2 differs in the second word, and ends with eight bytes of authentication data, which are always there:
 *
 * +---------------+---------------+-------------------------------+
 * | auth type 0/1 | interval, 1 s |           checksum            |
 * +---------------+---------------+-------------------------------+
 */
export type Advert = {
  readonly version: AdvertVersion;
  /** 1..255. */
  readonly vrid: number;
  /** 0: the active router resigns; 255: it owns the addresses. */
  readonly priority: number;
  /** Version 3: 10..40950 in steps of 10; version 2: 1000..255000 in steps of 1000. */
  readonly advertIntervalMs: number;
  /** 1..255 addresses of one family, 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
  /** Version 2 alone, eight bytes: authentication type 1, which anyone on the LAN can read. Undefined: type 0. */
  readonly password?: Uint8Array | undefined;
};

export type AdvertVersion = 2 | 3;

/** Between whom the message travels; version 3's checksum may cover it. */
export type AdvertPath = { readonly source: Uint8Array; readonly destination: Uint8Array };

/**
 * What the checksum of version 3 over IPv4 covers. RFC 9568 (5.2.8) says the message alone; RFC 5798 was read as "with
 * the pseudo-header", and so keepalived and FRR do by default. Over IPv6 it is always the pseudo-header, in version 2
 * always the message.
 */
export type ChecksumForm = 'pseudo-header' | 'message-only';

export const advertDropReasons = [
  'length',
  'version',
  'type',
  'checksum',
  'address-count',
  'interval-zero',
  'auth-type',
] as const;
export type AdvertDropReason = (typeof advertDropReasons)[number];

export type DecodedAdvert = { readonly advert: Advert; readonly checksumForm: ChecksumForm };

const advertType = 1;
const headerLength = 8;
const checksumOffset = 6;
/** Of version 2's authentication data, and so of its passwords. */
export const authDataLength = 8;
const simpleTextAuthentication = 1;
const intervalCsMax = 0x0fff;

/** `form` counts for version 3 over IPv4 alone, the only one with a choice. */
export function encodeAdvert(advert: Advert, path: AdvertPath, form: ChecksumForm): Uint8Array {
  assert(advert.addresses.length >= 1 && advert.addresses.length <= 255, 'an advert has 1..255 addresses');
  const family = path.source.length;
  assert(advert.password === undefined || advert.version === 2, 'version 2 alone has passwords');
  assert((advert.password?.length ?? authDataLength) === authDataLength, 'a password is padded to its field');
  assert(
    advert.addresses.every((address) => address.length === family),
    "an advert's addresses are of the family that carries it",
  );
  const header = new Uint8Array(headerLength);
  const view = viewOf(header);
  view.setUint8(0, (advert.version << 4) | advertType);
  view.setUint8(1, advert.vrid);
  view.setUint8(2, advert.priority);
  view.setUint8(3, advert.addresses.length);
  view.setUint16(4, intervalField(advert));
  if (advert.password !== undefined) view.setUint8(4, simpleTextAuthentication);
  const authData = advert.password ?? new Uint8Array(advert.version === 2 ? authDataLength : 0);
  const message = concatBytes(header, ...advert.addresses, authData);
  const covered = checksumForms(advert.version, family).includes(form) ? form : defaultForm(advert.version, family);
  viewOf(message).setUint16(checksumOffset, checksumOf(message, path, covered));
  return message;
}

/**
 * Reads the payload of an IP packet. Both forms of checksum are accepted, and the one that was found is told. The
 * reserved bits are ignored. What goes beyond the addresses (and version 2's trailer) makes it a packet of wrong
 * length; padding has been cut off with the IP header.
 */
export function decodeAdvert(message: Uint8Array, path: AdvertPath): Result<DecodedAdvert, AdvertDropReason> {
  if (message.length < headerLength) return fail('length');
  const view = viewOf(message);
  const version = view.getUint8(0) >> 4;
  const family = path.source.length;
  if (version !== 3 && !(version === 2 && family === 4)) return fail('version');
  if ((view.getUint8(0) & 0x0f) !== advertType) return fail('type');
  const count = view.getUint8(3);
  if (count === 0) return fail('address-count');
  if (message.length !== advertLength(message, family)) return fail('length');
  const form = checksumForms(version, family).find((candidate) => checksumOf(message, path, candidate) === 0);
  if (form === undefined) return fail('checksum');
  if (version === 2 && view.getUint8(4) > simpleTextAuthentication) return fail('auth-type');
  const advertIntervalMs = version === 2 ? view.getUint8(5) * 1000 : (view.getUint16(4) & intervalCsMax) * 10;
  // A zero interval would promote every backup at once (RFC 9568, erratum 8301).
  if (advertIntervalMs === 0) return fail('interval-zero');
  const addresses = Array.from({ length: count }, (_, index) => {
    const start = headerLength + index * family;
    return new Uint8Array(message.subarray(start, start + family));
  });
  const hasPassword = version === 2 && view.getUint8(4) === simpleTextAuthentication;
  const password = hasPassword ? new Uint8Array(message.subarray(-authDataLength)) : undefined;
  const [vrid, priority] = [view.getUint8(1), view.getUint8(2)];
  return ok({
    advert: { version, vrid, priority, advertIntervalMs, addresses, password },
    checksumForm: form,
  });
}

/** How long the advert is that these bytes begin with, by its version and count; 0 if that cannot be told. */
export function advertLength(bytes: Uint8Array, family: number): number {
  if (bytes.length < headerLength) return 0;
  const view = viewOf(bytes);
  const isVersion2 = view.getUint8(0) >> 4 === 2;
  return headerLength + view.getUint8(3) * family + (isVersion2 ? authDataLength : 0);
}

/** Whether an interval can be said in an advert: 10..40950 by 10 in version 3, 1000..255000 by 1000 in version 2. */
export function isAdvertInterval(version: AdvertVersion, advertIntervalMs: number): boolean {
  const units = advertIntervalMs / unitMs(version);
  return Number.isInteger(units) && units >= 1 && units <= (version === 2 ? 255 : intervalCsMax);
}

function intervalField({ version, advertIntervalMs }: Advert): number {
  assert(isAdvertInterval(version, advertIntervalMs), `${advertIntervalMs} ms fit into an advert`);
  return advertIntervalMs / unitMs(version);
}

function unitMs(version: AdvertVersion): number {
  return version === 2 ? 1000 : 10;
}

/** The forms a receiver accepts, the likelier one first. */
function checksumForms(version: AdvertVersion, family: number): readonly ChecksumForm[] {
  if (version === 3 && family === 4) return ['pseudo-header', 'message-only'];
  return [defaultForm(version, family)];
}

function defaultForm(version: AdvertVersion, family: number): ChecksumForm {
  return version === 3 && family === 16 ? 'pseudo-header' : 'message-only';
}

/** Over a message with its checksum in place the result is 0. */
function checksumOf(message: Uint8Array, path: AdvertPath, form: ChecksumForm): number {
  if (form === 'message-only') return internetChecksum(message);
  return internetChecksum(pseudoHeader(path, message.length), message);
}

/** IPv4: addresses, 0, protocol, length in 16 bits (RFC 9293). IPv6: length in 32 bits, then protocol (RFC 8200). */
function pseudoHeader({ source, destination }: AdvertPath, messageLength: number): Uint8Array {
  const tail = new Uint8Array(source.length === 4 ? 4 : 8);
  const view = viewOf(tail);
  if (source.length === 4) {
    view.setUint8(1, vrrpProtocol);
    view.setUint16(2, messageLength);
  } else {
    view.setUint32(0, messageLength);
    view.setUint8(7, vrrpProtocol);
  }
  return concatBytes(source, destination, tail);
}
