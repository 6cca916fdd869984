/** The lab itself: what it builds is connected, its faults are what they say they are, and nothing of it is left. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Host } from './host.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { sweepStaleLabs } from './ownership.ts';
import { pairConfig, tandemPath } from './tandem.ts';
import { run } from './run.ts';
import { monotonicMs, sleep, waitUntil } from './time.ts';
import { startProber, startServer, startVerifier } from './tools.ts';

const port = 8080;
const script = (file: string): string => new URL(file, import.meta.url).pathname;

let lab: Lab;

beforeAll(async () => {
  lab = await createLab();
  await Promise.all(['s1', 's2', 'lb2'].map((name) => startServer(lab.host(name), { port })));
});

afterAll(async () => {
  await lab.destroy();
});

/** Who answers there, as a new connection from the host sees it; undefined if nobody does within a second. */
async function who(from: Host, address: string): Promise<string | undefined> {
  const argv = ['curl', '-s', '--max-time', '1', `http://${address}:${port}/who`];
  const { stdout, code } = await from.exec(argv);
  return code === 0 ? stdout.trim() : undefined;
}

describe('topology', () => {
  test('hosts reach each other in each network, and nobody has the virtual address', async () => {
    expect(await who(lab.host('client'), '10.9.0.21')).toBe('s1');
    expect(await who(lab.host('lb1'), '10.9.0.22')).toBe('s2');
    expect(await who(lab.host('lb1'), '10.9.1.12')).toBe('lb2');
    expect(await who(lab.host('client'), '10.9.0.100')).toBeUndefined();
  });

  test('the networks are separate, and no host forwards', async () => {
    expect(await who(lab.host('client'), '10.9.1.12')).toBeUndefined();
    for (const host of lab.hosts) {
      expect((await host.exec(['cat', '/proc/sys/net/ipv4/ip_forward'])).stdout.trim()).toBe('0');
    }
  });

  test('a host says which addresses it has, and whom it knows', async () => {
    const lb1 = lab.host('lb1');
    expect(await lb1.hasAddress('10.9.0.11')).toBe(true);
    expect(await lb1.hasAddress('10.9.0.100')).toBe(false);
    expect(await lb1.addresses()).toContainEqual({
      interface: 'sync0',
      address: '10.9.1.11',
      prefixLength: 24,
      validForS: undefined,
    });
    await who(lb1, '10.9.0.22');
    const neighbour = (await lb1.neighbours()).find((entry) => entry.address === '10.9.0.22');
    expect(neighbour?.mac).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  });

  test('several labs with the same addresses live side by side', async () => {
    await using other = await createLab();
    await startServer(other.host('s1'), { name: 'the other s1', port });
    expect(await who(other.host('client'), '10.9.0.21')).toBe('the other s1');
    expect(await who(lab.host('client'), '10.9.0.21')).toBe('s1');
  });
});

describe('processes', () => {
  test('see the interfaces of their own host, and are collected line by line', async () => {
    const process = lab.host('lb1').spawn(['sh', '-c', 'ls /sys/class/net; echo problem >&2; exit 3']);
    expect(await process.exited).toEqual({ code: 3, signal: undefined });
    await process.waitForLine(/problem/, 1000);
    expect(process.stdout).toEqual(['lan0', 'lo', 'sync0']);
    expect(process.stderr).toEqual(['problem']);
  });

  test('waiting for a line that never comes fails, and shows what was said instead', async () => {
    const process = lab.host('lb1').spawn(['sh', '-c', 'echo something else; exec sleep 100']);
    await expect(process.waitForLine(/ready/, 200)).rejects.toThrow(/did not say .*\n {2}stdout: something else/);
    expect(await process.stop()).toEqual({ code: undefined, signal: 'SIGTERM' });
  });

  test('one that ignores SIGTERM is killed', async () => {
    const process = lab.host('lb1').spawn(['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done']);
    await process.waitForLine(/ready/, 2000);
    expect((await process.stop(100)).signal).toBe('SIGKILL');
    lab.host('lb1').killAll('SIGKILL');
  });

  test('a command that takes too long is killed and fails', async () => {
    await expect(lab.host('lb1').exec(['sleep', '100'], { timeoutMs: 100 })).rejects.toThrow(/sleep 100: ended by/);
  });

  test('all of one host are frozen, go on, and die together; those of others live', async () => {
    const host = lab.host('lb1');
    const parent = host.spawn(['sh', '-c', 'sleep 100 & sleep 101 & echo started; wait']);
    await parent.waitForLine(/started/, 2000);
    expect(host.killAll('SIGSTOP')).toHaveLength(3);
    await waitUntil(() => host.processes().every((pid) => stateOf(pid) === 'T'), { timeoutMs: 1000, what: 'frozen' });
    host.killAll('SIGCONT');
    await waitUntil(() => host.processes().every((pid) => stateOf(pid) === 'S'), { timeoutMs: 1000, what: 'going on' });
    host.killAll('SIGKILL');
    expect((await parent.exited).signal).toBe('SIGKILL');
    await waitUntil(() => host.processes().length === 0, { timeoutMs: 1000, what: 'nothing runs' });
    expect(await who(lab.host('client'), '10.9.0.21')).toBe('s1');
  });
});

