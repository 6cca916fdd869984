import { assert, fail, formatIp, ok, parseIp, toHex, viewOf } from '../base/index.ts';
import type { Result } from '../base/index.ts';

/*
 * An ARP packet for IPv4 over Ethernet (RFC 826), as it goes over the wire:
 *
 *   0                   6                   12      14
 *  +-------------------+-------------------+-------+
 *  | destination       | source            | 08 06 |                              Ethernet
 *  +-------+-------+---+---+-------+-------+-------+
 *  | 00 01 | 08 00 | 06 04 | op    |                                              at 14: ARP
 *  +-------+-------+-------+-------+---------------+
 *  | sender MAC (SHA)              | sender IP (SPA)                              at 22
 *  +-------------------------------+---------------+
 *  | target MAC (THA)              | target IP (TPA)                              at 32, 42 bytes in all
 *  +-------------------------------+---------------+
 */
export type ArpPacket = {
  readonly operation: 'request' | 'reply';
  readonly destinationMac: string;
  readonly sourceMac: string;
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetMac: string;
  readonly targetIp: string;
};

export type ArpRejection = 'length' | 'etherType' | 'hardwareType' | 'protocolType' | 'operation';

const frameBytes = 42;
const etherTypeArp = 0x0806;
const hardwareTypeEthernet = 1;
const protocolTypeIpv4 = 0x0800;
const operations = { request: 1, reply: 2 } as const;
const broadcastMac = new Uint8Array(6).fill(0xff);

/**
 * "VIP is at `mac`", as a broadcast request: sender and target are the VIP (RFC 5227, 3). Some hosts and switches learn
 * only from requests, others only from replies: both are sent.
 */
export function encodeGratuitousRequest(vip: string, mac: Uint8Array): Uint8Array {
  return encode('request', vip, mac, broadcastMac);
}

/** The same as a broadcast reply; there the target's hardware address repeats the sender's (RFC 5944, 4.6). */
export function encodeGratuitousReply(vip: string, mac: Uint8Array): Uint8Array {
  return encode('reply', vip, mac, mac);
}

/** Reads a frame; what follows the packet is the padding of a short Ethernet frame. */
export function decodeArp(frame: Uint8Array): Result<ArpPacket, ArpRejection> {
  if (frame.length < frameBytes) return fail('length');
  const view = viewOf(frame);
  if (view.getUint16(12) !== etherTypeArp) return fail('etherType');
  if (view.getUint16(14) !== hardwareTypeEthernet || view.getUint8(18) !== 6) return fail('hardwareType');
  if (view.getUint16(16) !== protocolTypeIpv4 || view.getUint8(19) !== 4) return fail('protocolType');
  const operation = operationOf(view.getUint16(20));
  if (operation === undefined) return fail('operation');
  return ok({
    operation,
    destinationMac: formatMac(frame.subarray(0, 6)),
    sourceMac: formatMac(frame.subarray(6, 12)),
    senderMac: formatMac(frame.subarray(22, 28)),
    senderIp: formatIp(frame.subarray(28, 32)),
    targetMac: formatMac(frame.subarray(32, 38)),
    targetIp: formatIp(frame.subarray(38, 42)),
  });
}

/** "02:00:5e:10:00:01" */
export function formatMac(mac: Uint8Array): string {
  return toHex(mac).replace(/..(?=.)/g, '$&:');
}

function encode(operation: ArpPacket['operation'], vip: string, mac: Uint8Array, targetMac: Uint8Array): Uint8Array {
  const address = parseIp(vip);
  assert(address?.length === 4, 'ARP is about an IPv4 address');
  assert(mac.length === 6, 'an Ethernet address has 6 bytes');
  const frame = new Uint8Array(frameBytes);
  const view = viewOf(frame);
  frame.set(broadcastMac, 0);
  frame.set(mac, 6);
  view.setUint16(12, etherTypeArp);
  view.setUint16(14, hardwareTypeEthernet);
  view.setUint16(16, protocolTypeIpv4);
  frame.set([6, 4], 18);
  view.setUint16(20, operations[operation]);
  frame.set(mac, 22);
  frame.set(address, 28);
  frame.set(targetMac, 32);
  frame.set(address, 38);
  return frame;
}

function operationOf(code: number): ArpPacket['operation'] | undefined {
  if (code === operations.request) return 'request';
  return code === operations.reply ? 'reply' : undefined;
}
