/** The authentication that a virtual router is configured with, turned into what packets are judged by. */
import { createHmac } from 'node:crypto';
import { assert } from '../../base/index.ts';
import type { AuthenticationView, Hmac } from '../index.ts';
import { authDataLength } from '../index.ts';

export type RouterAuthentication =
  /** Version 2 alone: 1..8 bytes in UTF-8, readable by anyone on the LAN. For the time of a migration. */
  { readonly type: 'simple-text'; readonly password: string } | HmacAuthentication;

export type HmacAuthentication = {
  readonly type: 'hmac-sha256';
  /** By key id, 1..255. All of them are believed, so that keys are changed without an interruption. */
  readonly keys: ReadonlyMap<number, Uint8Array>;
  /** The one of them that our own adverts are sealed with. */
  readonly sendKeyId: number;
  readonly mode: HmacMode;
};

/**
 * How far a pair has come with its seals. `enforce`: adverts are sealed, and nothing else is believed. `permissive`:
 * sealed ones are sent, and others are believed, too. `receive-only`: both are believed, and none is sealed.
 */
export type HmacMode = 'enforce' | 'permissive' | 'receive-only';

export function authenticationView(authentication: RouterAuthentication): AuthenticationView {
  if (authentication.type === 'simple-text') return { type: 'simple-text', password: passwordField(authentication) };
  const { keys, sendKeyId, mode } = authentication;
  assert(
    [...keys.keys()].every((id) => Number.isInteger(id) && id >= 1 && id <= 255),
    'key ids are 1..255',
  );
  assert(keys.has(sendKeyId), `there is a key ${sendKeyId} to send with`);
  return { type: 'hmac-sha256', hmac: hmacSha256(keys), isRequired: mode === 'enforce' };
}

function hmacSha256(keys: ReadonlyMap<number, Uint8Array>): Hmac {
  return (keyId, parts) => {
    const key = keys.get(keyId);
    if (key === undefined) return undefined;
    const hmac = createHmac('sha256', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  };
}

function passwordField({ password }: { readonly password: string }): Uint8Array {
  const bytes = new TextEncoder().encode(password);
  assert(bytes.length >= 1 && bytes.length <= authDataLength, `a password has 1..${authDataLength} bytes`);
  const field = new Uint8Array(authDataLength);
  field.set(bytes);
  return field;
}
