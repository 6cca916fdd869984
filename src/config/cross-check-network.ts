/** Addresses, ports and virtual router identifiers: what must differ differs, and what must match matches. */

import { ipFamily, isLinkLocal, parseIp } from '../base/index.ts';
import type { IpPrefix } from '../base/index.ts';
import { findRepeats } from './cross-check-names.ts';
import type { FileDraft } from './draft.ts';
import { isWildcard } from './endpoint.ts';
import { formatPath } from './problem.ts';
import type { Finding, Path } from './problem.ts';

type Place = { readonly address: string; readonly path: Path };

/** The nodes' addresses belong to one node each, a virtual address to one virtual router and to no node. */
export function checkAddresses(file: FileDraft): readonly Finding[] {
  const ofNodes = nodeAddresses(file);
  const virtual = virtualAddresses(file);
  const shared = ofNodes.flatMap((place) => {
    const other = ofNodes.find((one) => one.address === place.address && Number(one.path[1]) < Number(place.path[1]));
    if (other === undefined) return [];
    return [atValue(place.path, `${place.address} is ${formatPath(other.path)} too`, 'give each node its own address')];
  });
  const ofBoth = ofNodes.flatMap((place) => {
    const other = virtual.find((one) => one.address === place.address);
    if (other === undefined) return [];
    const what = `${place.address} is a virtual address too, ${formatPath(other.path)}`;
    return [atValue(place.path, what, 'give the node an address that stays with it')];
  });
  const repeated = findRepeats(
    virtual.map(({ address, path }) => ({ key: keyOf(file, address, path), path })),
    (firstPath) => ({ what: `this address is ${formatPath(firstPath)} too`, mend: 'keep one of them' }),
  );
  return [...shared, ...ofBoth, ...repeated];
}

/** A virtual router is of one family, as are the two ends of every connection that Tandem makes. */
export function checkFamilies(file: FileDraft): readonly Finding[] {
  const routers = (file.virtualRouters ?? []).flatMap((router, index) => {
    const addresses = (router?.addresses ?? []).map((prefix) => prefix?.address);
    return differingFamilies(addresses[0], addresses, (item) => ['virtualRouters', index, 'addresses', item]);
  });
  const services = (file.services ?? []).flatMap((service, index) => {
    const addresses = (service?.servers ?? []).map((server) => server?.address?.address);
    const pathOf = (item: number): Path => ['services', index, 'servers', item, 'address'];
    return differingFamilies(service?.listen?.address, addresses, pathOf);
  });
  return [...routers, ...services];
}

/** A VRID is unique on an interface, for each family: IPv4 and IPv6 virtual routers are separate (RFC 9568, 1.7). */
export function checkVrids(file: FileDraft): readonly Finding[] {
  const nodeNames = new Set((file.nodes ?? []).flatMap((node) => node?.name ?? []));
  const places = (file.virtualRouters ?? []).flatMap((router, index) => {
    const family = ipFamily(router?.addresses?.[0]?.address ?? '');
    const { vrid, interface: carrier } = router ?? {};
    if (vrid === undefined || family === undefined) return [];
    return [...nodeNames].map((node) => {
      const name = typeof carrier === 'object' ? carrier[node] : carrier;
      const key = name === undefined ? undefined : [node, name, family, vrid].join(' ');
      return { key, path: ['virtualRouters', index, 'vrid'] };
    });
  });
  // Two that meet on both nodes give two findings with the same words at the same place: one problem in the end.
  return findRepeats(places, (firstPath) => ({
    what: `${formatPath(firstPath.slice(0, -1))} has this VRID on the same interface`,
    mend: 'choose another one from 1 to 255',
  }));
}

/**
 * Services listen on virtual addresses, and the metrics beside them. (That a service and the
 * sync link clash takes a virtual address that is a node's, which is reported as such.)
 */
export function checkListeners(file: FileDraft): readonly Finding[] {
  return [...listenersElsewhere(file), ...adminClashes(file)];
}

