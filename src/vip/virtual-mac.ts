/**
 * Virtual MAC mode: the VIPs live on an interface of their own, a macvlan with the virtual router's MAC, so that the
 * neighbours' caches never have to change. This file knows what such an interface is called, and what it needs.
 */
import { assert } from '../base/index.ts';
import type { IpFamily } from '../base/index.ts';

/** What of an interface decides about its ARP: net.ipv4.conf.INTERFACE.arp_ignore and arp_announce. */
export type ArpSettings = { readonly arpIgnore: number; readonly arpAnnounce: number };

/** The interface that carries frames, and which virtual router it does that for. */
export type VirtualInterfaceSpec = {
  readonly parentName: string;
  readonly family: IpFamily;
  /** 1..255 */
  readonly vrid: number;
};

const interfaceNameBytesMax = 15;

/** 00-00-5E-00-01-VRID for IPv4, 00-00-5E-00-02-VRID for IPv6 (RFC 9568, 7.3). */
export function virtualMac(family: IpFamily, vrid: number): Uint8Array {
  assert(Number.isInteger(vrid) && vrid >= 1 && vrid <= 255, 'a VRID is a number from 1 to 255');
  return Uint8Array.of(0x00, 0x00, 0x5e, 0x00, family === 4 ? 1 : 2, vrid);
}

/**
 * "v4-51-eth0". One VRID may be used on several interfaces, so the name tells them apart; where the parent's name does
 * not fit into the 15 bytes, a hash of it stands for its end ("v4-51-enp-1x9k2").
 */
export function virtualInterfaceName({ parentName, family, vrid }: VirtualInterfaceSpec): string {
  const start = `v${family}-${vrid}-`;
  const room = interfaceNameBytesMax - start.length;
  if (parentName.length <= room) return `${start}${parentName}`;
  const hash = `-${hashOf(parentName).toString(36).padStart(4, '0').slice(-4)}`;
  return `${start}${parentName.slice(0, room - hash.length)}${hash}`;
}

/**
 * What the parent needs while its macvlans live. arp_ignore 1: it answers for its own addresses only; otherwise it
 * would say that the VIP is at its own MAC (0 answers for every address of the host). arp_announce 2: what it asks in
 * the name of a VIP's connection it asks from its own address; otherwise whoever is asked takes the VIP to be at the
 * parent's MAC. Settings that are as strict are kept (arp_ignore 2 and 8; Linux, net/ipv4/arp.c: arp_ignore).
 */
export function parentArpSettings(present: ArpSettings): ArpSettings {
  const isStrict = [1, 2, 8].includes(present.arpIgnore);
  return { arpIgnore: isStrict ? present.arpIgnore : 1, arpAnnounce: 2 };
}

/** What the parent gets back: what it had, but for a setting that somebody has changed since. */
export function restoredArpSettings(original: ArpSettings, present: ArpSettings): ArpSettings {
  const ours = parentArpSettings(original);
  return {
    arpIgnore: present.arpIgnore === ours.arpIgnore ? original.arpIgnore : present.arpIgnore,
    arpAnnounce: present.arpAnnounce === ours.arpAnnounce ? original.arpAnnounce : present.arpAnnounce,
  };
}

/**
 * The macvlan's alias, which `ip link` shows. It keeps what the parent had before, where the kernel keeps the macvlan:
 * a life that finds one left behind knows from it what to put back.
 */
export function formatAlias({ parentName, vrid }: VirtualInterfaceSpec, original: ArpSettings): string {
  const { arpIgnore, arpAnnounce } = original;
  return `tandem: VRID ${vrid}; before, ${parentName} had arp_ignore=${arpIgnore} arp_announce=${arpAnnounce}`;
}

/** Which parent it is on and what that one had before, or undefined if the alias is none of ours. */
export function parseAlias(alias: string): { parentName: string; original: ArpSettings } | undefined {
  const match = /^tandem: VRID \d{1,3}; before, (\S+) had arp_ignore=(\d{1,3}) arp_announce=(\d{1,3})$/.exec(alias);
  const [, parentName, arpIgnore, arpAnnounce] = match ?? [];
  if (parentName === undefined) return undefined;
  return { parentName, original: { arpIgnore: Number(arpIgnore), arpAnnounce: Number(arpAnnounce) } };
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return hash;
}
