/**
 * Where VIPs are tried on real interfaces. Hosts are network namespaces on one switch (a bridge in a namespace of its
 * own); in a host runs an agent that holds VIPs. Needs root, ip and tcpdump.
 *
 *     a.eth0 ── sw.port-a ┐
 *     b.eth0 ── sw.port-b ├ sw.br0
 *     c.eth0 ── sw.port-c ┘
 */
import { spawn, execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { formatPrefix } from '../../src/base/index.ts';
import type { IpPrefix } from '../../src/base/index.ts';
import type { AddressReport } from '../../src/vip/io/index.ts';
import type { AgentCall, AgentError, AgentLine } from '../unit/vip/vip-agent.ts';

export const lifetimeMs = 2000;
export const hostNames = ['a', 'b', 'c'] as const;
const agentPath = fileURLToPath(new URL('../unit/vip/vip-agent.ts', import.meta.url));

export type HostName = (typeof hostNames)[number];
type FdbEntry = { readonly mac: string; readonly ifname: string };
type AddressInfo = { readonly local: string; readonly prefixlen: number; readonly family: string };

let labCount = 0;

export class Lab {
  readonly #prefix = `vip${process.pid}x${labCount++}`;
  readonly #children: ChildProcess[] = [];

  namespace(name: HostName | 'sw'): string {
    return `${this.#prefix}${name}`;
  }

  create(): void {
    ip('netns', 'add', this.namespace('sw'));
    ip('-n', this.namespace('sw'), 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0');
    ip('-n', this.namespace('sw'), 'link', 'set', 'br0', 'up');
    for (const name of hostNames) {
      ip('netns', 'add', this.namespace(name));
      ip('-n', this.namespace(name), 'link', 'set', 'lo', 'up');
      this.plug(name);
    }
  }

  /** Gives the host its interface, connected and ready. */
  plug(name: HostName): void {
    const [host, sw] = [this.namespace(name), this.namespace('sw')];
    ip('-n', host, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', portOf(name), 'netns', sw);
    ip('-n', sw, 'link', 'set', portOf(name), 'master', 'br0', 'up');
    ip('-n', host, 'addr', 'add', `192.0.2.${1 + hostNames.indexOf(name)}/24`, 'dev', 'eth0');
    ip('-n', host, 'link', 'set', 'eth0', 'up');
  }

  start(name: HostName, ...extra: string[]): Promise<Agent> {
    return this.startWithin(name, [], ...extra);
  }

  /** Starts an agent through a program that prepares its surroundings and then becomes it. */
  async startWithin(name: HostName, wrapper: readonly string[], ...extra: string[]): Promise<Agent> {
    await expect.poll(() => this.operState(name)).toBe('UP');
    const child = this.spawn(name, ...wrapper, process.execPath, agentPath, 'eth0', String(lifetimeMs), ...extra);
    const agent = new Agent(child);
    await agent.call('start', []);
    return agent;
  }

  /** Runs a short command on the host, or in the switch; its output. */
  run(name: HostName | 'sw', ...command: string[]): string {
    return ip('netns', 'exec', this.namespace(name), ...command);
  }

  setting(name: HostName, path: string): number {
    return Number(this.run(name, 'cat', `/proc/sys/net/${path}`));
  }

  set(name: HostName, path: string, value: number): void {
    this.run(name, 'sh', '-c', `echo ${value} > /proc/sys/net/${path}`);
  }

  spawn(name: HostName | 'sw', ...command: string[]): ChildProcess {
    // The last one is there for programs that talk by messages as child processes of Node.
    const stdio = ['pipe', 'pipe', 'pipe', 'ipc'] as const;
    const child = spawn('ip', ['netns', 'exec', this.namespace(name), ...command], { stdio: [...stdio] });
    this.#children.push(child);
    return child;
  }

  present(name: HostName, family = 'inet'): readonly string[] {
    const [link] = JSON.parse(ip('-n', this.namespace(name), '-j', 'addr', 'show', 'eth0')) as [
      { addr_info: readonly AddressInfo[] },
    ];
    return link.addr_info
      .filter((address) => address.family === family && !address.local.startsWith('fe80'))
      .map((address) => `${address.local}/${address.prefixlen}`);
  }

  mac(name: HostName): string {
    return this.#link(name).address;
  }

  operState(name: HostName): string {
    return this.#link(name).operstate;
  }

  /** The MAC that host c believes the address to be at. */
  macSeenByC(address: string): string | undefined {
    const text = ip('-n', this.namespace('c'), '-j', 'neigh', 'show', address);
    return text.trim() === '' ? undefined : (JSON.parse(text) as { lladdr?: string }[])[0]?.lladdr;
  }

  /** Where the switch sends frames to. */
  portOfMac(mac: string): string | undefined {
    const entries = JSON.parse(this.run('sw', 'bridge', '-j', 'fdb', 'show', 'br', 'br0')) as FdbEntry[];
    return entries.find((entry) => entry.mac === mac)?.ifname;
  }

  /** Starts a server that answers each connection with the host's name. */
  async serve(name: HostName): Promise<void> {
    const script = `
      const server = require('net').createServer((socket) => socket.end('${name}'));
      server.listen(8000, '::', () => console.log('ready'));`;
    const server = this.spawn(name, process.execPath, '-e', script);
    if (server.stdout !== null) await once(server.stdout, 'data');
  }

  /** Who answers host c at this address: the name of a host that serves, or an error's. */
  ask(address: string): string {
    const script = `
      const socket = require('net').connect({ host: '${address}', port: 8000 });
      socket.setTimeout(900, () => { console.log('time-out'); process.exit(); });
      socket.on('error', (error) => console.log(error.code)).pipe(process.stdout);`;
    return this.run('c', process.execPath, '-e', script).trim();
  }

  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of ['sw', ...hostNames] as const) {
      try {
        ip('netns', 'del', this.namespace(name));
      } catch {
        // It was never made: creating the lab failed half-way.
      }
    }
  }

  #link(name: HostName): { address: string; operstate: string } {
    const [link] = JSON.parse(ip('-n', this.namespace(name), '-j', 'link', 'show', 'eth0')) as [
      { address: string; operstate: string },
    ];
    return link;
  }
}

