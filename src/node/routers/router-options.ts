/** A virtual router as the main process words it, in the words of the machine that drives it. */
import { assert, parseIp } from '../../base/index.ts';
import type { RouterAuthentication, VirtualRouterOptions } from '../../vrrp/io/index.ts';
import type { ConfiguredRouter, RouterSpec } from '../vrrp-protocol.ts';

/** Without an own address, which is then to be found on the interface, it is :: until the router is told. */
export function routerOptions(spec: ConfiguredRouter): VirtualRouterOptions {
  return {
    name: spec.name,
    version: spec.version,
    vrid: spec.vrid,
    priority: spec.health.priority,
    advertIntervalMs: spec.advertIntervalMs,
    preempt: spec.preempt,
    preemptDelayMs: spec.preemptDelayMs,
    ownAddress: bytesOf(spec.ownAddress ?? '::'),
    addresses: virtualAddresses(spec),
    unicastPeer: spec.unicastPeer === undefined ? undefined : bytesOf(spec.unicastPeer),
    checksumForm: spec.checksum,
    authentication: authenticationOf(spec),
    epoch: spec.epoch,
  };
}

export function virtualAddresses({ addresses }: RouterSpec): readonly Uint8Array[] {
  return addresses.map(({ address }) => bytesOf(address));
}

/** Version 2's password and version 3's seals exclude each other; the configuration has been checked. */
function authenticationOf({ simplePassword, hmac }: RouterSpec): RouterAuthentication | undefined {
  if (simplePassword !== undefined) return { type: 'simple-text', password: simplePassword };
  if (hmac === undefined) return undefined;
  const keys = new Map(hmac.keys.map(({ id, key }) => [id, key]));
  return { type: 'hmac-sha256', keys, sendKeyId: hmac.activeKey, mode: hmac.mode };
}

function bytesOf(address: string): Uint8Array {
  const bytes = parseIp(address);
  assert(bytes !== undefined, `${address} has been checked to be an address`);
  return bytes;
}