describe('faults', () => {
  test('a cut takes the carrier and the traffic, healing brings back both', async () => {
    const s1 = lab.host('s1');
    const prober = await startProber(lab.host('client'), { address: '10.9.0.21', port });
    await sleep(200);
    const cutMs = monotonicMs();
    await lab.cut('s1', 'lan');
    expect(await s1.hasCarrier('lan0')).toBe(false);
    expect(await lab.host('s2').hasCarrier('lan0')).toBe(true);
    expect(await passed('udp', 'client', 's1', 5)).toBe(0);
    await lab.heal('s1', 'lan');
    expect(await s1.hasCarrier('lan0')).toBe(true);
    expect(await passed('udp', 'client', 's1', 5)).toBe(5);
    const { longestGap } = await prober.stop();
    expect(longestGap?.startMs).toBeGreaterThan(cutMs - 50);
    expect(longestGap?.startMs).toBeLessThan(cutMs + 50);
  });

  test('a block is silent, counts for its network and host only, and ends', async () => {
    await lab.block('s1', 'lan', 'both');
    expect(await lab.host('s1').hasCarrier('lan0')).toBe(true);
    expect(await who(lab.host('client'), '10.9.0.21')).toBeUndefined();
    expect(await who(lab.host('client'), '10.9.0.22')).toBe('s2');
    await lab.unblock('s1', 'lan');
    expect(await who(lab.host('client'), '10.9.0.21')).toBe('s1');
  });

  test.each([
    { direction: 'out', mute: 'lb1', deaf: 'lb2', blocked: 'lb1' },
    { direction: 'in', mute: 'lb2', deaf: 'lb1', blocked: 'lb1' },
  ] as const)('a block one way ($direction) lets the other way pass', async ({ direction, mute, deaf, blocked }) => {
    // An address that is not resolved yet would be asked for, and the answer be blocked.
    await passed('udp', mute, deaf, 1);
    await passed('udp', deaf, mute, 1);
    await lab.block(blocked, 'lan', direction);
    expect(await passed('udp', mute, deaf, 5)).toBe(0);
    expect(await passed('udp', deaf, mute, 5)).toBe(5);
    await lab.unblock(blocked, 'lan');
    expect(await passed('udp', mute, deaf, 5)).toBe(5);
  });

  test('a block of VRRP keeps back adverts and nothing else', async () => {
    expect(await passed('vrrp', 'lb1', 'lb2', 5)).toBe(5);
    await lab.block('lb1', 'lan', 'both', { protocol: 'vrrp' });
    expect(await passed('vrrp', 'lb1', 'lb2', 5)).toBe(0);
    expect(await passed('vrrp', 'lb2', 'lb1', 5)).toBe(0);
    expect(await who(lab.host('lb1'), '10.9.0.12')).toBe('lb2');
    await lab.unblock('lb1', 'lan');
  });

  test('a block of TCP keeps back TCP and lets adverts pass', async () => {
    await lab.block('lb1', 'lan', 'both', { protocol: 'tcp' });
    expect(await who(lab.host('lb1'), '10.9.0.12')).toBeUndefined();
    expect(await passed('vrrp', 'lb1', 'lb2', 5)).toBe(5);
    await lab.unblock('lb1', 'lan');
  });

  test('loss takes the share it is told to, and ends', async () => {
    const count = 4000;
    await passed('udp', 'client', 's3', 1);
    await lab.loss('s3', 'lan', 25);
    const arrived = await passed('udp', 'client', 's3', count);
    // Five standard deviations of a binomial distribution: wrong once in two million runs.
    expect(Math.abs(arrived - count * 0.75)).toBeLessThan(5 * Math.sqrt(count * 0.75 * 0.25));
    await lab.loss('s3', 'lan', 0);
    expect(await passed('udp', 'client', 's3', count)).toBe(count);
  });

  test('the prober measures an outage in the network, not the retransmission of a SYN', async () => {
    const prober = await startProber(lab.host('client'), { address: '10.9.0.21', port });
    await sleep(200);
    const fromMs = monotonicMs();
    await lab.block('s1', 'lan', 'in');
    await sleep(400);
    const toMs = monotonicMs();
    await lab.unblock('s1', 'lan');
    await sleep(300);
    const report = await prober.stop();
    expect(report.longestGap?.startMs).toBeGreaterThan(fromMs - 50);
    expect(report.longestGap?.endMs).toBeGreaterThan(toMs);
    expect(report.longestGap?.endMs).toBeLessThan(toMs + 100);
    expect(report.timeout).toBeGreaterThan(200);
  });

  test('a verifier rides out loss: TCP repairs it, and the gaps are told', async () => {
    const verifier = await startVerifier(lab.host('client'), {
      address: '10.9.0.22',
      port,
      connections: 10,
      mode: 'block',
    });
    await lab.loss('s2', 'lan', 5);
    await sleep(1000);
    await lab.loss('s2', 'lan', 0);
    const report = await verifier.stop();
    expect(report.endings.completed).toBe(10);
    expect(report.bytesVerified).toBe(report.bytesSent);
    expect(report.longestConnectionGap?.ms).toBeGreaterThan(100);
    expect(verifier.endings()).toEqual([]);
  });

  test('thousands of connections are held, and the report on them comes whole', async () => {
    const options = { address: '10.9.0.22', port, connections: 3000, mode: 'idle' } as const;
    const verifier = await startVerifier(lab.host('client'), options);
    const report = await verifier.stop();
    expect(report.endings.completed).toBe(3000);
    expect(report.connections).toHaveLength(3000);
  });

  test('what does not exist cannot be cut or blocked', async () => {
    await expect(lab.cut('s1', 'sync')).rejects.toThrow(/s1 is not in network sync/);
    await expect(lab.block('nobody', 'lan', 'in')).rejects.toThrow(/nobody is not in network lan/);
  });
});

