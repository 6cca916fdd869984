import { LabProcess } from './lab-process.ts';
import type { SpawnOptions } from './lab-process.ts';
import { processesIn } from './namespace-processes.ts';
import { run } from './run.ts';
import type { RunOptions, RunResult } from './run.ts';

export type Neighbour = {
  readonly address: string;
  readonly mac: string | undefined;
  readonly states: readonly string[];
};

export type HostAddress = {
  readonly interface: string;
  readonly address: string;
  readonly prefixLength: number;
  /** Of a virtual IP with a kernel lifetime; undefined if it is valid for ever. */
  readonly validForS: number | undefined;
};

/** ip(8)'s word for "for ever" in JSON. */
const foreverS = 0xffff_ffff;

/** One machine of the lab: a network namespace, with the files and the clock of this machine. */
export class Host {
  readonly name: string;
  readonly namespace: string;

  constructor(name: string, namespace: string) {
    this.name = name;
    this.namespace = namespace;
  }

  /**
   * Starts a program that runs on. It sees the host's own /sys/class/net, as `ip netns exec` mounts it, and its pid is
   * that of the process returned, since the wrapper replaces itself.
   */
  spawn(argv: readonly string[], options: SpawnOptions = {}): LabProcess {
    const name = `${this.name}: ${argv.join(' ')}`;
    return new LabProcess(name, ['ip', 'netns', 'exec', this.namespace, ...argv], options);
  }

  /** Runs a short command to its end; see `run` for when it fails. */
  exec(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(['nsenter', `--net=/run/netns/${this.namespace}`, '--', ...argv], options);
  }

  /** Like `exec`, for commands that print JSON; fails unless they exit with 0. */
  async execJson(argv: readonly string[], options: RunOptions = {}): Promise<unknown> {
    const { stdout, stderr, code } = await this.exec(argv, options);
    if (code !== 0) throw new Error(`${this.name}: ${argv.join(' ')}: exit code ${code}\n${stderr}`);
    return stdout.trim() === '' ? [] : JSON.parse(stdout);
  }

  /** The pids of all that runs in this host, children of children included. */
  processes(): number[] {
    return processesIn(this.namespace);
  }

  /**
   * Sends a signal to all that runs in this host at once, as a power cut (SIGKILL) or a frozen machine (SIGSTOP). The
   * youngest first: a child that sees its parent die a moment before itself may say goodbye to the LAN (keepalived's).
   */
  killAll(signal: NodeJS.Signals): number[] {
    const pids = this.processes().sort((a, b) => b - a);
    for (const pid of pids) sendSignal(pid, signal);
    return pids;
  }

  async addresses(): Promise<HostAddress[]> {
    const links = (await this.execJson(['ip', '-j', 'addr'])) as IpAddrJson[];
    return links.flatMap((link) =>
      link.addr_info.map((info) => ({
        interface: link.ifname,
        address: info.local,
        prefixLength: info.prefixlen,
        validForS: info.valid_life_time === foreverS ? undefined : info.valid_life_time,
      })),
    );
  }

  async hasAddress(address: string): Promise<boolean> {
    return (await this.addresses()).some((candidate) => candidate.address === address);
  }

  /** What the kernel knows of the others on its networks: which MAC address answers for which IP address. */
  async neighbours(): Promise<Neighbour[]> {
    const entries = (await this.execJson(['ip', '-j', 'neigh'])) as IpNeighJson[];
    return entries.map((entry) => ({ address: entry.dst, mac: entry.lladdr, states: entry.state ?? [] }));
  }

  /** Whether the cable of an interface is plugged in, as this host sees it. */
  async hasCarrier(interfaceName: string): Promise<boolean> {
    const links = (await this.execJson(['ip', '-j', 'link', 'show', interfaceName])) as { flags: string[] }[];
    return links[0]?.flags.includes('LOWER_UP') ?? false;
  }
}

type IpAddrJson = {
  readonly ifname: string;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly valid_life_time: number;
  }[];
};
type IpNeighJson = { readonly dst: string; readonly lladdr?: string; readonly state?: readonly string[] };

/** A process that has just ended by itself needs no signal. */
function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
