/** What tests of sealed adverts share: real HMAC-SHA256 under keys given as text. */
import { createHmac } from 'node:crypto';
import type { AdvertStamp, Hmac } from '../../../src/vrrp/index.ts';
import { nonceLength } from '../../../src/vrrp/index.ts';

export function hmacOf(keys: Readonly<Record<number, string>>): Hmac {
  return (keyId, parts) => {
    const key = keys[keyId];
    if (key === undefined) return undefined;
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  };
}

export function nonce(value: number): Uint8Array {
  return new Uint8Array(nonceLength).fill(value);
}

export function stampOf(changes: Partial<AdvertStamp> = {}): AdvertStamp {
  return { keyId: 1, life: nonce(1), counter: 1n, answer: nonce(0), ...changes };
}
