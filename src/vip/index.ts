export type { ArpPacket, ArpRejection } from './ethernet-arp.ts';
export { decodeArp, encodeGratuitousReply, encodeGratuitousRequest, formatMac } from './ethernet-arp.ts';
export { encodeUnsolicitedAdvertisement } from './neighbor-advertisement.ts';
export type {
  AnnouncementConfig,
  AnnouncementEffect,
  AnnouncementInput,
  AnnouncementState,
  AnnouncementStep,
} from './announcement.ts';
export { announcementFrames, nextDeadlineMs, silent, step } from './announcement.ts';
export type { AddressConflict, AddressOperation, AddressPlan, PresentAddress } from './plan.ts';
export { addressProtocol, hostPrefix, planAddresses } from './plan.ts';
export { encodeMulticastFrame } from './multicast-frame.ts';
export type { ArpSettings, VirtualInterfaceSpec } from './virtual-mac.ts';
export {
  formatAlias,
  parentArpSettings,
  parseAlias,
  restoredArpSettings,
  virtualInterfaceName,
  virtualMac,
} from './virtual-mac.ts';
