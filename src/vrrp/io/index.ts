export type { SendFailure, Transport } from './transport.ts';
export type { RawTransportOptions } from './raw-transport.ts';
export { RawTransport } from './raw-transport.ts';
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
