/** VIPs on real interfaces, in interface-MAC mode. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/index.ts';
import { addressProtocol, hostPrefix } from '../../src/vip/index.ts';
import { addressesContract } from '../unit/vip/addresses-contract.ts';
import type { AddressesWorld } from '../unit/vip/addresses-contract.ts';
import { createLab, hostNames, ip, lifetimeMs, listen, portOf } from './vip-lab.ts';
import type { HostName, Lab } from './vip-lab.ts';

const vip = '192.0.2.10/24';
const vipAddress = '192.0.2.10';

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

  function giveIpv6Addresses(): void {
    for (const name of hostNames) {
      onHost(name, 'addr', 'add', `2001:db8::${1 + hostNames.indexOf(name)}/64`, 'dev', 'eth0', 'nodad');
    }
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
    await expect(lab.start('a', '--uid=65534')).rejects.toMatchObject({
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

  test.each([0, 1])('where IPv6 forwarding is %i, announcements and the kernel agree on being a router', async (on) => {
    const router = on === 1 ? 'router, ' : '';
    const advertisement = `icmp6[icmp6type] == 136 and ether src ${lab.mac('a')}`;
    giveIpv6Addresses();
    lab.set('a', 'ipv6/conf/all/forwarding', on);
    const agent = await lab.start('a');
    await agent.call('claim', ['2001:db8::10/64']);
    const unsolicited = await listen(lab, 1, advertisement);
    await agent.call('announce', ['2001:db8::10/64']);
    expect((await unsolicited.packets)[0]).toContain(`tgt is 2001:db8::10, Flags [${router}override]`);
    await agent.call('silence', []);
    const solicited = await listen(lab, 1, advertisement);
    expect(lab.ask('2001:db8::10')).toBe('ECONNREFUSED');
    expect((await solicited.packets)[0]).toContain(`tgt is 2001:db8::10, Flags [${router}solicited, override]`);
  });

  test("an IPv6 neighbour's entry follows the advertisements, though it sends nothing itself", async () => {
    giveIpv6Addresses();
    const stale = ['2001:db8::10', 'lladdr', '02:00:00:00:00:99', 'nud', 'stale', 'dev', 'eth0'];
    onHost('c', 'neigh', 'add', ...stale);
    for (const name of ['a', 'b'] as const) {
      const agent = await lab.start(name);
      await agent.call('claim', ['2001:db8::10/64']);
      await agent.call('announce', ['2001:db8::10/64']);
      await expect.poll(() => lab.macSeenByC('2001:db8::10')).toBe(lab.mac(name));
      await agent.call('silence', []);
      await agent.call('release', ['2001:db8::10/64']);
    }
  });

  test('while an IPv6 VIP is held, the host listens to solicitations for it', async () => {
    const agent = await lab.start('a');
    const groups = (): string => onHost('a', '-6', 'maddr', 'show', 'dev', 'eth0');
    await agent.call('claim', ['2001:db8::1234:5678/64']);
    expect(groups()).toContain('ff02::1:ff34:5678');
    await agent.call('release', ['2001:db8::1234:5678/64']);
    expect(groups()).not.toContain('ff02::1:ff34:5678');
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
