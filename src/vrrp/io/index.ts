export type { SendFailure, Transport, TransportOptions } from './transport.ts';
export { RawTransport } from './raw-transport.ts';
export { Ipv6Transport } from './ipv6-transport.ts';
export { findLinkLocal, linkLocalAddress } from './link-local.ts';
export type { HmacAuthentication, RouterAuthentication } from './advert-keys.ts';
export type { MemoryLanOptions, MemoryPort } from './memory-lan.ts';
export { MemoryLan } from './memory-lan.ts';
export type { RouterCounters } from './router-counters.ts';
export type {
  AddressPort,
  RouterCommand,
  RouterStatus,
  Transition,
  VirtualRouterOptions,
  VirtualRouterPorts,
} from './driver-ports.ts';
export { VirtualRouter } from './driver.ts';
