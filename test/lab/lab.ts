/**
 * Several hosts on one machine. Each host and each switch is a network namespace, so that real nodes, servers and
 * clients run with real sockets, and links can be cut, frames lost and hosts frozen without anything being simulated.
 */

import { OperatorError } from '../../src/runtime/index.ts';
import { faultRuleset } from './faults.ts';
import type { Direction, Fault, Protocol } from './faults.ts';
import { Host } from './host.ts';
import { claimName, Reaper, sweepStaleLabs } from './ownership.ts';
import type { Claim } from './ownership.ts';
import { run, runChecked } from './run.ts';
import * as topologies from './topology.ts';
import type { NamespaceOf, Topology } from './topology.ts';

/**
 * Builds a lab, after removing what dead owners have left. To be ended with `destroy`; if this process dies before,
 * the lab is removed all the same. Throws OperatorError `LAB_PRIVILEGE` where namespaces cannot be made.
 */
export async function createLab(topology: Topology = topologies.defaultTopology): Promise<Lab> {
  topologies.checkTopology(topology);
  await sweepStaleLabs();
  const claim = claimName();
  const lab = new Lab(topology, claim, new Reaper(claim));
  try {
    await lab.build();
  } catch (error) {
    await lab.destroy();
    throw error;
  }
  return lab;
}

export class Lab {
  /** For config files, sockets and the like; removed with the lab. */
  readonly directory: string;
  readonly #topology: Topology;
  readonly #reaper: Reaper;
  readonly #namespaceOf: NamespaceOf;
  readonly #hosts: ReadonlyMap<string, Host>;
  readonly #faults = new Map<string, readonly Fault[]>();

  constructor(topology: Topology, claim: Claim, reaper: Reaper) {
    this.directory = claim.directory;
    this.#topology = topology;
    this.#reaper = reaper;
    this.#namespaceOf = {
      host: (host) => `${claim.name}-${host}`,
      switch: (network) => `${claim.name}-switch-${network}`,
    };
    const names = Object.keys(topology.hosts);
    this.#hosts = new Map(names.map((name) => [name, new Host(name, this.#namespaceOf.host(name))]));
  }

  get hosts(): Host[] {
    return [...this.#hosts.values()];
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`the lab has no host ${name}`);
    return host;
  }

  /** Called once by `createLab`. */
  async build(): Promise<void> {
    const { networks } = this.#topology;
    const switches = networks.map((network) => this.#namespaceOf.switch(network));
    await this.#addNamespaces([...switches, ...this.hosts.map((host) => host.namespace)]);
    await Promise.all(this.hosts.map((host) => this.#configure(host)));
    await this.#inSwitches((network) => topologies.switchCommands(this.#topology, network, this.#namespaceOf));
    await Promise.all(
      this.hosts.map((host) => ipBatch(host.namespace, topologies.hostCommands(this.#topology, host.name))),
    );
    await this.#inSwitches((network) => topologies.plugCommands(this.#topology, network));
  }

  /** Kills all that runs in the hosts and removes the lab. */
  async destroy(): Promise<void> {
    await this.#reaper.reap();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  /** Pulls a host's cable: both ends lose the carrier. */
  async cut(host: string, network: string): Promise<void> {
    await this.#setPort(host, network, 'down');
  }

  /**
   * Plugs the cable in again. Frames pass within some milliseconds; but what the host tried to send meanwhile has left
   * it with an ARP request that nobody heard, and the kernel repeats that only after a second.
   */
  async heal(host: string, network: string): Promise<void> {
    await this.#setPort(host, network, 'up');
  }

  /**
   * Drops frames in the switch, unnoticed by any host: those to the host (in), from it (out) or both, of one protocol
   * or all. Blocks add up until `unblock`.
   */
  async block(
    host: string,
    network: string,
    direction: Direction,
    options: { readonly protocol?: Protocol } = {},
  ): Promise<void> {
    await this.#changeFaults(host, network, (faults) => [...faults, { kind: 'block', host, direction, ...options }]);
  }

  /** Takes back every block of this host in this network; loss stays. */
  async unblock(host: string, network: string): Promise<void> {
    const isOther = (fault: Fault): boolean => fault.kind !== 'block' || fault.host !== host;
    await this.#changeFaults(host, network, (faults) => faults.filter(isOther));
  }

  /** Loses this share of the frames to and from the host, each by chance, in place of any loss before; 0 ends it. */
  async loss(host: string, network: string, percent: number): Promise<void> {
    const isOther = (fault: Fault): boolean => fault.kind !== 'loss' || fault.host !== host;
    await this.#changeFaults(host, network, (faults) => [
      ...faults.filter(isOther),
      ...(percent > 0 ? [{ kind: 'loss', host, percent } as const] : []),
    ]);
  }

  /** Runs in the switch's namespace, where every frame of the network passes: for tcpdump and the like. */
  switch(network: string): Host {
    this.#checkNetwork(network);
    return new Host(`switch ${network}`, this.#namespaceOf.switch(network));
  }

  async #addNamespaces(names: readonly string[]): Promise<void> {
    const { code, stderr } = await run(['ip', '-batch', '-'], {
      input: names.map((name) => `netns add ${name}\n`).join(''),
    });
    if (code === 0) return;
    throw new OperatorError(
      'LAB_PRIVILEGE',
      `network namespaces cannot be made here (${stderr.split('\n')[0] ?? ''})`,
      'run as root, or without root by: test/lab/enter.sh COMMAND',
    );
  }

  async #configure(host: Host): Promise<void> {
    const { code, stderr } = await host.exec(['sh', '-e'], { input: topologies.settingsScript() });
    if (code !== 0) throw new Error(`${host.name}: settings refused: ${stderr}`);
  }

  async #inSwitches(commands: (network: string) => string[]): Promise<void> {
    await Promise.all(
      this.#topology.networks.map((network) => ipBatch(this.#namespaceOf.switch(network), commands(network))),
    );
  }

  async #setPort(host: string, network: string, state: 'up' | 'down'): Promise<void> {
    this.#checkPort(host, network);
    await ipBatch(this.#namespaceOf.switch(network), [`link set ${host} ${state}`]);
  }

  async #changeFaults(
    host: string,
    network: string,
    change: (faults: readonly Fault[]) => readonly Fault[],
  ): Promise<void> {
    this.#checkPort(host, network);
    const faults = change(this.#faults.get(network) ?? []);
    this.#faults.set(network, faults);
    const { code, stderr } = await this.switch(network).exec(['nft', '-f', '-'], { input: faultRuleset(faults) });
    if (code !== 0) throw new Error(`the switch ${network} refused its faults: ${stderr}`);
  }

  #checkNetwork(network: string): void {
    if (!this.#topology.networks.includes(network)) throw new Error(`the lab has no network ${network}`);
  }

  #checkPort(host: string, network: string): void {
    this.#checkNetwork(network);
    if (this.#topology.hosts[host]?.[network] === undefined) throw new Error(`${host} is not in network ${network}`);
  }
}

async function ipBatch(namespace: string, commands: readonly string[]): Promise<void> {
  await runChecked(['ip', '-n', namespace, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
