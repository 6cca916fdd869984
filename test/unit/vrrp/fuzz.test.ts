/**
 * Every decoder with a hundred thousand inputs that are nearly right: real messages, cut, lengthened, and with some
 * bytes changed, most of them with the checksum mended so that they get past it. A failure prints fast-check's seed.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, internetChecksum, viewOf } from '../../../src/base/index.ts';
import type { Random } from '../../../src/runtime/index.ts';
import { seededRandom } from '../../../src/runtime/index.ts';
import type { Advert, AdvertPath, RouterView } from '../../../src/vrrp/index.ts';
import {
  acceptPacket,
  decodeAdvert,
  decodeIpv4Packet,
  decodeIpv6Packet,
  dropReasons,
  encodeAdvert,
  encodeChallenge,
  encodeVrrpIpv4Packet,
  encodeVrrpIpv6Packet,
  sealAdvert,
  vrrpGroupOf,
} from '../../../src/vrrp/index.ts';
import { challengeOf, isChallenge, openSeal, splitTrailer } from '../../../src/vrrp/advert-trailer.ts';
import { findLinkLocal } from '../../../src/vrrp/io/index.ts';
import { nonce, stampOf } from './hmac.ts';

const runs = 1000;
const inputsPerRun = 100;

/** Not a real one, which would take the time that the inputs should have: the right MAC is all zeros. */
const quickHmac = (keyId: number): Uint8Array | undefined => (keyId < 128 ? new Uint8Array(32) : undefined);

const source4 = Uint8Array.of(192, 0, 2, 252);
const source6 = Uint8Array.of(0xfe, 0x80, ...new Uint8Array(13), 2);
const addresses4 = [Uint8Array.of(192, 0, 2, 1), Uint8Array.of(192, 0, 2, 2)];
const addresses6 = [Uint8Array.of(0xfe, 0x80, ...new Uint8Array(13), 1)];
const version3: Advert = { version: 3, vrid: 10, priority: 200, advertIntervalMs: 1000, addresses: addresses4 };
const adverts: readonly Advert[] = [
  version3,
  { ...version3, version: 2 },
  { ...version3, version: 2, password: new Uint8Array(8).fill(97) },
  { ...version3, addresses: addresses6 },
];
const messages = adverts.flatMap((advert) => {
  const path = pathOf(advert.addresses === addresses6 ? source6 : source4);
  const message = encodeAdvert(advert, path, 'message-only');
  const { version } = advert;
  return [
    { message, path },
    { message: sealAdvert(message, path, stampOf(), quickHmac), path },
    { message: encodeChallenge({ version, vrid: 10, keyId: 1, question: nonce(3) }, path, quickHmac), path },
  ];
});
const packets = messages.map(({ message, path }) =>
  path.source.length === 4
    ? encodeVrrpIpv4Packet(path.source, path.destination, message)
    : encodeVrrpIpv6Packet(path.source, path.destination, message),
);

describe('no bytes break', () => {
  it('the IPv4 header', () => {
    fuzz(damagedPacket, (bytes) => {
      const decoded = decodeIpv4Packet(bytes);
      if (!decoded.ok) return decoded.reason;
      const { payload, source, destination } = decoded.value;
      const toldLength = viewOf(bytes).getUint16(2) - ((bytes[0] ?? 0) & 0x0f) * 4;
      check(payload.length === toldLength && payload.length <= bytes.length - 20, 'the payload is all in the packet');
      check(source.length === 4 && destination.length === 4, 'addresses have four bytes');
      return 'ok';
    });
  });

  it('the IPv6 header', () => {
    fuzz(damagedPacket, (bytes) => {
      const decoded = decodeIpv6Packet(bytes);
      if (!decoded.ok) return decoded.reason;
      const { payload, source, destination } = decoded.value;
      const toldLength = viewOf(bytes).getUint16(4);
      check(payload.length === toldLength && payload.length <= bytes.length - 40, 'the payload is all in the packet');
      check(source.length === 16 && destination.length === 16, 'addresses have sixteen bytes');
      return 'ok';
    });
  });

  it.each([
    { what: 'version 2', version: 2, family: 4 },
    { what: 'version 3 over IPv4', version: 3, family: 4 },
    { what: 'version 3 over IPv6', version: 3, family: 16 },
  ])('the advert of $what', ({ version, family }) => {
    const ofKind = messages.filter(
      ({ message, path }) => (message[0] ?? 0) >> 4 === version && path.source.length === family,
    );
    const met = fuzzMessages((message, path) => {
      const decoded = decodeAdvert(message, path);
      if (!decoded.ok) return decoded.reason;
      const { advert, checksumForm } = decoded.value;
      const again = encodeAdvert(advert, path, checksumForm);
      check(again.length === message.length, 'what is read has been written with the same length');
      check(advert.advertIntervalMs > 0 && advert.addresses.length === message[3], 'an interval, and its addresses');
      return `version ${advert.version}`;
    }, ofKind);
    for (const outcome of [`version ${version}`, 'interval-zero', 'address-count', 'length', 'checksum']) {
      expect(met).toContain(outcome);
    }
  });

  it('the seal', () => {
    fuzzMessages((message, path) => {
      const split = splitTrailer(message, path.source.length);
      if (!split.isSealed) return 'none';
      check(split.message.length === message.length - 48, 'the trailer has 48 bytes');
      const opened = openSeal(message, path, quickHmac);
      return opened.ok ? `life of ${opened.value.life.length}, answer of ${opened.value.answer.length}` : opened.reason;
    });
  });

  it('the challenge', () => {
    fuzzMessages((message) => {
      if (!isChallenge(message)) return 'none';
      const { vrid, question } = challengeOf(message);
      check(vrid <= 255 && question.length === 8, 'a VRID and a question');
      return 'ok';
    });
  });

  it('the acceptance of packets, whatever is configured', () => {
    const common = { vrid: 10, advertIntervalMs: 1000, unicastPeer: undefined, authentication: undefined };
    const view4: RouterView = {
      ...common,
      version: 3,
      ownAddress: Uint8Array.of(192, 0, 2, 251),
      addresses: addresses4,
    };
    const authentication = { type: 'hmac-sha256', hmac: quickHmac, isRequired: true } as const;
    const views: readonly RouterView[] = [
      view4,
      { ...view4, authentication },
      { ...view4, version: 2 },
      { ...view4, version: 2, authentication: { type: 'simple-text', password: new Uint8Array(8).fill(97) } },
      { ...view4, ownAddress: Uint8Array.of(0xfe, 0x80, ...new Uint8Array(13), 3), addresses: addresses6 },
    ];
    const met = fuzz(damagedPacket, (bytes, random) => {
      const accepted = acceptPacket(pick(views, random), bytes);
      if (accepted.ok) return accepted.value.type;
      check(dropReasons.includes(accepted.reason), 'a reason that is counted');
      return accepted.reason;
    });
    // Behind each of these lies another check, which would not be reached otherwise.
    for (const outcome of ['advert', 'challenge', 'checksum', 'auth-mac', 'password', 'interval-mismatch', 'vrid']) {
      expect(met).toContain(outcome);
    }
  });

  it("the kernel's table of addresses", () => {
    const line = new TextEncoder().encode('fe80000000000000e8184dfffe485f2b 02 40 20 80     eth0\n');
    const lines = (random: Random): Uint8Array => damaged(pick([line, concatBytes(line, line)], random), random);
    fuzz(lines, (bytes) => {
      const found = findLinkLocal(new TextDecoder('latin1').decode(bytes), 'eth0', []);
      check(found === undefined || found.length === 16, 'an address has sixteen bytes');
      return found === undefined ? 'none' : 'ok';
    });
  });
});

