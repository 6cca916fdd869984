/** Whether servers can take what a service's way to balance gives them. */

import type { FileDraft } from './draft.ts';
import type { Finding } from './problem.ts';

/** `first` goes on to the next server when one is full: all but the last must be able to be. */
export function checkFirstServers(file: FileDraft): readonly Finding[] {
  return (file.services ?? []).flatMap((service, index) => {
    if (service?.balance !== 'first' || service.servers === undefined) return [];
    const used = service.servers.flatMap((server, item) =>
      server === undefined || server.backup === true ? [] : [{ ...server, item }],
    );
    const endless = used.slice(0, -1).find(({ maxconn }) => maxconn === undefined);
    if (endless === undefined) return [];
    const finding: Finding = {
      path: ['services', index, 'servers', endless.item, 'maxconn'],
      at: 'parent',
      what: 'missing, and balance: first would send every connection here',
      mend: 'write e.g. maxconn: 100 for each server but the last',
    };
    return [finding];
  });
}
