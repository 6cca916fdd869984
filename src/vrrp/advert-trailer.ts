/**
 * Authentication of adverts between Tandem nodes by HMAC-SHA256, an extension of our own: see docs/adr/0005. The advert
 * itself stays as RFC 9568 has it; a trailer follows it inside the IP packet, beyond the addresses that the advert
 * counts. Receivers that insist on the exact length, keepalived among them, drop such a packet.
 */
import type { Result } from '../base/index.ts';
import { assert, concatBytes, fail, ok, viewOf } from '../base/index.ts';
import type { AdvertPath, AdvertVersion } from './advert.ts';
import { advertLength } from './advert.ts';

/** HMAC-SHA256 of the parts as if they were one, under the key of that id; undefined: there is no such key. */
export type Hmac = (keyId: number, parts: readonly Uint8Array[]) => Uint8Array | undefined;

/**
 * What makes an advert one of now:
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+---------------+---------------+
 * |      'T'      |      'M'      |      'A'      |      'C'      |
 * +---------------+---------------+---------------+---------------+
 * |    key id     |                       0                       |
 * +---------------+-----------------------------------------------+
 * |                        life, 8 bytes                          |
 * +---------------------------------------------------------------+
 * |                       counter, 8 bytes                        |
 * +---------------------------------------------------------------+
 * |                        answer, 8 bytes                        |
 * +---------------------------------------------------------------+
 * |     HMAC-SHA256 of both addresses, the advert and all of      |
 * |     the above, its first 16 bytes                             |
 * +---------------------------------------------------------------+
 */
export type AdvertStamp = {
  /** 1..255. */
  readonly keyId: number;
  /** Random, chosen when the sender starts: within one life counters rise, between two nothing is known. */
  readonly life: Uint8Array;
  /** 1 and up. */
  readonly counter: bigint;
  /** The challenge to which this advert is the answer; zeros: to none. */
  readonly answer: Uint8Array;
};

/**
 * A backup that meets an unknown life asks whether it is one of now. No receiver of adverts takes this for one, for its
 * type:
 *
 * +-------+-------+---------------+---------------+---------------+
 * |version|type 15|     VRID      |    key id     |       0       |
 * +-------+-------+---------------+---------------+---------------+
 * |                               0                               |
 * +---------------------------------------------------------------+
 * |                       question, 8 bytes                       |
 * +---------------------------------------------------------------+
 * |     HMAC-SHA256 of both addresses and all of the above, its   |
 * |     first 16 bytes                                            |
 * +---------------------------------------------------------------+
 */
export type Challenge = {
  readonly version: AdvertVersion;
  readonly vrid: number;
  readonly keyId: number;
  /** Random. */
  readonly question: Uint8Array;
};

export const authenticationDropReasons = ['auth-missing', 'auth-key', 'auth-mac'] as const;
export type AuthenticationDropReason = (typeof authenticationDropReasons)[number];

/** Of lives, questions and answers. */
export const nonceLength = 8;
export const trailerLength = 48;

const magic = Uint8Array.of(0x54, 0x4d, 0x41, 0x43);
const macLength = 16;
const challengeType = 15;
const challengeLength = 32;

/** The advert with its trailer. The active key must be one that `hmac` knows. */
export function sealAdvert(message: Uint8Array, path: AdvertPath, stamp: AdvertStamp, hmac: Hmac): Uint8Array {
  const trailer = new Uint8Array(trailerLength);
  trailer.set(magic);
  viewOf(trailer).setUint8(4, stamp.keyId);
  trailer.set(stamp.life, 8);
  viewOf(trailer).setBigUint64(16, stamp.counter);
  trailer.set(stamp.answer, 24);
  return withMac(concatBytes(message, trailer), path, stamp.keyId, hmac);
}

/** Separates a trailer of ours from the advert before it. Anything else that follows an advert stays where it is. */
export function splitTrailer(
  payload: Uint8Array,
  family: number,
): { readonly message: Uint8Array; readonly isSealed: boolean } {
  const length = advertLength(payload, family);
  const isSealed =
    payload.length === length + trailerLength && isEqual(payload.subarray(length, length + magic.length), magic);
  return { message: isSealed ? payload.subarray(0, length) : payload, isSealed };
}

/** The stamp of a payload that `splitTrailer` has found to have one. */
export function openSeal(
  payload: Uint8Array,
  path: AdvertPath,
  hmac: Hmac,
): Result<AdvertStamp, AuthenticationDropReason> {
  const trailer = payload.subarray(-trailerLength);
  const view = viewOf(trailer);
  const keyId = view.getUint8(4);
  const checked = checkMac(payload, path, keyId, hmac);
  if (!checked.ok) return checked;
  return ok({
    keyId,
    life: new Uint8Array(trailer.subarray(8, 16)),
    counter: view.getBigUint64(16),
    answer: new Uint8Array(trailer.subarray(24, 32)),
  });
}

export function encodeChallenge(challenge: Challenge, path: AdvertPath, hmac: Hmac): Uint8Array {
  const message = new Uint8Array(challengeLength);
  message.set([(challenge.version << 4) | challengeType, challenge.vrid, challenge.keyId]);
  message.set(challenge.question, 8);
  return withMac(message, path, challenge.keyId, hmac);
}

/** Whether a payload calls itself a challenge. */
export function isChallenge(payload: Uint8Array): boolean {
  return payload.length === challengeLength && ((payload[0] ?? 0) & 0x0f) === challengeType;
}

/** The VRID and the question of a payload that calls itself a challenge. */
export function challengeOf(payload: Uint8Array): { readonly vrid: number; readonly question: Uint8Array } {
  return { vrid: viewOf(payload).getUint8(1), question: new Uint8Array(payload.subarray(8, 16)) };
}

/** Whether a challenge comes from who knows the key. */
export function checkChallenge(
  payload: Uint8Array,
  path: AdvertPath,
  hmac: Hmac,
): Result<undefined, AuthenticationDropReason> {
  return checkMac(payload, path, viewOf(payload).getUint8(2), hmac);
}

export function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function withMac(payload: Uint8Array, path: AdvertPath, keyId: number, hmac: Hmac): Uint8Array {
  const mac = hmac(keyId, [path.source, path.destination, payload.subarray(0, -macLength)]);
  assert(mac !== undefined, `there is a key ${keyId} to send with`);
  payload.set(mac.subarray(0, macLength), payload.length - macLength);
  return payload;
}

function checkMac(
  payload: Uint8Array,
  path: AdvertPath,
  keyId: number,
  hmac: Hmac,
): Result<undefined, AuthenticationDropReason> {
  const mac = hmac(keyId, [path.source, path.destination, payload.subarray(0, -macLength)]);
  if (mac === undefined) return fail('auth-key');
  return isSameMac(mac, payload.subarray(-macLength)) ? ok(undefined) : fail('auth-mac');
}

/** In a time that does not tell how much of it was right. */
function isSameMac(whole: Uint8Array, received: Uint8Array): boolean {
  let difference = received.length ^ macLength;
  for (let i = 0; i < macLength; i++) difference |= (whole[i] ?? 0) ^ (received[i] ?? 0);
  return difference === 0;
}