/** Returns what came out, each once: more than one thing, or the inputs were no good. */
function fuzz(
  generate: (random: Random) => Uint8Array,
  decode: (bytes: Uint8Array, random: Random) => string,
): ReadonlySet<string> {
  const met = new Set<string>();
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seededRandom(seed);
      for (let input = 0; input < inputsPerRun; input++) met.add(decode(generate(random), random));
    }),
    { numRuns: runs },
  );
  expect(met.size).toBeGreaterThan(1);
  return met;
}

function fuzzMessages(
  decode: (message: Uint8Array, path: AdvertPath) => string,
  from: typeof messages = messages,
): ReadonlySet<string> {
  const paths = new WeakMap<Uint8Array, AdvertPath>();
  const generate = (random: Random): Uint8Array => {
    const { message, path } = pick(from, random);
    const bytes = damaged(message, random);
    paths.set(bytes, path);
    if (random.next() < 0.8) mendChecksum(bytes, path);
    return bytes;
  };
  return fuzz(generate, (bytes) => decode(bytes, paths.get(bytes) ?? pathOf(source4)));
}

function damagedPacket(random: Random): Uint8Array {
  const packet = damaged(pick(packets, random), random);
  const isIpv6 = (packet[0] ?? 0) >> 4 === 6;
  const headerLength = isIpv6 ? 40 : ((packet[0] ?? 0) & 0x0f) * 4;
  if (random.next() < 0.8) mendChecksum(packet.subarray(headerLength), pathOf(isIpv6 ? source6 : source4));
  return packet;
}

function damaged(whole: Uint8Array, random: Random): Uint8Array {
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const kind = random.next();
  const cut = kind < 0.15 ? whole.slice(0, below(whole.length)) : whole.slice();
  const bytes =
    kind > 0.9
      ? concatBytes(
          cut,
          new Uint8Array(below(64)).map(() => below(256)),
        )
      : cut;
  for (let change = below(4); change > 0 && bytes.length > 0; change--) {
    // Where lengths and counts stand, zero means more than any other value.
    bytes[below(bytes.length)] = random.next() < 0.3 ? 0 : below(256);
  }
  return bytes;
}

/** Over the advert alone where a seal follows; IPv4 message-only. Challenges have none. */
function mendChecksum(bytes: Uint8Array, path: AdvertPath): void {
  if (bytes.length < 8 || ((bytes[0] ?? 0) & 0x0f) === 15) return;
  const { message } = splitTrailer(bytes, path.source.length);
  const pseudoHeader = concatBytes(path.source, path.destination, Uint8Array.of(0, 0, 0, message.length, 0, 0, 0, 112));
  viewOf(message).setUint16(6, 0);
  const sum = path.source.length === 4 ? internetChecksum(message) : internetChecksum(pseudoHeader, message);
  viewOf(message).setUint16(6, sum);
}

function pathOf(source: Uint8Array): AdvertPath {
  return { source, destination: vrrpGroupOf(source) };
}

function pick<Item>(items: readonly Item[], random: Random): Item {
  const item = items[Math.floor(random.next() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Without the cost of an assertion library in each of the many calls. */
function check(condition: boolean, claim: string): void {
  if (!condition) throw new Error(`not so: ${claim}`);
}
