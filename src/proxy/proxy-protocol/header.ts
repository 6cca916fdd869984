/** What a PROXY protocol header says, in either version (haproxy.org: doc/proxy-protocol.txt, sections 2.1 and 2.2). */
import type { ClientAddresses } from '../socket-address.ts';

export type ProxyVersion = 'v1' | 'v2';

export type ProxyHeader = {
  /** Bytes that belong to the header; what follows is the client's. */
  readonly length: number;
  /** Undefined: the connection is the sender's own, or of a kind that it does not tell (LOCAL, UNKNOWN, UNSPEC). */
  readonly addresses: ClientAddresses | undefined;
};

export type ProxyHeaderFault =
  /** What came does not begin as a header does. */
  | 'proxy-signature'
  /** Version 1: not a line as it should be, or none within its length. */
  | 'proxy-line'
  /** Version 1: an address that is none, or of the other family, or a port that is none. */
  | 'proxy-address'
  | 'proxy-version'
  | 'proxy-command'
  | 'proxy-family'
  /** Version 2: too short for its addresses, or longer than this node takes. */
  | 'proxy-length'
  /** Version 2: the TLVs do not end where the header does. */
  | 'proxy-tlv'
  | 'proxy-checksum';

export type ProxyHeaderReading =
  | { readonly kind: 'read'; readonly header: ProxyHeader }
  /** Nothing more can be said before there are so many bytes, counted from the first one. */
  | { readonly kind: 'incomplete'; readonly bytesNeeded: number }
  | { readonly kind: 'refused'; readonly reason: ProxyHeaderFault };

export function refused(reason: ProxyHeaderFault): ProxyHeaderReading {
  return { kind: 'refused', reason };
}

export function incomplete(bytesNeeded: number): ProxyHeaderReading {
  return { kind: 'incomplete', bytesNeeded };
}