describe('nothing is left behind', () => {
  test('after destroy: no process, no namespace, no directory', async () => {
    const other = await createLab();
    const process = other.host('s1').spawn(['sh', '-c', 'sleep 100 & echo started; wait']);
    await process.waitForLine(/started/, 2000);
    const pids = other.host('s1').processes();
    expect(pids).toHaveLength(2);
    await other.destroy();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(remains(other)).toEqual([]);
    expect(existsSync(other.directory)).toBe(false);
  });

  test('after SIGKILL of the owner', async () => {
    const owner = lab.host('s3').spawn([process.execPath, script('fixtures/stray-owner.ts')]);
    const stray = await strayLab(owner);
    expect(isAlive(stray.serverPid)).toBe(true);
    owner.kill('SIGKILL');
    await waitUntil(() => !isAlive(stray.serverPid) && remainsOf(stray.name).length === 0, {
      timeoutMs: 5000,
      what: `${stray.name} is gone`,
    });
    await waitUntil(() => !existsSync(stray.directory), { timeoutMs: 1000, what: 'its directory is gone' });
  });

  test('after SIGKILL of the owner and its reaper, by the next lab; those in use stay', async () => {
    const owner = lab.host('s3').spawn([process.execPath, script('fixtures/stray-owner.ts')]);
    const stray = await strayLab(owner);
    for (const pid of reapersOf(stray.name)) process.kill(pid, 'SIGKILL');
    owner.kill('SIGKILL');
    await owner.exited;
    expect(remainsOf(stray.name)).not.toEqual([]);
    expect(await sweepStaleLabs()).toContain(stray.name);
    expect(remainsOf(stray.name)).toEqual([]);
    expect(isAlive(stray.serverPid)).toBe(false);
    expect(await who(lab.host('client'), '10.9.0.21')).toBe('s1');
  });
});