/** The far end of an agent's pipe. */
export class Agent {
  readonly told: string[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (line: AgentLine) => void>();
  #nextId = 1;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.pipe(process.stderr);
    if (child.stdout === null) throw new Error('an agent talks on its standard output');
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as AgentLine;
      if (line.told !== undefined) this.told.push(line.told);
      if (line.id !== undefined) this.#waiting.get(line.id)?.(line);
    });
  }

  async call(call: AgentCall, vips: readonly string[]): Promise<AgentLine> {
    const id = this.#nextId++;
    const answer = new Promise<AgentLine>((resolve) => this.#waiting.set(id, resolve));
    this.#child.stdin?.write(`${JSON.stringify({ id, call, vips })}\n`);
    const line = await answer;
    if (line.error !== undefined) throw new AgentFailure(line.error);
    return line;
  }

  async report(call: 'claim' | 'release' | 'removeStale', vips: readonly IpPrefix[]): Promise<AddressReport> {
    return (await this.call(call, vips.map(formatPrefix))).value as AddressReport;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

export class AgentFailure extends Error {
  readonly code: string;
  readonly mend: string;

  constructor({ code, message, mend }: AgentError) {
    super(message);
    this.code = code;
    this.mend = mend;
  }
}

/** The host's port of the switch. */
export function portOf(name: HostName): string {
  return `port-${name}`;
}

export function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

export function createLab(): Lab {
  const lab = new Lab();
  try {
    lab.create();
  } catch (error) {
    lab.end();
    throw error;
  }
  return lab;
}

/** A capture at the switch of what comes in from the host, one line each; it has begun. */
export async function watch(lab: Lab, from: HostName, filter: string): Promise<{ end(): Promise<readonly string[]> }> {
  const tcpdump = lab.spawn('sw', 'tcpdump', '-nnetl', '--immediate-mode', '-Q', 'in', '-i', portOf(from), filter);
  const output = outputOf(tcpdump);
  await begun(tcpdump);
  return {
    async end() {
      tcpdump.kill('SIGINT');
      await once(tcpdump, 'close');
      return output()
        .split('\n')
        .filter((line) => line !== '');
    },
  };
}

/** A capture on host c that has begun; `packets` resolves with one text per packet. */
export async function listen(
  lab: Lab,
  count: number,
  filter: string,
): Promise<{ packets: Promise<readonly string[]> }> {
  const tcpdump = lab.spawn('c', 'tcpdump', '-nnevvl', '--immediate-mode', '-c', String(count), '-i', 'eth0', filter);
  const output = outputOf(tcpdump);
  // What belongs to a packet is indented but for its first line.
  const packets = once(tcpdump, 'close').then(() =>
    output()
      .trim()
      .split(/\n(?=\S)/),
  );
  await begun(tcpdump);
  return { packets };
}

function begun(tcpdump: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    tcpdump.stderr?.on('data', (text: Buffer) => {
      if (text.includes('listening on')) resolve();
    });
  });
}

export function outputOf(child: ChildProcess): () => string {
  let output = '';
  child.stdout?.on('data', (text: Buffer) => {
    output += text.toString();
  });
  return () => output;
}
