/**
 * TLS 1.2 with a pre-shared key and an ephemeral key exchange (RFC 5489, cipher of RFC 7905): both nodes prove that
 * they know the key, and who learns it later cannot read what was recorded. TLS 1.3 in OpenSSL offers external keys
 * to Node in no usable way.
 */

import { constants } from 'node:crypto';
import type { ConnectionOptions, TlsOptions } from 'node:tls';

/** From TCP's accept, or from the begin of the connect, to the end of the TLS handshake. */
export const handshakeTimeoutMs = 2_000;

const common = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  // No tickets: a resumed session would have no forward secrecy of its own.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;

/** Who knows the key may speak; whether it is the right node is said, and refused with a reason, in its hello. */
export function serverPskOptions(key: Uint8Array): TlsOptions {
  return { ...common, handshakeTimeout: handshakeTimeoutMs, pskCallback: () => key };
}

export function clientPskOptions(key: Uint8Array, identity: string): ConnectionOptions {
  return {
    ...common,
    pskCallback: () => ({ psk: key, identity }),
    // There is no certificate whose name could be checked.
    checkServerIdentity: () => undefined,
  };
}

/**
 * Why a handshake failed. `key`: the two nodes have different keys, which shows as a record that cannot be decrypted.
 * Otherwise the error's code, "ECONNREFUSED" for example.
 */
export function handshakeFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code.startsWith('ERR_SSL') && /BAD_RECORD_MAC|DECRYPT/.test(code)) return 'key';
  return code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'handshake-timeout' : code;
}
