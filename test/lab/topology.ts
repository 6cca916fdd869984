/** Which hosts a lab has and how they are wired, and the commands for iproute2 that make it so. */

/**
 * Each network is a switch; a host's interface in network `lan` is called `lan0` and has the addresses given
 * ("10.9.0.11/24", IPv6 as well). Names are short: a host's name is that of its switch port (15 bytes at most).
 */
export type Topology = {
  readonly networks: readonly string[];
  readonly hosts: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
};

/** The virtual IP of the default topology: nobody has it until a node claims it. */
export const virtualAddress = '10.9.0.100';

/** A client, two balancers with a network of their own for sync, three servers. */
export const defaultTopology: Topology = {
  networks: ['lan', 'sync'],
  hosts: {
    client: { lan: ['10.9.0.10/24'] },
    lb1: { lan: ['10.9.0.11/24'], sync: ['10.9.1.11/24'] },
    lb2: { lan: ['10.9.0.12/24'], sync: ['10.9.1.12/24'] },
    s1: { lan: ['10.9.0.21/24'] },
    s2: { lan: ['10.9.0.22/24'] },
    s3: { lan: ['10.9.0.23/24'] },
  },
};

export type NamespaceOf = {
  readonly host: (host: string) => string;
  readonly switch: (network: string) => string;
};

/**
 * The index of a port must not happen to be that of its other end: the kernel tells a veth from other devices by that
 * (linkwatch_urgent_event in net/core/link_watch.c), and notices a carrier that came or went up to a second late.
 */
const firstPortIndex = 1000;

/** Throws on a topology that could not be built: it is a mistake in a test. */
export function checkTopology(topology: Topology): void {
  for (const name of [...topology.networks, ...Object.keys(topology.hosts)]) {
    if (!/^[a-z][a-z0-9]{0,13}$/.test(name)) throw new Error(`no name for a host or network: ${name}`);
  }
  for (const [host, interfaces] of Object.entries(topology.hosts)) {
    for (const network of Object.keys(interfaces)) {
      if (!topology.networks.includes(network)) throw new Error(`${host} is in an unknown network: ${network}`);
    }
  }
}

/**
 * A namespace inherits IPv4 settings from the machine's, so they are all set: no forwarding (a balancer must not hide
 * a missing announcement by routing), the kernel's defaults for ARP, and nothing that chatters on its own.
 */
export function settingsScript(): string {
  const values = {
    'ipv4/ip_forward': 0,
    'ipv4/conf/{all,default}/rp_filter': 0,
    'ipv4/conf/{all,default}/arp_ignore': 0,
    'ipv4/conf/{all,default}/arp_announce': 0,
    'ipv4/conf/{all,default}/arp_filter': 0,
    'ipv4/conf/{all,default}/arp_accept': 0,
    'ipv4/conf/{all,default}/arp_notify': 0,
    'ipv4/conf/{all,default}/promote_secondaries': 0,
    'ipv6/conf/{all,default}/accept_dad': 0,
    'ipv6/conf/{all,default}/dad_transmits': 0,
    'ipv6/conf/{all,default}/router_solicitations': 0,
    'ipv6/conf/{all,default}/accept_ra': 0,
  };
  return Object.entries(values)
    .flatMap(([path, value]) => expand(path).map((file) => `echo ${value} > /proc/sys/net/${file}`))
    .join('\n');
}

/** For `ip -batch` in the switch's namespace: the bridge, and a cable to each host that is in the network. */
export function switchCommands(topology: Topology, network: string, namespaceOf: NamespaceOf): string[] {
  return [
    // Snooping would hold back multicast until somebody asks for it, and there is no querier.
    'link add bridge0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0',
    'link set bridge0 addrgenmode none up',
    ...hostsIn(topology, network).map((host, index) => {
      const peer = `${network}0 netns ${namespaceOf.host(host)}`;
      return `link add ${host} index ${firstPortIndex + index} type veth peer name ${peer}`;
    }),
    ...hostsIn(topology, network).map((host) => `link set ${host} addrgenmode none master bridge0`),
  ];
}

/** For `ip -batch` in the host's namespace. */
export function hostCommands(topology: Topology, host: string): string[] {
  const interfaces = Object.entries(topology.hosts[host] ?? {});
  return [
    'link set lo up',
    ...interfaces.flatMap(([network, addresses]) => [
      ...addresses.map((address) => `addr add ${address} dev ${network}0${address.includes(':') ? ' nodad' : ''}`),
      `link set ${network}0 up`,
    ]),
  ];
}

/** For `ip -batch` in the switch's namespace, when the hosts are ready. */
export function plugCommands(topology: Topology, network: string): string[] {
  return hostsIn(topology, network).map((host) => `link set ${host} up`);
}

function hostsIn(topology: Topology, network: string): string[] {
  return Object.keys(topology.hosts).filter((host) => topology.hosts[host]?.[network] !== undefined);
}

/** "a/{b,c}" to "a/b" and "a/c". */
function expand(path: string): string[] {
  const [, head = '', choices = '', tail = ''] = /^(.*)\{(.*)\}(.*)$/.exec(path) ?? [];
  return choices === '' ? [path] : choices.split(',').map((choice) => `${head}${choice}${tail}`);
}
