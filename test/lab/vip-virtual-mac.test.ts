/** VIPs on real interfaces, in virtual MAC mode, beside the kernel's own ARP, routing and IPv6. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/index.ts';
import { createLab, hostNames, ip, lifetimeMs, listen, outputOf, portOf, watch } from './vip-lab.ts';
import type { HostName, Lab } from './vip-lab.ts';

const families = {
  IPv4: { vip: '192.0.2.10/24', address: '192.0.2.10', mac: '00:00:5e:00:01:33', name: 'v4-51-eth0' },
  IPv6: { vip: '2001:db8::10/64', address: '2001:db8::10', mac: '00:00:5e:00:02:33', name: 'v6-51-eth0' },
} as const;
const { vip, address: vipAddress, mac: virtualMac, name: virtualName } = families.IPv4;
const ipv4Mode = ['--vrid=51', '--family=4'] as const;
const ipv6Mode = ['--vrid=51', '--family=6'] as const;
const everyScope = ['all', 'default', 'eth0'] as const;
const arpOfEth0 = ['ipv4/conf/eth0/arp_ignore', 'ipv4/conf/eth0/arp_announce'] as const;

const routerAdvertisementPath = fileURLToPath(new URL('fixtures/send-router-advertisement.ts', import.meta.url));

let lab: Lab;

beforeEach(() => {
  lab = createLab();
  for (const name of hostNames) {
    ip('-n', lab.namespace(name), 'addr', 'add', `2001:db8::${1 + hostNames.indexOf(name)}/64`, 'dev', 'eth0', 'nodad');
    // A namespace begins with what this machine has.
    for (const setting of ['rp_filter', 'arp_ignore', 'arp_announce']) {
      for (const of of everyScope) lab.set(name, `ipv4/conf/${of}/${setting}`, 0);
    }
  }
});

afterEach(() => lab.end());

describe.each(['IPv4', 'IPv6'] as const)('a virtual MAC over %s', (family) => {
  const { vip, address, mac, name: interfaceName } = families[family];
  const mode = family === 'IPv4' ? ipv4Mode : ipv6Mode;

  beforeEach(() => (family === 'IPv6' ? ipv6Usable() : undefined));

  test('a backup has the interface, down, and says nothing from the virtual MAC', async () => {
    const fromA = await watch(lab, 'a', `ether src ${mac}`);
    await lab.start('a', ...mode);
    await systemClock.sleep(1500);
    expect(await fromA.end()).toEqual([]);
    expect(ip('-n', lab.namespace('a'), 'link', 'show', interfaceName)).toMatch(/<BROADCAST,MULTICAST>/);
  });

  test('two hosts exchange it: the switch follows the first advert, the client keeps its neighbour entry', async () => {
    const [a, b] = await Promise.all([
      lab.start('a', ...mode),
      lab.start('b', ...mode),
      lab.serve('a'),
      lab.serve('b'),
    ]);
    await a.call('claim', [vip]);
    await a.call('advert', []);
    expect(lab.ask(address)).toBe('a');
    expect([lab.macSeenByC(address), lab.portOfMac(mac)]).toEqual([mac, portOf('a')]);
    const changes = await neighbourChanges(address);

    await a.call('release', [vip]);
    expect(ip('-n', lab.namespace('a'), 'link', 'show', interfaceName)).toMatch(/<BROADCAST,MULTICAST>/);
    const fromA = await watch(lab, 'a', `ether src ${mac}`);
    await b.call('claim', [vip]);
    await b.call('advert', []);
    await expect.poll(() => lab.portOfMac(mac), { interval: 5 }).toBe(portOf('b'));
    expect(lab.ask(address)).toBe('b');
    expect(await fromA.end()).toEqual([]);
    expect(lab.macSeenByC(address)).toBe(mac);
    expect((await changes.end()).filter((line) => !line.includes(mac))).toEqual([]);
  });

  test('a host that is killed while active does not win the switch back, and lets go of the VIP', async () => {
    const [a, b] = await Promise.all([lab.start('a', ...mode), lab.start('b', ...mode), lab.serve('b')]);
    await a.call('claim', [vip]);
    await a.call('advert', []);
    a.kill();
    await b.call('claim', [vip]);
    await systemClock.sleep(lifetimeMs + 2000);
    expect(ip('-n', lab.namespace('a'), 'addr', 'show', 'to', address)).toBe('');
    const fromA = await watch(lab, 'a', `ether src ${mac}`);
    await b.call('advert', []);
    ip('-n', lab.namespace('c'), 'neigh', 'flush', 'all');
    expect(lab.ask(address)).toBe('b');
    expect(lab.portOfMac(mac)).toBe(portOf('b'));
    expect(await fromA.end()).toEqual([]);
  });

  test('an advert leaves from the virtual MAC, also after the addresses were released', async () => {
    const agent = await lab.start('a', ...mode);
    const { packets } = await listen(lab, 3, 'ether multicast and (ip proto 112 or ip6 proto 112)');
    const failures = [(await agent.call('advert', [])).value];
    await agent.call('claim', [vip]);
    failures.push((await agent.call('advert', [])).value);
    await agent.call('release', [vip]);
    failures.push((await agent.call('advert', [])).value);
    expect(failures).toEqual([undefined, undefined, undefined]);
    const destination = family === 'IPv4' ? '01:00:5e:00:00:12' : '33:33:00:00:00:12';
    for (const packet of await packets) expect(packet).toContain(`${mac} > ${destination}`);
  });

  test('announcements name the virtual MAC and come from it', async () => {
    const agent = await lab.start('a', ...mode);
    await agent.call('claim', [vip]);
    const { packets } = await listen(lab, 1, `ether src ${mac} and (arp or icmp6[icmp6type] == 136)`);
    await agent.call('announce', [vip]);
    const [packet] = await packets;
    expect(packet).toMatch(family === 'IPv4' ? /tell 192\.0\.2\.10/ : /tgt is 2001:db8::10, Flags \[override\]/);
    expect((await agent.call('counts', [])).value).toMatchObject({ sendFailures: 0 });
  });
});

describe('ARP and routing around a virtual MAC', () => {
  test('the VIP is at the virtual MAC only, the own address at the own MAC only', async () => {
    const agent = await lab.start('a', ...ipv4Mode);
    await agent.call('claim', [vip]);
    const replies = await watch(lab, 'a', 'arp[6:2] = 2');
    for (const address of [vipAddress, '192.0.2.1']) {
      ip('-n', lab.namespace('c'), 'neigh', 'flush', 'all');
      expect(lab.ask(address)).toBe('ECONNREFUSED');
    }
    const told = (await replies.end()).map((line) =>
      /Reply (\S+) is-at ([0-9a-f:]+)/.exec(line)?.slice(1).join(' at '),
    );
    expect(told).toEqual([`${vipAddress} at ${virtualMac}`, `192.0.2.1 at ${lab.mac('a')}`]);
  });

  test('what a connection from the VIP makes the host ask does not show the VIP at the own MAC', async () => {
    const agent = await lab.start('a', ...ipv4Mode);
    await agent.call('claim', [vip]);
    await agent.call('announce', [vip]);
    ip('-n', lab.namespace('c'), 'neigh', 'replace', vipAddress, 'lladdr', virtualMac, 'nud', 'stale', 'dev', 'eth0');
    const { packets } = await listen(lab, 1, `arp and ether src ${lab.mac('a')}`);
    const connect = `require('net').connect({host:'192.0.2.3',port:9,localAddress:'${vipAddress}'}).on('error',()=>{})`;
    await once(lab.spawn('a', process.execPath, '-e', connect), 'close');
    expect((await packets)[0]).toContain('who-has 192.0.2.3 tell 192.0.2.1');
    expect(lab.macSeenByC(vipAddress)).toBe(virtualMac);
  });

  test.each([0, 1, 2])(
    'it serves where rp_filter is %i for all interfaces, which is left as it is',
    async (strictness) => {
      for (const of of everyScope) lab.set('a', `ipv4/conf/${of}/rp_filter`, strictness);
      const [agent] = await Promise.all([lab.start('a', ...ipv4Mode), lab.serve('a')]);
      await agent.call('claim', [vip]);
      expect(lab.ask(vipAddress)).toBe('a');
      expect(lab.setting('a', 'ipv4/conf/all/rp_filter')).toBe(strictness);
    },
  );

  test('IPv6 routers give it no address and no route', async () => {
    const agent = await lab.start('a', ...ipv6Mode);
    await agent.call('claim', [families.IPv6.vip]);
    advertiseRouter('b');
    await expect.poll(() => ip('-n', lab.namespace('a'), '-6', 'route', 'show', 'proto', 'ra')).toContain('dev eth0');
    expect(ip('-n', lab.namespace('a'), '-6', 'route', 'show', 'proto', 'ra')).not.toContain(families.IPv6.name);
    expect(ip('-n', lab.namespace('a'), '-6', '-o', 'addr', 'show', 'dev', families.IPv6.name).trim()).toMatch(
      /^[^\n]*2001:db8::10\/128[^\n]*$/,
    );
  });

  test('service goes on while somebody deletes the interface again and again', async () => {
    const [agent] = await Promise.all([lab.start('a', ...ipv4Mode), lab.serve('a')]);
    await agent.call('claim', [vip]);
    for (let round = 1; round <= 2; round++) {
      ip('-n', lab.namespace('a'), 'link', 'del', virtualName);
      await expect.poll(() => agent.told.filter((line) => line === `lost ${vipAddress}`)).toHaveLength(round);
      expect(lab.ask(vipAddress)).toBe('a');
    }
  });
});

describe('what a virtual MAC changes on the host', () => {
  const settings = (): readonly number[] => arpOfEth0.map((path) => lab.setting('a', path));
  const linkNames = (): readonly string[] =>
    (JSON.parse(ip('-n', lab.namespace('a'), '-j', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname);

  test('is put back when it stops', async () => {
    lab.set('a', 'ipv4/conf/eth0/arp_announce', 1);
    const agent = await lab.start('a', ...ipv4Mode);
    expect(settings()).toEqual([1, 2]);
    await agent.call('claim', [vip]);
    await agent.call('stop', []);
    expect(settings()).toEqual([0, 1]);
    expect(linkNames()).toEqual(['lo', 'eth0']);
  });

  test('is put back by the next life after SIGKILL, which also replaces the interface', async () => {
    lab.set('a', 'ipv4/conf/eth0/arp_announce', 1);
    const killed = await lab.start('a', ...ipv4Mode);
    await killed.call('claim', [vip]);
    killed.kill();
    const next = await lab.start('a', ...ipv4Mode);
    expect(ip('-n', lab.namespace('a'), 'link', 'show', virtualName)).toMatch(/<BROADCAST,MULTICAST>/);
    expect(ip('-n', lab.namespace('a'), 'addr', 'show', 'to', vipAddress)).toBe('');
    await next.call('stop', []);
    expect(settings()).toEqual([0, 1]);
  });

  test('stays until the last virtual router of the interface stops', async () => {
    const [first, second] = [await lab.start('a', ...ipv4Mode), await lab.start('a', ...ipv6Mode)];
    await first.call('stop', []);
    expect(settings()).toEqual([1, 2]);
    await second.call('stop', []);
    expect(settings()).toEqual([0, 0]);
  });

  test.each([
    ['its name', 'VIRTUAL_INTERFACE_TAKEN', ['link', 'add', virtualName, 'type', 'bridge']],
    [
      'its MAC',
      'VIRTUAL_MAC_TAKEN',
      ['link', 'add', 'vrrp.51', 'link', 'eth0', 'address', virtualMac, 'type', 'macvlan', 'mode', 'private'],
    ],
  ])('is nothing where somebody else has %s', async (_, code, command) => {
    ip('-n', lab.namespace('a'), ...command);
    const before = linkNames();
    await expect(lab.start('a', ...ipv4Mode)).rejects.toMatchObject({ code });
    expect(settings()).toEqual([0, 0]);
    expect(linkNames()).toEqual(before);
  });

  test('needs no writable /proc/sys, unless IPv6 routers would be followed', async () => {
    const readOnly = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"';
    const container = ['sh', '-c', readOnly, 'sh'];
    await expect(lab.startWithin('a', container, ...ipv4Mode)).rejects.toMatchObject({
      code: 'ROUTER_ADVERTISEMENTS',
      mend: expect.stringContaining('net.ipv6.conf.default.accept_ra') as string,
    });
    expect(settings()).toEqual([0, 0]);
    expect(linkNames()).toEqual(['lo', 'eth0']);
    lab.set('a', 'ipv6/conf/default/accept_ra', 0);
    await lab.startWithin('a', container, ...ipv4Mode);
    expect(settings()).toEqual([1, 2]);
  });
});

/** Before its own addresses are usable, no host looks for a neighbour over IPv6. */
async function ipv6Usable(): Promise<void> {
  const tentative = (name: HostName): string =>
    ip('-n', lab.namespace(name), '-6', 'addr', 'show', 'dev', 'eth0', 'tentative');
  await expect.poll(() => hostNames.map(tentative), { timeout: 5000 }).toEqual(['', '', '']);
}

/** What the client's kernel tells of its neighbour entry for the address. */
async function neighbourChanges(address: string): Promise<{ end(): Promise<readonly string[]> }> {
  const monitor = lab.spawn('c', 'ip', 'monitor', 'neigh');
  const output = outputOf(monitor);
  // It listens when it tells of a change that is made for this alone.
  let change = 0;
  await expect
    .poll(() => {
      const made = ['192.0.2.99', 'lladdr', `02:00:00:00:00:${10 + change++}`, 'dev', 'eth0'];
      ip('-n', lab.namespace('c'), 'neigh', 'replace', ...made);
      return output();
    })
    .toContain('192.0.2.99');
  return {
    async end() {
      monitor.kill('SIGTERM');
      await once(monitor, 'close');
      return output()
        .split('\n')
        .filter((line) => line.includes(`${address} `));
    },
  };
}

/** One router advertisement: a network to take an address of, and a default route. */
function advertiseRouter(name: HostName): void {
  lab.run(name, process.execPath, routerAdvertisementPath, lab.mac(name));
}
