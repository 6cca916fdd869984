/**
 * Sends adverts that no router of the pair would send: forge.ts KIND SOURCE VRID ADDRESS [COUNT [DESTINATION]], by
 * default to the multicast group. Those without a fault are what anybody on the LAN can send to a pair without `hmac`:
 * a higher priority, the owner's, or a goodbye. The others have the one fault that their kind says; all that have a
 * TTL below 255 have passed a router, as everything must that comes from elsewhere.
 */

import { assert, concatBytes, internetChecksum, parseIp, viewOf } from '../../src/base/index.ts';
import { encodeVrrpIpv4Packet, vrrpGroupIpv4 } from '../../src/vrrp/index.ts';
import type { AdvertPath, DropReason } from '../../src/vrrp/index.ts';
import { RawTransport } from '../../src/vrrp/io/index.ts';

type Parts = {
  readonly ttl: number;
  readonly priority: number;
  readonly version: number;
  readonly type: number;
  readonly vrid: number;
  readonly addressCount: number;
  /** The two bytes of version 3's interval, or of version 2's authentication type and interval. */
  readonly interval: number;
  readonly trailerBytes: number;
  readonly checksumError: number;
  readonly lengthMax: number;
};

type Forgery = {
  /** Why a router drops it; undefined: it is believed. */
  readonly reason: DropReason | undefined;
  readonly fault: Partial<Parts>;
};

export const forgeries = {
  genuine: { reason: undefined, fault: {} },
  owner: { reason: undefined, fault: { priority: 255 } },
  goodbye: { reason: undefined, fault: { priority: 0 } },
  'ttl-254': { reason: 'ttl', fault: { ttl: 254 } },
  'ttl-254-owner': { reason: 'ttl', fault: { ttl: 254, priority: 255 } },
  'ttl-254-goodbye': { reason: 'ttl', fault: { ttl: 254, priority: 0 } },
  'wrong-checksum': { reason: 'checksum', fault: { checksumError: 1 } },
  'other-vrid': { reason: 'vrid', fault: { vrid: 250 } },
  'version-2': { reason: 'version-mismatch', fault: { version: 2, interval: 1, trailerBytes: 8 } },
  'version-4': { reason: 'version', fault: { version: 4 } },
  'zero-interval': { reason: 'interval-zero', fault: { interval: 0 } },
  truncated: { reason: 'length', fault: { lengthMax: 7 } },
  'no-address': { reason: 'address-count', fault: { addressCount: 0 } },
  'other-type': { reason: 'type', fault: { type: 2 } },
} as const satisfies Readonly<Record<string, Forgery>>;
export type ForgeryKind = keyof typeof forgeries;

async function main(): Promise<void> {
  const [kind = '', source = '', vrid = '', address = '', count = '1', to] = process.argv.slice(2);
  if (!isKind(kind)) throw new Error(`KIND is one of ${Object.keys(forgeries).join(', ')}`);
  const transport = new RawTransport({ interfaceName: 'lan0', isMulticast: true });
  await transport.start();
  const destination = to === undefined ? vrrpGroupIpv4 : bytesOf(to);
  const packet = forge(kind, { source: bytesOf(source), destination }, Number(vrid), bytesOf(address));
  for (let i = 0; i < Number(count); i++) {
    const sent = transport.send(packet, destination);
    if (!sent.ok) throw new Error(`not sent: ${sent.reason}`);
  }
  await transport.stop();
}

function forge(kind: ForgeryKind, path: AdvertPath, vrid: number, address: Uint8Array): Uint8Array {
  const genuine: Parts = {
    ...{ ttl: 255, priority: 254, version: 3, type: 1, vrid, addressCount: 1, interval: 10 },
    ...{ trailerBytes: 0, checksumError: 0, lengthMax: Infinity },
  };
  const parts = { ...genuine, ...forgeries[kind].fault };
  const packet = encodeVrrpIpv4Packet(path.source, path.destination, messageOf(parts, address));
  viewOf(packet).setUint8(8, parts.ttl);
  return packet;
}

/** See src/vrrp/advert.ts for the layout. The checksum covers the message alone, which both versions may do. */
function messageOf(parts: Parts, address: Uint8Array): Uint8Array {
  const message = concatBytes(new Uint8Array(8), address, new Uint8Array(parts.trailerBytes));
  const view = viewOf(message);
  view.setUint8(0, (parts.version << 4) | parts.type);
  view.setUint8(1, parts.vrid);
  view.setUint8(2, parts.priority);
  view.setUint8(3, parts.addressCount);
  view.setUint16(4, parts.interval);
  view.setUint16(6, internetChecksum(message) ^ parts.checksumError);
  return message.subarray(0, parts.lengthMax);
}

function isKind(text: string): text is ForgeryKind {
  return text in forgeries;
}

function bytesOf(address: string): Uint8Array {
  const bytes = parseIp(address);
  assert(bytes !== undefined, `${address} is an address`);
  return bytes;
}

if (import.meta.main) await main();
