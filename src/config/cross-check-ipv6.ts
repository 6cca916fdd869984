/** Link-local addresses: every IPv6 virtual router has one, and nothing else can be reached by one. */

import { ipFamily, isLinkLocal, parseIp } from '../base/index.ts';
import type { Draft, FileDraft } from './draft.ts';
import { formatPath } from './problem.ts';
import type { Finding, Path } from './problem.ts';
import type { ConfigFile } from './schema.ts';

type RouterDraft = Draft<ConfigFile['virtualRouters'][number]>;

/** The first address of an IPv6 virtual router is link-local, in adverts as in the file (RFC 9568, 5.2.9). */
export function checkFirstAddresses(file: FileDraft): readonly Finding[] {
  return (file.virtualRouters ?? []).flatMap((router, index) => {
    const addresses = (router?.addresses ?? []).map((prefix) => prefix?.address);
    const [first] = addresses;
    if (ipFamily(first ?? '') !== 6 || addresses.includes(undefined) || isLocal(first)) return [];
    const other = addresses.find(isLocal);
    const mend = other === undefined ? `put one first, e.g. ${suggestion(router)}` : `put ${other} first`;
    const path: Path = ['virtualRouters', index, 'addresses', 0];
    return [{ path, at: 'value', what: 'the first address of an IPv6 virtual router must be link-local', mend }];
  });
}

/** A connection to such an address must name an interface, for which the file has no place. */
export function checkReachable(file: FileDraft): readonly Finding[] {
  const nodes = (file.nodes ?? []).flatMap((node, index) => [
    { address: node?.address, path: ['nodes', index, 'address'] },
    { address: node?.syncAddress, path: ['nodes', index, 'syncAddress'] },
  ]);
  const services = (file.services ?? []).flatMap((service, index) => [
    { address: service?.listen?.address, path: ['services', index, 'listen'] },
    ...(service?.servers ?? []).map((server, item) => ({
      address: server?.address?.address,
      path: ['services', index, 'servers', item, 'address'],
    })),
  ]);
  return [...nodes, ...services].flatMap(({ address, path }) => {
    if (!isLocal(address)) return [];
    const what = `${address} is link-local, which means something on one interface only`;
    return [{ path, at: 'value', what, mend: 'write a global or unique local address' } as const];
  });
}

/** Multicast IPv6 adverts have a source of their own; all others travel between the nodes' addresses. */
export function checkAdvertSources(file: FileDraft): readonly Finding[] {
  return (file.virtualRouters ?? []).flatMap((router, index) => {
    const family = ipFamily(router?.addresses?.[0]?.address ?? '');
    const other = (file.nodes ?? []).findIndex((node) => {
      const own = ipFamily(node?.address ?? '');
      return own !== undefined && own !== family;
    });
    if (family === undefined || other < 0) return [];
    const place = formatPath(['nodes', other, 'address']);
    if (router?.mode === 'unicast') {
      const what = `IPv${family} adverts cannot go from node to node, ${place} is not IPv${family}`;
      const mend = family === 6 ? 'write multicast' : 'give the nodes IPv4 addresses';
      return [{ path: ['virtualRouters', index, 'mode'], at: 'value', what, mend } as const];
    }
    if (family === 6) return [];
    const what = `IPv4 adverts leave from the nodes' addresses, and ${place} is not IPv4`;
    const path: Path = ['virtualRouters', index, 'addresses', 0];
    return [{ path, at: 'value', what, mend: 'give the nodes IPv4 addresses, and sync the IPv6 ones if need be' }];
  });
}

function isLocal(address: string | undefined): boolean {
  return isLinkLocal(parseIp(address ?? '') ?? new Uint8Array());
}

/** Its own number keeps it apart from those of the other virtual routers on the link. */
function suggestion(router: RouterDraft | undefined): string {
  return `fe80::${(router?.vrid ?? 1).toString(16)}/64`;
}
