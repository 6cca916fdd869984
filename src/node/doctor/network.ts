/** The host's interfaces, addresses and settings, as far as the configuration needs them. */
import { access, constants, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { formatIp, parseIp } from '../../base/index.ts';
import type { Config, VirtualRouterConfig } from '../../config/index.ts';
import { loadNative } from '../../runtime/index.ts';
import { Rtnetlink } from '../../vip/io/index.ts';
import type { Link } from '../../vip/io/index.ts';
import { linkLocalAddress } from '../../vrrp/io/index.ts';
import type { NodeIdentity } from '../settings.ts';
import { doubtful, failing, well } from './finding.ts';
import type { Finding } from './finding.ts';

export async function checkNetwork(config: Config, { self }: NodeIdentity): Promise<readonly Finding[]> {
  const links = await readLinks();
  const carriers = new Map(
    config.virtualRouters.map((router) => [router.interface[self.name] ?? '', router] as const).reverse(),
  );
  const findings = await Promise.all(
    [...carriers].map(async ([name, router]) => {
      const link = links.find((one) => one.name === name);
      if (link === undefined) {
        const names = links.map((one) => one.name).join(', ');
        return [failing('interface', `there is no ${name} (virtual router ${router.name})`, `choose one of ${names}`)];
      }
      const routers = config.virtualRouters.filter((one) => one.interface[self.name] === name);
      return [
        ...linkFindings(link),
        ...(routers.every(hasLinkLocalSource) ? [] : [addressFinding(name, self.address)]),
        ...(routers.some(hasLinkLocalSource) ? [linkLocalFinding(name, config.virtualRouters)] : []),
        ...(await settingFindings(name, routers)),
      ];
    }),
  );
  return [...findings.flat(), ...syncFindings(config, self)];
}

async function readLinks(): Promise<readonly Link[]> {
  const kernel = new Rtnetlink({ native: loadNative() });
  kernel.open();
  try {
    return await kernel.links();
  } finally {
    kernel.close();
  }
}

function linkFindings({ name, up }: Link): readonly Finding[] {
  return [
    up
      ? well('interface', `${name} is up`)
      : failing('interface', `${name} is down or has no carrier`, `ip link set ${name} up; look at the cable`),
  ];
}

function addressFinding(name: string, address: string): Finding {
  return addressesOf(name).includes(address)
    ? well('interface', `${name} has ${address}`)
    : failing('interface', `${name} does not have ${address}, this node's address`, `ip address add it to ${name}`);
}

/** As in `routerSpecs`. */
function hasLinkLocalSource({ family, mode }: VirtualRouterConfig): boolean {
  return family === 6 && mode === 'multicast';
}

function linkLocalFinding(name: string, routers: readonly VirtualRouterConfig[]): Finding {
  const virtual = routers.flatMap(({ addresses }) => addresses.flatMap(({ address }) => parseIp(address) ?? []));
  const own = linkLocalAddress(name, virtual);
  if (own !== undefined) return well('interface', `${name} has the link-local address ${formatIp(own)}`);
  const mend = `sysctl net.ipv6.conf.${name}.disable_ipv6=0 and .addr_gen_mode=0; ip -6 address shows a duplicate`;
  return failing('interface', `${name} has no IPv6 link-local address that is ready for use`, mend);
}

function syncFindings({ sync }: Config, { address, syncAddress }: NodeIdentity['self']): readonly Finding[] {
  if (sync === undefined || syncAddress === address) return [];
  const isThere = Object.keys(networkInterfaces()).some((name) => addressesOf(name).includes(syncAddress));
  return [
    isThere
      ? well('interface', `this host has ${syncAddress}, its sync address`)
      : failing('interface', `this host does not have ${syncAddress}, its sync address`, 'add it to an interface'),
  ];
}

/** Settings that keep addresses from answering, or adverts from arriving. */
async function settingFindings(name: string, routers: readonly VirtualRouterConfig[]): Promise<readonly Finding[]> {
  return [
    ...(routers.some(({ family }) => family === 4) ? await ipv4Findings(name) : []),
    ...(routers.some(({ family }) => family === 6) ? await ipv6Findings(name) : []),
    ...(routers.some(({ mac }) => mac === 'virtual') ? await virtualMacFindings(name) : []),
    ...(routers.some(({ mode }) => mode === 'multicast') ? [await snoopingFinding(name)] : []),
  ];
}

async function ipv4Findings(name: string): Promise<readonly Finding[]> {
  const arpIgnore = await strictest('ipv4', name, 'arp_ignore');
  return [
    arpIgnore >= 2
      ? failing(
          'sysctl',
          `arp_ignore is ${arpIgnore} on ${name}: nobody answers ARP for an address that stands alone`,
          `sysctl net.ipv4.conf.${name}.arp_ignore=1, and of "all"`,
        )
      : well('sysctl', `arp_ignore is ${arpIgnore} on ${name}`),
  ];
}

async function ipv6Findings(name: string): Promise<readonly Finding[]> {
  const isOff = (await readNumber(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`)) !== 0;
  return isOff ? [failing('sysctl', `IPv6 is off on ${name}`, `sysctl net.ipv6.conf.${name}.disable_ipv6=0`)] : [];
}

/** What keeps an interface from carrying a macvlan; see docs/adr/0006. */
async function virtualMacFindings(name: string): Promise<readonly Finding[]> {
  const isInBridge = await can(`/sys/class/net/${name}/brport`, constants.F_OK);
  const acceptRouters = '/proc/sys/net/ipv6/conf/default/accept_ra';
  const followsRouters = ((await readNumber(acceptRouters)) ?? 0) !== 0;
  const mend = 'in a container, set it from outside (Compose: sysctls: {net.ipv6.conf.default.accept_ra: 0})';
  return [
    isInBridge
      ? failing('virtual MAC', `${name} is in a bridge and can carry no macvlan`, 'configure the bridge instead of it')
      : well('virtual MAC', `${name} is in no bridge`),
    ...(followsRouters && !(await can(acceptRouters, constants.W_OK))
      ? [failing('virtual MAC', 'new interfaces follow IPv6 router advertisements, and /proc/sys is read-only', mend)]
      : []),
  ];
}

/** The kernel takes the higher of an interface's value and that of "all" for both settings looked at. */
async function strictest(family: 'ipv4', name: string, setting: string): Promise<number> {
  const values = ['all', name].map((one) => readNumber(`/proc/sys/net/${family}/conf/${one}/${setting}`));
  return Math.max(...(await Promise.all(values)).map((value) => value ?? 0));
}

/** Only a bridge of this host can be looked at; switches cannot. */
async function snoopingFinding(name: string): Promise<Finding> {
  for (const bridge of [`/sys/class/net/${name}/bridge`, `/sys/class/net/${name}/brport/bridge/bridge`]) {
    const isSnooping = (await readNumber(`${bridge}/multicast_snooping`)) === 1;
    const hasQuerier = (await readNumber(`${bridge}/multicast_querier`)) === 1;
    if (isSnooping && !hasQuerier) {
      const text = `the bridge of ${name} snoops multicast without a querier: adverts may be held back`;
      return doubtful('multicast', text, 'switch one of the two, or write mode: unicast');
    }
  }
  return well('multicast', `${name}: if no adverts arrive, let the switch pass 224.0.0.18, or write mode: unicast`);
}

function addressesOf(name: string): readonly string[] {
  return (networkInterfaces()[name] ?? []).map(({ address }) => address);
}

function can(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

async function readNumber(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text);
}