/** Link-local ones stand for themselves on each interface: the same one on every network is what people choose. */
function keyOf(file: FileDraft, address: string, path: Path): string {
  if (!isLocal(address)) return address;
  return `${address} ${JSON.stringify(file.virtualRouters?.[Number(path[1])]?.interface)}`;
}

function isLocal(address: string): boolean {
  return isLinkLocal(parseIp(address) ?? new Uint8Array());
}

function nodeAddresses(file: FileDraft): readonly Place[] {
  return (file.nodes ?? []).flatMap((node, index) => [
    ...(node?.address === undefined ? [] : [{ address: node.address, path: ['nodes', index, 'address'] }]),
    ...(node?.syncAddress === undefined ? [] : [{ address: node.syncAddress, path: ['nodes', index, 'syncAddress'] }]),
  ]);
}

function virtualAddresses(file: FileDraft): readonly Place[] {
  return (file.virtualRouters ?? []).flatMap((router, index) =>
    (router?.addresses ?? []).flatMap((prefix: IpPrefix | undefined, item) =>
      prefix === undefined ? [] : [{ address: prefix.address, path: ['virtualRouters', index, 'addresses', item] }],
    ),
  );
}

/** Whether every virtual address could be read; if not, the one in question may be among those that could not. */
function knowsVirtualAddresses(file: FileDraft): boolean {
  const lists = file.virtualRouters?.map((router) => router?.addresses ?? []) ?? [];
  return lists.length > 0 && lists.every((list) => list.length > 0 && !list.includes(undefined));
}

function differingFamilies(
  model: string | undefined,
  addresses: readonly (string | undefined)[],
  pathOf: (index: number) => Path,
): readonly Finding[] {
  const wanted = ipFamily(model ?? '');
  return addresses.flatMap((address, index) => {
    const family = ipFamily(address ?? '');
    if (wanted === undefined || family === undefined || family === wanted) return [];
    return [atValue(pathOf(index), `IPv${family}, but ${model} is IPv${wanted}`, `write an IPv${wanted} address`)];
  });
}

function listenersElsewhere(file: FileDraft): readonly Finding[] {
  if (!knowsVirtualAddresses(file)) return [];
  const virtual = virtualAddresses(file)
    .map((place) => place.address)
    .filter((address) => !isLocal(address));
  const some = virtual.slice(0, 4).join(' or ') + (virtual.length > 4 ? ' or ...' : '');
  return (file.services ?? []).flatMap((service, index) => {
    const address = service?.listen?.address;
    if (address === undefined || isLocal(address) || virtual.includes(address)) return [];
    const mend = `listen on ${some}, or add it to a virtual router`;
    return [atValue(['services', index, 'listen'], `${address} is no virtual address`, mend)];
  });
}

/** `admin.listen` is bound on both nodes, beside the sync link and the services. */
function adminClashes(file: FileDraft): readonly Finding[] {
  const admin = file.admin?.listen;
  if (admin === undefined) return [];
  const path: Path = ['admin', 'listen'];
  const isOnAddress = (address: string | undefined): boolean => isWildcard(admin.address) || address === admin.address;

  const foreign = [...virtualAddresses(file), ...(file.nodes?.length === 2 ? nodeAddresses(file) : [])];
  const owner = foreign.find(({ address }) => address === admin.address);
  if (owner !== undefined) {
    const what = `${formatPath(owner.path)} is not on both nodes at all times`;
    return [atValue(path, what, `write 127.0.0.1:${admin.port} or 0.0.0.0:${admin.port}`)];
  }
  const syncAddresses = (file.nodes ?? []).map((node) => node?.syncAddress ?? node?.address);
  if (file.sync?.port === admin.port && syncAddresses.some(isOnAddress)) {
    return [atValue(path, `the sync link has port ${admin.port}`, 'choose another port')];
  }
  const taken = (file.services ?? []).findIndex(
    (service) => service?.listen?.port === admin.port && isOnAddress(service.listen.address),
  );
  return taken < 0 ? [] : [atValue(path, `services[${taken}] listens on port ${admin.port}`, 'choose another port')];
}

function atValue(path: Path, what: string, mend: string): Finding {
  return { path, at: 'value', what, mend };
}
