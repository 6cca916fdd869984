/** What every `Transport` does; played with the fake among the unit tests, with the raw socket in the lab. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  decodeIpv4Packet,
  decodeIpv6Packet,
  encodeVrrpIpv4Packet,
  encodeVrrpIpv6Packet,
  vrrpGroupOf,
} from '../../../../src/vrrp/index.ts';
import type { Transport } from '../../../../src/vrrp/io/index.ts';

/** Two started transports on one LAN. */
export type TransportPair = {
  readonly a: Transport;
  readonly b: Transport;
  readonly addressA: Uint8Array;
  readonly addressB: Uint8Array;
  /** Lets time pass until it is so. */
  readonly until: (condition: () => boolean) => Promise<void>;
  /** Whatever `a` sends is refused with EPERM from now on. */
  readonly refuseSends: () => void;
  readonly close: () => Promise<void>;
};

export function describeTransport(name: string, open: () => Promise<TransportPair>): void {
  describe(`${name} as a transport`, () => {
    let pair: TransportPair;
    let receivedByA: string[];
    let receivedByB: string[];

    beforeEach(async () => {
      pair = await open();
      receivedByA = collect(pair.a);
      receivedByB = collect(pair.b);
    });

    afterEach(() => pair.close());

    const multicastFromA = (text: string) => send(pair.a, pair.addressA, vrrpGroupOf(pair.addressA), text);
    const multicastFromB = (text: string) => send(pair.b, pair.addressB, vrrpGroupOf(pair.addressB), text);

    it('carries multicast to the other, with what routers look at in the header', async () => {
      const packets: Uint8Array[] = [];
      pair.b.subscribe((packet) => packets.push(packet));
      expect(multicastFromA('hello')).toEqual({ ok: true, value: undefined });
      await pair.until(() => packets.length > 0);
      const [packet = new Uint8Array()] = packets;
      expect(decodePacket(packet)).toEqual({
        ok: true,
        value: {
          ttl: 255,
          protocol: 112,
          source: pair.addressA,
          destination: vrrpGroupOf(pair.addressA),
          payload: new TextEncoder().encode('hello'),
        },
      });
    });

    it('does not bring multicast back to its sender', async () => {
      multicastFromA('own');
      await pair.until(() => receivedByB.length === 1);
      multicastFromB('other');
      await pair.until(() => receivedByA.length > 0);
      expect(receivedByA).toEqual(['other']);
    });

    it('carries unicast to the one it is for', async () => {
      send(pair.a, pair.addressA, pair.addressB, 'for b');
      await pair.until(() => receivedByB.length > 0);
      expect(receivedByB).toEqual(['for b']);
    });

    it('keeps order, and gives every packet bytes of its own', async () => {
      const packets: Uint8Array[] = [];
      pair.b.subscribe((packet) => packets.push(packet));
      for (const text of ['one', 'two', 'three']) multicastFromA(text);
      await pair.until(() => packets.length === 3);
      expect(packets.map(textOf)).toEqual(['one', 'two', 'three']);
    });

    it('tells all subscribers, until they end it', async () => {
      const early: string[] = [];
      const end = pair.b.subscribe((packet) => early.push(textOf(packet)));
      multicastFromA('one');
      await pair.until(() => receivedByB.length === 1);
      end();
      multicastFromA('two');
      await pair.until(() => receivedByB.length === 2);
      expect(early).toEqual(['one']);
    });

    it('says why a packet did not leave', () => {
      pair.refuseSends();
      expect(multicastFromA('refused')).toEqual({ ok: false, reason: 'EPERM' });
    });

    it('neither sends nor receives once it is stopped', async () => {
      await pair.b.stop();
      multicastFromA('too late');
      expect(multicastFromB('too late')).toEqual({ ok: false, reason: 'stopped' });
      await pair.b.start();
      multicastFromA('again');
      await pair.until(() => receivedByB.length > 0);
      expect(receivedByB).toEqual(['again']);
      expect(receivedByA).toEqual([]);
    });
  });
}

function send(
  from: Transport,
  source: Uint8Array,
  destination: Uint8Array,
  text: string,
): ReturnType<Transport['send']> {
  const encode = source.length === 4 ? encodeVrrpIpv4Packet : encodeVrrpIpv6Packet;
  return from.send(encode(source, destination, new TextEncoder().encode(text)), destination);
}

function decodePacket(packet: Uint8Array): ReturnType<typeof decodeIpv4Packet> {
  return (packet[0] ?? 0) >> 4 === 4 ? decodeIpv4Packet(packet) : decodeIpv6Packet(packet);
}

function collect(transport: Transport): string[] {
  const texts: string[] = [];
  transport.subscribe((packet) => texts.push(textOf(packet)));
  return texts;
}

function textOf(packet: Uint8Array): string {
  const decoded = decodePacket(packet);
  return decoded.ok ? new TextDecoder().decode(decoded.value.payload) : decoded.reason;
}
