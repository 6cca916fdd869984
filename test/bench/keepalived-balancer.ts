/**
 * keepalived + HAProxy as their users set them up for the same service: HAProxy listens on both hosts all the time,
 * keepalived moves the address. Real-time scheduling and locked memory, because Tandem has both; priorities, health
 * checks and `nopreempt` are those of Tandem's configuration.
 */

import { startHaproxy } from '../lab/haproxy.ts';
import { startKeepalived } from '../lab/keepalived.ts';
import type { KeepalivedInstance } from '../lab/keepalived.ts';
import type { BalancerName } from '../lab/stage.ts';
import { virtualAddress } from '../lab/topology.ts';
import { priorities } from './failover-pair.ts';
import type { Software } from './failover-pair.ts';

const options = { globals: ['vrrp_rt_priority 50', 'vrrp_no_swap'], notify: false };

export const keepalivedSoftware: Software = {
  system: 'keepalived+haproxy',
  async start(lab, name, advertIntervalMs) {
    const haproxy = await startHaproxy(lab, name);
    await startKeepalived(lab, name, instance(name, advertIntervalMs), options);
    return { ready: haproxy.waitUntilChecked };
  },
};

function instance(name: BalancerName, advertIntervalMs: number): KeepalivedInstance {
  return {
    version: 3,
    vrid: 51,
    interface: 'lan0',
    priority: priorities[name],
    advertIntervalMs,
    addresses: [`${virtualAddress}/24`],
    preempt: false,
  };
}
