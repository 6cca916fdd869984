export type { AddressKernel, AddressKernelEvents, Link, Refusal } from './address-kernel.ts';
export { Rtnetlink } from './rtnetlink.ts';
export { MemoryKernel } from './memory-kernel.ts';
export type { AddressCounts, AddressesHandlers, AddressesOptions, AddressReport } from './addresses.ts';
export { addressLifetimeDefaultMs, Addresses } from './addresses.ts';
export type { AnnouncerCounts } from './announcer.ts';
export { Announcer } from './announcer.ts';
export { isIpv6Router } from './ipv6-forwarding.ts';
