/**
 * The first message of a TLS client, as much of it as routing needs (RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301, 3.1).
 *
 *   record     type = 22, version = 3.x, length (2), fragment
 *   handshake  type = 1, length (3), body; spread over as many records as the client likes
 *   body       version, random, session id, cipher suites, compression methods, extensions
 *
 * Values that a client makes up (GREASE, RFC 8701) and extensions that are not looked for are skipped. With Encrypted
 * Client Hello the name that stands outside is the one that counts.
 */

export type ClientHello = {
  /** In lower case and without a final dot; undefined where the client names none. */
  readonly serverName: string | undefined;
  /** What it would speak, in its order; empty where it does not say. */
  readonly alpn: readonly string[];
};

export type HelloFault =
  /** The hello of SSL 2.0, which has no room for a name. */
  | 'tls-sslv2'
  /** Not a record of a handshake, or one of an impossible length. */
  | 'tls-record'
  /** Not a ClientHello, or one that contradicts itself. */
  | 'tls-handshake'
  /** Longer than `helloBytesMax`, with its records. */
  | 'tls-length';

export type HelloReading =
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  | { readonly kind: 'not-tls' }
  /** Nothing more can be said before there are so many bytes, counted from the first one. */
  | { readonly kind: 'incomplete'; readonly bytesNeeded: number }
  | { readonly kind: 'refused'; readonly reason: HelloFault };

export const helloBytesMax = 16 * 1024;

const recordHeadBytes = 5;
const recordBytesMax = 16 * 1024;
const contentHandshake = 22;
const majorVersion = 3;
const messageHeadBytes = 4;
const messageClientHello = 1;
const extensionServerName = 0;
const extensionAlpn = 16;
const nameTypeHost = 0;
const randomBytes = 32;

type Range = { readonly start: number; readonly end: number };

/** Reads one hello that arrives piece by piece. No byte is looked at twice but those of a record that is incomplete. */
export class ClientHelloReader {
  /** Where in the stream the fragments of the message are. */
  readonly #fragments: Range[] = [];
  #collected = 0;
  #nextRecord = 0;

  /** `bytes` is all that the client has sent from the first byte on: at least one, and each time more than before. */
  read(bytes: Uint8Array): HelloReading {
    const other = this.#nextRecord === 0 ? notARecord(bytes) : undefined;
    if (other !== undefined) return other;
    for (;;) {
      const end = this.#nextRecord + recordHeadBytes;
      if (end > helloBytesMax) return refused('tls-length');
      if (bytes.length < end) return { kind: 'incomplete', bytesNeeded: end };
      const record = this.#readRecord(bytes, end);
      if (record !== undefined) return record;
      const message = this.#readMessage(bytes);
      if (message !== undefined) return message;
    }
  }

