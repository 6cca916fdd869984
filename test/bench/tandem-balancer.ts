/** Tandem as the failover bench knows it: the lab's own pair, with the adverts that are asked for. */

import { waitForSync } from '../lab/stage.ts';
import { pairConfig, startNode } from '../lab/tandem.ts';
import { virtualAddress } from '../lab/topology.ts';
import { priorities } from './failover-pair.ts';
import type { Software } from './failover-pair.ts';

export const tandemSoftware: Software = {
  system: 'tandem',
  async start(lab, name, advertIntervalMs) {
    const router = {
      name: 'web',
      vrid: 51,
      interface: 'lan0',
      addresses: [`${virtualAddress}/24`],
      advertInterval: `${advertIntervalMs}ms`,
      priority: priorities,
    };
    const node = await startNode(lab, name, pairConfig(lab, { virtualRouters: [router] }));
    return { ready: () => waitForSync(node) };
  },
};
