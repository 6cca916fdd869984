import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../src/runtime/index.ts';
import { encodeVrrpIpv4Packet, vrrpGroupIpv4 } from '../../../../src/vrrp/index.ts';
import { MemoryLan } from '../../../../src/vrrp/io/index.ts';
import type { TransportPair } from './transport-contract.ts';
import { describeTransport } from './transport-contract.ts';

const addressA = Uint8Array.of(192, 0, 2, 251);
const addressB = Uint8Array.of(192, 0, 2, 252);

async function openPair(addressA: Uint8Array, addressB: Uint8Array): Promise<TransportPair> {
  const clock = new ManualClock();
  const lan = new MemoryLan({ delayMs: 0.1 }, { clock });
  const a = lan.port(addressA);
  const b = lan.port(addressB);
  await a.start();
  await b.start();
  return {
    a,
    b,
    addressA,
    addressB,
    until(condition) {
      for (let round = 0; round < 100 && !condition(); round++) clock.advance(0.1);
      expect(condition()).toBe(true);
      return Promise.resolve();
    },
    refuseSends: () => a.failSends('EPERM'),
    close: () => Promise.resolve(),
  };
}

describeTransport('the LAN in memory', () => openPair(addressA, addressB));

describeTransport('the LAN in memory, IPv6,', () => {
  const linkLocal = (last: number): Uint8Array => Uint8Array.of(0xfe, 0x80, ...new Uint8Array(13), last);
  return openPair(linkLocal(1), linkLocal(2));
});

describe('the LAN in memory', () => {
  it('delivers after its delay, and not to who is deaf', async () => {
    const clock = new ManualClock();
    const lan = new MemoryLan({ delayMs: 5 }, { clock });
    const [a, b, c] = [addressA, addressB, Uint8Array.of(192, 0, 2, 253)].map((address) => lan.port(address));
    const heard: string[] = [];
    b?.subscribe(() => heard.push(`b at ${clock.nowMs()}`));
    c?.subscribe(() => heard.push(`c at ${clock.nowMs()}`));
    for (const port of [a, b, c]) await port?.start();
    c?.setDeaf(true);
    a?.send(encodeVrrpIpv4Packet(addressA, vrrpGroupIpv4, new Uint8Array(8)), vrrpGroupIpv4);
    clock.advance(4);
    expect(heard).toEqual([]);
    clock.advance(1);
    expect(heard).toEqual(['b at 5']);
  });
});
