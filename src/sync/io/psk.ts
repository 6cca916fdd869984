/**
 * TLS 1.2 with a pre-shared key and an ephemeral key exchange (RFC 5489, cipher of RFC 7905): both nodes prove that
 * they know the key, and who learns it later cannot read what was recorded. TLS 1.3 in OpenSSL offers external keys
 * to Node in no usable way.
 *
 * A node may have several keys, so that one can replace another while both nodes run. The listener says which it has
 * (the identity hint), the dialer offers the first of its own among them. On the wire keys go by ids.
 */

import { constants, createHmac } from 'node:crypto';
import type { ConnectionOptions, TlsOptions } from 'node:tls';

/** From TCP's accept, or from the begin of the connect, to the end of the TLS handshake. */
export const handshakeTimeoutMs = 2_000;

/** The keys that a node has, at least one; the first is the one that it would rather use. */
export type SyncKeys = readonly [Uint8Array, ...Uint8Array[]];

const common = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  // No tickets: a resumed session would have no forward secrecy of its own.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;

const idPrefix = 'key:';
const idPattern = /^key:[0-9a-f]{16}$/;

/**
 * What a key is called on the wire and by the two operators: the same on both nodes, and of no help in finding the
 * key, which has at least 256 bits if it was made as it should be.
 */
export function keyId(key: Uint8Array): string {
  return idPrefix + createHmac('sha256', key).update('tandem sync key id').digest('hex').slice(0, 16);
}

/** Who knows a key may speak; whether it is the right node is said, and refused with a reason, in its hello. */
export function serverPskOptions(keys: SyncKeys): TlsOptions {
  return {
    ...common,
    handshakeTimeout: handshakeTimeoutMs,
    pskIdentityHint: keys.map(keyId).join(' '),
    pskCallback: (_socket, identity) => keyNamed(identity, keys) ?? null,
  };
}

export function clientPskOptions(keys: SyncKeys): ConnectionOptions {
  return {
    ...common,
    pskCallback: (hint) => {
      const key = keyOffered(hint, keys);
      return { psk: key, identity: keyId(key) };
    },
    // There is no certificate whose name could be checked.
    checkServerIdentity: () => undefined,
  };
}

/**
 * Why a handshake failed. `key`: the two nodes have no key in common, which shows as an identity that the listener does
 * not know, or as a record that cannot be decrypted. Otherwise the error's code, "ECONNREFUSED" for example.
 */
export function handshakeFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code.startsWith('ERR_SSL') && /BAD_RECORD_MAC|DECRYPT|PSK_IDENTITY/.test(code)) return 'key';
  return code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'handshake-timeout' : code;
}

/** A node of an earlier version, which has one key, gives its own name as the identity. */
function keyNamed(identity: string, keys: SyncKeys): Uint8Array | undefined {
  return idPattern.test(identity) ? keys.find((key) => keyId(key) === identity) : keys[0];
}

/** The first one where the listener says nothing, or has none of them: it will refuse it, and both will say why. */
function keyOffered(hint: string | null, keys: SyncKeys): Uint8Array {
  const ids = (hint ?? '').split(' ');
  return keys.find((key) => ids.includes(keyId(key))) ?? keys[0];
}