  /** Takes the record whose head ends at `start`; answers what keeps it from that. */
  #readRecord(bytes: Uint8Array, start: number): HelloReading | undefined {
    const length = uint16(bytes, start - 2);
    const isHandshake = bytes[start - recordHeadBytes] === contentHandshake && bytes[start - 4] === majorVersion;
    if (!isHandshake || length === 0 || length > recordBytesMax) return refused('tls-record');
    const end = start + length;
    if (end > helloBytesMax) return refused('tls-length');
    if (bytes.length < end) return { kind: 'incomplete', bytesNeeded: end };
    this.#fragments.push({ start, end });
    this.#collected += length;
    this.#nextRecord = end;
    return undefined;
  }

  /** The message, if it is complete; undefined asks for another record. */
  #readMessage(bytes: Uint8Array): HelloReading | undefined {
    const head = this.#gather(bytes, messageHeadBytes);
    if (head[0] !== messageClientHello) return refused('tls-handshake');
    if (head.length < messageHeadBytes) return undefined;
    const length = messageHeadBytes + (((head[1] ?? 0) << 16) | uint16(head, 2));
    if (length > helloBytesMax) return refused('tls-length');
    if (this.#collected < length) return undefined;
    const hello = readBody(new Cursor(this.#gather(bytes, length).subarray(messageHeadBytes)));
    return hello === undefined ? refused('tls-handshake') : { kind: 'hello', hello };
  }

  /** The first bytes of the message, at most `length`. */
  #gather(bytes: Uint8Array, length: number): Uint8Array {
    const [first] = this.#fragments;
    if (first !== undefined && first.end - first.start >= length) {
      return bytes.subarray(first.start, first.start + length);
    }
    const message = new Uint8Array(Math.min(length, this.#collected));
    let filled = 0;
    for (const { start, end } of this.#fragments) {
      if (filled === message.length) break;
      const part = bytes.subarray(start, Math.min(end, start + message.length - filled));
      message.set(part, filled);
      filled += part.length;
    }
    return message;
  }
}

/** What the first bytes are if not a record of TLS; undefined if they may be one. */
function notARecord(bytes: Uint8Array): HelloReading | undefined {
  const [first = 0, second, third, fourth] = bytes;
  if (first === contentHandshake) return second === undefined || second === majorVersion ? undefined : notTls;
  // SSL 2.0: a length with its highest bit set, the type of a ClientHello, version 0.2 or 3.x (RFC 5246, E.2).
  if (first < 0x80) return notTls;
  if (bytes.length < 4) return { kind: 'incomplete', bytesNeeded: 4 };
  const isSslV2 = third === messageClientHello && (fourth === majorVersion || fourth === 0);
  return isSslV2 ? refused('tls-sslv2') : notTls;
}

const notTls = { kind: 'not-tls' } as const;

function refused(reason: HelloFault): HelloReading {
  return { kind: 'refused', reason };
}

function readBody(body: Cursor): ClientHello | undefined {
  body.skip(2 + randomBytes);
  const sessionId = body.vector(1);
  const cipherSuites = body.vector(2);
  const compressionMethods = body.vector(1);
  if (body.failed || sessionId.length > 32 || cipherSuites.length < 2 || compressionMethods.length < 1)
    return undefined;
  // Before TLS 1.2 a hello may end here.
  if (body.isAtEnd) return { serverName: undefined, alpn: [] };
  const extensions = new Cursor(body.vector(2));
  if (!body.endsHere()) return undefined;
  return readExtensions(extensions);
}

function readExtensions(extensions: Cursor): ClientHello | undefined {
  let serverName: string | undefined;
  let alpn: readonly string[] | undefined;
  while (!extensions.isAtEnd) {
    const type = extensions.uint16();
    const data = new Cursor(extensions.vector(2));
    if (extensions.failed) return undefined;
    if (type === extensionServerName) {
      if (serverName !== undefined) return undefined;
      serverName = readServerName(data);
      if (serverName === undefined) return undefined;
    } else if (type === extensionAlpn) {
      if (alpn !== undefined) return undefined;
      alpn = readAlpn(data);
      if (alpn === undefined) return undefined;
    }
  }
  return { serverName, alpn: alpn ?? [] };
}

/** A list of names, of which one is a host's; other types have never been defined. */
function readServerName(data: Cursor): string | undefined {
  const list = new Cursor(data.vector(2));
  if (!data.endsHere()) return undefined;
  const type = list.byte();
  const name = list.vector(2);
  if (!list.endsHere() || type !== nameTypeHost || name.length === 0) return undefined;
  return latin1(name).toLowerCase().replace(/\.$/, '');
}

function readAlpn(data: Cursor): readonly string[] | undefined {
  const list = new Cursor(data.vector(2));
  if (!data.endsHere()) return undefined;
  const protocols: string[] = [];
  while (!list.isAtEnd) {
    const protocol = list.vector(1);
    if (list.failed || protocol.length === 0) return undefined;
    protocols.push(latin1(protocol));
  }
  return protocols.length === 0 ? undefined : protocols;
}

/** Walks through bytes; whoever has gone beyond their end has `failed`, once and for all. */
class Cursor {
  readonly #bytes: Uint8Array;
  #offset = 0;
  failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /** All was there, and there is no more. */
  endsHere(): boolean {
    return !this.failed && this.isAtEnd;
  }

  skip(count: number): void {
    this.#take(count);
  }

  byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  uint16(): number {
    return uint16(this.#take(2), 0);
  }

  /** A vector as TLS writes it: its length in one or two bytes, then its content. */
  vector(lengthBytes: 1 | 2): Uint8Array {
    return this.#take(lengthBytes === 1 ? this.byte() : this.uint16());
  }

  #take(count: number): Uint8Array {
    const part = this.#bytes.subarray(this.#offset, this.#offset + count);
    if (part.length < count) this.failed = true;
    this.#offset += count;
    return part;
  }
}

function uint16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
