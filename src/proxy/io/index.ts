export type { ProxyWorkerOptions } from './worker.ts';
export { ProxyWorker, relayDefaults } from './worker.ts';
export { warmUp } from './warm-up.ts';
export type { CheckReport, CheckTarget } from './prober.ts';
export { Prober } from './prober.ts';
export type { SharedMemory } from './shared-counts.ts';
export { SharedCounts, Slot, createSharedMemory, isBefore, ownSlot, slotsMax } from './shared-counts.ts';
export type { WorkerPeers } from './waiting-room.ts';
