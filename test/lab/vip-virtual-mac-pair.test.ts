/** Two vrrp processes in virtual MAC mode: elections among routers that send from one and the same MAC. */
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RouterSpec, VrrpCommand, VrrpReport } from '../../src/node/vrrp-protocol.ts';
import { createLab, hostNames, ip, portOf, watch } from './vip-lab.ts';
import type { HostName, Lab } from './vip-lab.ts';

const entry = fileURLToPath(new URL('../../src/node/vrrp-process.ts', import.meta.url));
const vip = '192.0.2.10';
const virtualMac = '00:00:5e:00:01:33';

/** A vrrp process as the main process sees it. */
class Router {
  readonly transitions: string[] = [];
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, spec: RouterSpec) {
    this.#child = child;
    child.stderr?.pipe(process.stderr);
    child.on('message', (report: VrrpReport) => {
      if (report.type === 'transition') this.transitions.push(`${report.to} (${report.cause})`);
      else if (report.type === 'failed') this.transitions.push(report.what);
    });
    const routers = [{ ...spec, fence: undefined, health: { priority: spec.priority, faults: [] } }];
    this.#send({ type: 'configure', routers, isPreemptPermitted: true });
  }

  get last(): string | undefined {
    return this.transitions.at(-1);
  }

  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.on('exit', resolve));
    this.#send({ type: 'stop' });
    await exited;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #send(command: VrrpCommand): void {
    this.#child.send(command);
  }
}

let lab: Lab;

beforeEach(async () => {
  lab = createLab();
  for (const name of hostNames) {
    for (const path of ['all/rp_filter', 'eth0/rp_filter', 'all/arp_ignore', 'eth0/arp_ignore', 'eth0/arp_announce']) {
      lab.set(name, `ipv4/conf/${path}`, 0);
    }
  }
  await Promise.all([lab.serve('a'), lab.serve('b')]);
});

afterEach(() => lab.end());

test('a pair fails over and back; the client keeps its neighbour entry, all adverts are from that MAC', async () => {
  const others = await Promise.all(
    (['a', 'b'] as const).map((name) => watch(lab, name, `ip proto 112 and not ether src ${virtualMac}`)),
  );
  const b = startRouter('b', 100);
  await expect.poll(() => b.last, patience).toBe('active (active-silent)');
  expect([lab.ask(vip), lab.macSeenByC(vip), lab.portOfMac(virtualMac)]).toEqual(['b', virtualMac, portOf('b')]);

  // It preempts: the other one, active and with the same MAC up, has to hear it.
  const a = startRouter('a', 200);
  await expect.poll(() => [a.last, b.last], patience).toEqual(['active (preempt)', 'backup (higher-priority)']);
  expect([lab.ask(vip), lab.macSeenByC(vip), lab.portOfMac(virtualMac)]).toEqual(['a', virtualMac, portOf('a')]);

  a.kill();
  await expect.poll(() => b.last, patience).toBe('active (active-silent)');
  await expect.poll(() => lab.portOfMac(virtualMac)).toBe(portOf('b'));
  expect([lab.ask(vip), lab.macSeenByC(vip)]).toEqual(['b', virtualMac]);

  await b.stop();
  expect(lab.setting('b', 'ipv4/conf/eth0/arp_ignore')).toBe(0);
  expect(ip('-n', lab.namespace('b'), '-br', 'link')).not.toContain('v4-51');
  expect((await Promise.all(others.map((capture) => capture.end()))).flat()).toEqual([]);
});

const patience = { timeout: 5000, interval: 20 } as const;

function startRouter(name: HostName, priority: number): Router {
  return new Router(lab.spawn(name, process.execPath, entry), {
    name: 'web',
    version: 3,
    vrid: 51,
    interface: 'eth0',
    family: 4,
    addresses: [{ address: vip, prefixLength: 24 }],
    priority,
    advertIntervalMs: 100,
    preempt: true,
    preemptDelayMs: 0,
    ownAddress: `192.0.2.${1 + hostNames.indexOf(name)}`,
    unicastPeer: undefined,
    checksum: 'auto',
    simplePassword: undefined,
    hmac: undefined,
    syncGroup: undefined,
    virtualMac: true,
    announceRefreshMs: 0,
    epoch: 0,
  });
}
