/**
 * VIPs on real interfaces. Hosts are network namespaces on one switch (a bridge in a namespace of its own); in a host
 * runs an agent that holds VIPs. Needs root, ip and tcpdump.
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
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatPrefix } from '../../src/base/index.ts';
import type { IpPrefix } from '../../src/base/index.ts';
import { systemClock } from '../../src/runtime/index.ts';
import { addressProtocol, hostPrefix } from '../../src/vip/index.ts';
import type { AddressReport } from '../../src/vip/io/index.ts';
import { addressesContract } from '../unit/vip/addresses-contract.ts';
import type { AddressesWorld } from '../unit/vip/addresses-contract.ts';
import type { AgentCall, AgentError, AgentLine } from '../unit/vip/vip-agent.ts';

const vip = '192.0.2.10/24';
const vipAddress = '192.0.2.10';
const lifetimeMs = 2000;
const hostNames = ['a', 'b', 'c'] as const;
const agentPath = fileURLToPath(new URL('../unit/vip/vip-agent.ts', import.meta.url));

type HostName = (typeof hostNames)[number];
type AddressInfo = { readonly local: string; readonly prefixlen: number; readonly family: string };

let labCount = 0;

class Lab {
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

  async start(name: HostName, ...extra: string[]): Promise<Agent> {
    await expect.poll(() => this.operState(name)).toBe('UP');
    const child = this.spawn(name, process.execPath, agentPath, 'eth0', String(lifetimeMs), ...extra);
    const agent = new Agent(child);
    await agent.call('start', []);
    return agent;
  }

  spawn(name: HostName, ...command: string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace(name), ...command], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
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
class Agent {
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

class AgentFailure extends Error {
  readonly code: string;
  readonly mend: string;

  constructor({ code, message, mend }: AgentError) {
    super(message);
    this.code = code;
    this.mend = mend;
  }
}

/** The host's port of the switch. */
function portOf(name: HostName): string {
  return `port-${name}`;
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

function createLab(): Lab {
  const lab = new Lab();
  try {
    lab.create();
  } catch (error) {
    lab.end();
    throw error;
  }
  return lab;
}

async function createWorld(): Promise<AddressesWorld> {
  const lab = createLab();
  const onHost = (...args: string[]): string => ip('-n', lab.namespace('a'), ...args);
  try {
    const agent = await lab.start('a');
    return {
      addresses: {
        claim: (vips) => agent.report('claim', vips),
        release: (vips) => agent.report('release', vips),
        removeStale: (vips) => agent.report('removeStale', vips),
      },
      told: agent.told,
      present: () => lab.present('a'),
      addPermanent: (prefix) => onHost('addr', 'add', prefix, 'dev', 'eth0'),
      delete: (prefix) => onHost('addr', 'del', prefix, 'dev', 'eth0'),
      setUp: (up) => onHost('link', 'set', 'eth0', up ? 'up' : 'down'),
      deleteInterface: () => onHost('link', 'del', 'eth0'),
      createInterface: () => lab.plug('a'),
      leaveBehind: async (stale) => {
        const earlier = await lab.start('a');
        await earlier.call('claim', [stale]);
        earlier.kill();
      },
      end: () => {
        lab.end();
        return Promise.resolve();
      },
    };
  } catch (error) {
    lab.end();
    throw error;
  }
}

addressesContract('Linux', createWorld);

describe('VIPs on Linux', () => {
  let lab: Lab;

  beforeEach(() => {
    lab = createLab();
  });

  afterEach(() => lab.end());

  function onHost(name: HostName, ...args: string[]): string {
    return ip('-n', lab.namespace(name), ...args);
  }

  test('a VIP is deprecated, leaves by itself and bears our mark', async () => {
    const agent = await lab.start('a');
    await agent.call('claim', [vip]);
    const shown = onHost('a', 'addr', 'show', 'to', vipAddress);
    expect(shown).toMatch(/192\.0\.2\.10\/32 .*deprecated dynamic noprefixroute/);
    expect(shown).toMatch(/valid_lft [12]sec preferred_lft 0sec/);
    expect((await agent.call('present', [])).value).toContainEqual({
      interfaceIndex: expect.any(Number) as number,
      prefix: hostPrefix({ address: vipAddress, prefixLength: 24 }),
      protocol: addressProtocol,
      permanent: false,
    });
  });

  test('a VIP adds no route and is not chosen as a source', async () => {
    const routes = onHost('a', 'route');
    const agent = await lab.start('a');
    await agent.call('claim', [vip]);
    expect(onHost('a', 'route')).toBe(routes);
    expect(onHost('a', 'route', 'get', '192.0.2.99')).toContain('src 192.0.2.1 ');
  });

  test('a VIP that was there before the own address is not its primary and takes nothing along', async () => {
    onHost('a', 'addr', 'flush', 'dev', 'eth0');
    const agent = await lab.start('a');
    await agent.call('claim', [vip]);
    onHost('a', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0');
    expect(onHost('a', 'addr', 'show', 'secondary')).toBe('');
    expect(onHost('a', 'route', 'get', '192.0.2.99')).toContain('src 192.0.2.1 ');
    await agent.call('release', [vip]);
    expect(lab.present('a')).toEqual(['192.0.2.1/24']);
  });

  test('a VIP lives as long as its holder, and no longer than its lifetime after SIGKILL', async () => {
    const agent = await lab.start('a');
    await agent.call('claim', [vip]);
    await systemClock.sleep(2 * lifetimeMs);
    expect(lab.present('a')).toContain(`${vipAddress}/32`);
    agent.kill();
    const timeout = lifetimeMs + 1000;
    await expect.poll(() => lab.present('a'), { timeout, interval: 50 }).toEqual(['192.0.2.1/24']);
    expect(agent.told).toEqual([]);
  });

  test('a claim takes about a millisecond', async () => {
    const agent = await lab.start('a');
    const tookMs: number[] = [];
    for (let round = 0; round < 30; round++) {
      tookMs.push((await agent.call('claim', [vip])).tookMs ?? Infinity);
      await agent.call('release', [vip]);
    }
    const medianMs = tookMs.sort((a, b) => a - b)[15];
    expect(medianMs).toBeLessThan(2);
  });

  test('an IPv6 VIP is usable at once: no duplicate address detection', async () => {
    const agent = await lab.start('a');
    await agent.call('claim', ['2001:db8::10/64']);
    expect(lab.present('a', 'inet6')).toEqual(['2001:db8::10/128']);
    expect(onHost('a', 'addr', 'show', 'tentative')).not.toContain('2001:db8::10');
    await agent.call('release', ['2001:db8::10/64']);
    expect(lab.present('a', 'inet6')).toEqual([]);
  });

  test('a carrier that is lost at the other end is reported', async () => {
    const agent = await lab.start('a');
    ip('-n', lab.namespace('sw'), 'link', 'set', portOf('a'), 'down');
    await expect.poll(() => agent.told).toEqual(['down']);
    ip('-n', lab.namespace('sw'), 'link', 'set', portOf('a'), 'up');
    await expect.poll(() => agent.told).toEqual(['down', 'up']);
  });

  test('an interface that leaves a bridge is not reported as gone', async () => {
    const agent = await lab.start('a');
    onHost('a', 'link', 'add', 'br1', 'type', 'bridge');
    onHost('a', 'link', 'set', 'eth0', 'master', 'br1');
    onHost('a', 'link', 'set', 'eth0', 'nomaster');
    onHost('a', 'link', 'set', 'eth0', 'down');
    await expect.poll(() => agent.told).toEqual(['down']);
  });

  test('without CAP_NET_ADMIN it does not start and names the capability', async () => {
    await expect(lab.start('a', '65534')).rejects.toMatchObject({
      code: 'NET_ADMIN_MISSING',
      mend: expect.stringContaining('CAP_NET_ADMIN') as string,
    });
  });

  test("a neighbour's ARP entry follows the announcements, though it sends nothing itself", async () => {
    const seenByC = (): string => onHost('c', 'neigh', 'show', vipAddress);
    onHost('c', 'neigh', 'add', vipAddress, 'lladdr', '02:00:00:00:00:99', 'nud', 'stale', 'dev', 'eth0');
    const [a, b] = await Promise.all([lab.start('a'), lab.start('b')]);
    await a.call('claim', [vip]);
    await a.call('announce', [vip]);
    await expect.poll(seenByC).toContain(lab.mac('a'));
    await a.call('silence', []);
    await a.call('release', [vip]);
    await b.call('claim', [vip]);
    await b.call('announce', [vip]);
    await expect.poll(seenByC).toContain(lab.mac('b'));
  });

  test('both forms of gratuitous ARP are on the wire', async () => {
    const agent = await lab.start('a');
    const { packets } = await listen(lab, 2, 'arp and host 192.0.2.10');
    await agent.call('announce', [vip]);
    const mac = lab.mac('a');
    const [request, reply] = await packets;
    expect(request).toContain(`${mac} > ff:ff:ff:ff:ff:ff`);
    expect(request).toContain(`Request who-has ${vipAddress} (ff:ff:ff:ff:ff:ff) tell ${vipAddress}`);
    expect(reply).toContain(`${mac} > ff:ff:ff:ff:ff:ff`);
    expect(reply).toContain(`Reply ${vipAddress} is-at ${mac}`);
    expect((await agent.call('counts', [])).value).toMatchObject({ sendFailures: 0 });
  });

  test('the neighbor advertisement is well-formed', async () => {
    const agent = await lab.start('a');
    const { packets } = await listen(lab, 1, 'icmp6 and ip6 src 2001:db8::10');
    await agent.call('announce', ['2001:db8::10/64']);
    const [advertisement] = await packets;
    expect(advertisement).toContain('hlim 255');
    expect(advertisement).toContain('[icmp6 sum ok]');
    expect(advertisement).toMatch(/tgt is 2001:db8::10, Flags \[override\]/);
  });

  test('announcements go out again after the link was down', async () => {
    const agent = await lab.start('a');
    onHost('a', 'link', 'set', 'eth0', 'down');
    onHost('a', 'link', 'set', 'eth0', 'up');
    await expect.poll(() => agent.told).toEqual(['down', 'up']);
    await agent.call('announce', [vip]);
    expect((await agent.call('counts', [])).value).toMatchObject({ framesSent: 2, sendFailures: 0 });
  });
});

/** A capture on host c that has begun; `packets` resolves with one text per packet. */
async function listen(lab: Lab, count: number, filter: string): Promise<{ packets: Promise<readonly string[]> }> {
  const tcpdump = lab.spawn('c', 'tcpdump', '-nnevvl', '--immediate-mode', '-c', String(count), '-i', 'eth0', filter);
  const begun = new Promise<void>((resolve) => {
    tcpdump.stderr?.on('data', (text: Buffer) => {
      if (text.includes('listening on')) resolve();
    });
  });
  let output = '';
  tcpdump.stdout?.on('data', (text: Buffer) => {
    output += text.toString();
  });
  // What belongs to a packet is indented but for its first line.
  const packets = once(tcpdump, 'close').then(() => output.trim().split(/\n(?=\S)/));
  await begun;
  return { packets };
}