describe('without root', () => {
  const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const env = { HOME: '/' };

  test('the lab says in one line what it needs', async () => {
    const { code, stdout } = await run([...nobody, process.execPath, script('fixtures/mini-lab.ts')], { env });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^network namespaces cannot be made here \(.+\); run as root, or .*enter\.sh COMMAND\n$/);
  });

  test('enter.sh makes it work where users may have namespaces, and says so where not', async () => {
    const mayEnter = (await run([...nobody, 'unshare', '--user', '--map-root-user', '--net', 'true'])).code === 0;
    const argv = [...nobody, script('enter.sh'), process.execPath, script('fixtures/mini-lab.ts')];
    const { code, stdout, stderr } = await run(argv, { env });
    if (mayEnter) expect([stderr, stdout, code]).toEqual(['', 's1 answers; carrier lost: true\n', 0]);
    else expect([code, stderr]).toEqual([1, expect.stringMatching(/^enter\.sh: network namespaces need root.*\n$/)]);
  });

  test('enter.sh as root runs the command as it is, and without one explains itself', async () => {
    expect((await run([script('enter.sh'), 'sh', '-c', 'exit 7'])).code).toBe(7);
    const usage = await run([script('enter.sh')]);
    expect([usage.code, usage.stderr]).toEqual([2, 'usage: enter.sh COMMAND [ARGUMENT ...]\n']);
  });
});

describe('the config of the pair', () => {
  test('is one that `tandem check` accepts', async () => {
    const file = join(lab.directory, 'pair.yaml');
    writeFileSync(file, pairConfig(lab));
    const { stdout, stderr, code } = await run([tandemPath, 'check', '-c', file]);
    expect([stderr, code], stdout).toEqual(['', 0]);
  });
});

/**
 * How many of so many packets get from one host to the other. What the switch lets pass has arrived when the sender has
 * ended: within one machine a frame is delivered before the call that sends it returns.
 */
async function passed(protocol: 'udp' | 'vrrp', from: string, to: string, count: number): Promise<number> {
  const receiver = lab.host(to);
  const address = (await receiver.addresses()).find((entry) => entry.interface === 'lan0')?.address ?? '';
  expect((await receiver.exec(['nft', '-f', '-'], { input: counterRules })).code).toBe(0);
  const argv = [process.execPath, script('fixtures/send-packet.ts'), protocol, address, String(count)];
  const { stderr, code } = await lab.host(from).exec(argv);
  expect([stderr, code]).toEqual(['', 0]);
  const listed = await receiver.execJson(['nft', '-j', 'list', 'counter', 'inet', 'lab', `${protocol}_packets`]);
  return (listed as NftCounter).nftables.flatMap((entry) => entry.counter?.packets ?? [])[0] ?? -1;
}

type NftCounter = { readonly nftables: readonly { readonly counter?: { readonly packets: number } }[] };

const counterRules = `
table inet lab {}
delete table inet lab
table inet lab {
  counter udp_packets {}
  counter vrrp_packets {}
  chain input {
    type filter hook input priority 0;
    udp dport 7 counter name udp_packets
    meta l4proto 112 counter name vrrp_packets
  }
}
`;

function stateOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2)[0];
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && stateOf(pid) !== 'Z';
}

function remainsOf(name: string): string[] {
  return readdirSync('/run/netns').filter((namespace) => namespace.startsWith(`${name}-`));
}

function remains(of: Lab): string[] {
  return remainsOf(of.directory.split('/').at(-1) ?? '');
}

async function strayLab(
  owner: ReturnType<Host['spawn']>,
): Promise<{ name: string; directory: string; serverPid: number }> {
  const line = await owner.waitForLine(/"directory"/, 10_000);
  const { directory, serverPid } = JSON.parse(line) as { directory: string; serverPid: number };
  return { name: directory.split('/').at(-1) ?? '', directory, serverPid };
}

function reapersOf(name: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => commandOf(pid).includes('reap.sh') && commandOf(pid).includes(name))
    .map(Number);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
