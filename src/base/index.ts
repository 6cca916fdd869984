export type { Result } from './result.ts';
export { assert, fail, ok } from './result.ts';
export { concatBytes, fromHex, toHex, viewOf } from './bytes.ts';
export type { CheckTiming } from './check-timing.ts';
export { internetChecksum } from './checksum.ts';
export type { IpFamily, IpPrefix } from './ip.ts';
export {
  compareIp,
  formatEndpoint,
  formatIp,
  formatPrefix,
  ipFamily,
  isLinkLocal,
  parseIp,
  parsePrefix,
  prefixContains,
} from './ip.ts';
export { BoundedQueue } from './bounded-queue.ts';
export { ShardedMap } from './sharded-map.ts';
