/** Where one end of a TCP connection is. */
export type SocketAddress = {
  /** 4 or 16 bytes. */
  readonly ip: Uint8Array;
  readonly port: number;
};

/** Both ends of a client's connection: the client itself, and what it connected to. */
export type ClientAddresses = { readonly source: SocketAddress; readonly destination: SocketAddress };

const mappedPrefix = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/**
 * The IPv4 address behind an IPv4-mapped IPv6 one (RFC 4291, 2.5.5.2), any other unchanged: a client must not get
 * around a rule for its address by being written in another way.
 */
export function unmapped(ip: Uint8Array): Uint8Array {
  const isMapped = ip.length === 16 && mappedPrefix.every((byte, index) => ip[index] === byte);
  return isMapped ? ip.subarray(mappedPrefix.length) : ip;
}

/** The 16 bytes of an address, IPv4 as IPv4-mapped. */
export function mapped(ip: Uint8Array): Uint8Array {
  if (ip.length === 16) return ip;
  const bytes = new Uint8Array(16);
  bytes.set(mappedPrefix);
  bytes.set(ip, mappedPrefix.length);
  return bytes;
}
