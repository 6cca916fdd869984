/** What every `Transport` does; played with the fake among the unit tests, with the raw socket in the lab. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeIpv4Packet, encodeVrrpIpv4Packet, vrrpGroupIpv4 } from '../../../../src/vrrp/index.ts';
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

    const multicastFromA = (text: string) => send(pair.a, pair.addressA, vrrpGroupIpv4, text);
    const multicastFromB = (text: string) => send(pair.b, pair.addressB, vrrpGroupIpv4, text);

    it('carries multicast to the other, with the header as it was given', async () => {
      const packets: Uint8Array[] = [];
      pair.b.subscribe((packet) => packets.push(packet));
      expect(multicastFromA('hello')).toEqual({ ok: true, value: undefined });
      await pair.until(() => packets.length > 0);
      const [packet = new Uint8Array()] = packets;
      const decoded = decodeIpv4Packet(packet);
      expect(decoded).toEqual({
        ok: true,
        value: {
          ttl: 255,
          protocol: 112,
          source: pair.addressA,
          destination: vrrpGroupIpv4,
          payload: new TextEncoder().encode('hello'),
        },
      });
      expect(packet[1]).toBe(0xc0);
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
  return from.send(encodeVrrpIpv4Packet(source, destination, new TextEncoder().encode(text)), destination);
}

function collect(transport: Transport): string[] {
  const texts: string[] = [];
  transport.subscribe((packet) => texts.push(textOf(packet)));
  return texts;
}

function textOf(packet: Uint8Array): string {
  const decoded = decodeIpv4Packet(packet);
  return decoded.ok ? new TextDecoder().decode(decoded.value.payload) : decoded.reason;
}
