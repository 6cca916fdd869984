import { describe, expect, it } from 'vitest';
import { concatBytes, fromHex, parseIp, toHex } from '../../../src/base/index.ts';
import type { AdvertPath } from '../../../src/vrrp/index.ts';
import { decodeAdvert, encodeChallenge, sealAdvert, trailerLength } from '../../../src/vrrp/index.ts';
import { challengeOf, checkChallenge, isChallenge, openSeal, splitTrailer } from '../../../src/vrrp/advert-trailer.ts';
import { hmacOf, nonce, stampOf } from './hmac.ts';

const address = (text: string): Uint8Array => parseIp(text) ?? new Uint8Array();
const path: AdvertPath = { source: address('192.0.2.251'), destination: address('224.0.0.18') };
const message = fromHex('310ac8020064defbc0000201c0000202');
const hmac = hmacOf({ 1: 'key' });
const stamp = stampOf({ counter: 0x0102030405060708n, answer: nonce(9) });
const sealed = sealAdvert(message, path, stamp, hmac);

describe('a sealed advert', () => {
  it('is the advert, unchanged, and a trailer of 48 bytes', () => {
    expect(sealed.subarray(0, message.length)).toEqual(message);
    const mac = '62ea57fa5ae728b3f341dec34677091b';
    const trailer = `544d414301000000${'01'.repeat(8)}0102030405060708${'09'.repeat(8)}${mac}`;
    expect(toHex(sealed.subarray(message.length))).toBe(trailer);
  });

  it('is taken apart again', () => {
    expect(splitTrailer(sealed, 4)).toEqual({ message, isSealed: true });
    expect(openSeal(sealed, path, hmac)).toEqual({ ok: true, value: stamp });
  });

  it('is no advert with more addresses, but one of wrong length, to who does not know seals', () => {
    expect(decodeAdvert(sealed, path)).toEqual({ ok: false, reason: 'length' });
  });

  it('does not survive a change of any bit', () => {
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = sealed.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const opened = openSeal(changed, path, hmac);
      // A change of the key id asks for another key.
      const isKeyId = bit >> 3 === message.length + 4;
      expect(opened, `bit ${bit}`).toEqual({ ok: false, reason: isKeyId ? 'auth-key' : 'auth-mac' });
    }
  });

  it('does not come from another address, nor go to one', () => {
    for (const other of [
      { ...path, source: address('192.0.2.252') },
      { ...path, destination: address('192.0.2.252') },
    ]) {
      expect(openSeal(sealed, other, hmac)).toEqual({ ok: false, reason: 'auth-mac' });
    }
  });

  it.each([
    { what: 'nothing behind it', bytes: message },
    { what: 'a byte less', bytes: sealed.subarray(0, -1) },
    { what: 'a byte more', bytes: concatBytes(sealed, new Uint8Array(1)) },
    { what: 'something else behind it', bytes: concatBytes(message, new Uint8Array(trailerLength)) },
    { what: 'nothing at all', bytes: new Uint8Array() },
  ])('has a trailer of its own: there is none with $what', ({ bytes }) => {
    expect(splitTrailer(bytes, 4)).toEqual({ message: bytes, isSealed: false });
  });

  it('may be of version 2, whose eight bytes of authentication come before', () => {
    const version2 = fromHex('210ac802000192edc0000201c00002020000000000000000');
    expect(splitTrailer(sealAdvert(version2, path, stamp, hmac), 4)).toEqual({ message: version2, isSealed: true });
  });
});

describe('a challenge', () => {
  const challenge = encodeChallenge({ version: 3, vrid: 10, keyId: 1, question: nonce(5) }, path, hmac);

  it('is written with type 15, which no receiver of adverts knows', () => {
    expect(toHex(challenge.subarray(0, 16))).toBe(`3f0a010000000000${'05'.repeat(8)}`);
    expect(challenge).toHaveLength(32);
    expect(decodeAdvert(challenge, path)).toEqual({ ok: false, reason: 'type' });
  });

  it('is read back', () => {
    expect(isChallenge(challenge)).toBe(true);
    expect(challengeOf(challenge)).toEqual({ vrid: 10, question: nonce(5) });
    expect(checkChallenge(challenge, path, hmac)).toEqual({ ok: true, value: undefined });
  });

  it('comes from who knows the key, or is none', () => {
    expect(checkChallenge(challenge, path, hmacOf({ 1: 'other' }))).toEqual({ ok: false, reason: 'auth-mac' });
    expect(checkChallenge(challenge, path, hmacOf({ 2: 'key' }))).toEqual({ ok: false, reason: 'auth-key' });
    expect(isChallenge(message)).toBe(false);
    expect(isChallenge(challenge.subarray(1))).toBe(false);
  });
});
