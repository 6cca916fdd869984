import { describe, expect, test, vi } from 'vitest';
import { formatPrefix } from '../../../src/base/index.ts';
import { ManualClock } from '../../../src/runtime/index.ts';
import { formatMac, virtualMac } from '../../../src/vip/index.ts';
import { Addresses, MemoryKernel, VirtualInterface } from '../../../src/vip/io/index.ts';
import { prefix } from './addresses-contract.ts';

const name = 'v4-51-eth0';
const before = { arpIgnore: 0, arpAnnounce: 1 };
const during = { arpIgnore: 1, arpAnnounce: 2 };

/** A host with eth0 (arp_announce 1) and, on demand, virtual interfaces of it; `next` is another life of Tandem. */
function createHost() {
  const clock = new ManualClock();
  const kernel = new MemoryKernel({ clock });
  const plug = (): number => {
    const index = kernel.createLink('eth0');
    kernel.setLink({ ...linkOf(kernel, 'eth0') }, { arp: before });
    return index;
  };
  plug();
  return {
    clock,
    kernel,
    plug,
    next: (vrid = 51) => new VirtualInterface({ parentName: 'eth0', family: 4, vrid }, { kernel }),
    arp: () => linkOf(kernel, 'eth0').arp,
  };
}

function linkOf(kernel: MemoryKernel, interfaceName: string) {
  const link = kernel.find(interfaceName);
  if (link === undefined) throw new Error(`no ${interfaceName}`);
  return link;
}

describe('a virtual interface', () => {
  test('is made switched off, with the virtual MAC, and follows no IPv6 routers', async () => {
    const host = createHost();
    await host.next().create();
    const link = linkOf(host.kernel, name);
    expect(link).toMatchObject({ kind: 'macvlan', up: false, ipv6: { followsRouters: false }, arp: { arpIgnore: 1 } });
    expect(formatMac(link.macAddress)).toBe('00:00:5e:00:01:33');
    expect(link.parentIndex).toBe(linkOf(host.kernel, 'eth0').index);
  });

  test('sets its parent up while it exists and gives back what that one had', async () => {
    const host = createHost();
    const virtualInterface = host.next();
    await virtualInterface.create();
    expect(host.arp()).toEqual(during);
    await virtualInterface.remove();
    expect(host.arp()).toEqual(before);
    expect(host.kernel.find(name)).toBeUndefined();
  });

  test('of an earlier life is replaced, and what its parent had before that life is given back', async () => {
    const host = createHost();
    await host.next().create();
    const left = linkOf(host.kernel, name).index;
    const virtualInterface = host.next();
    await virtualInterface.create();
    expect(linkOf(host.kernel, name).index).not.toBe(left);
    expect(host.arp()).toEqual(during);
    await virtualInterface.remove();
    expect(host.arp()).toEqual(before);
  });

  test('is not the last of its parent: the settings stay until the last one goes, in whichever order', async () => {
    const host = createHost();
    const [first, second] = [host.next(51), host.next(52)];
    await Promise.all([first.create(), second.create()]);
    await first.remove();
    expect(host.arp()).toEqual(during);
    await Promise.all([first.create(), second.remove()]);
    expect(host.arp()).toEqual(during);
    await second.create();
    await Promise.all([first.remove(), second.remove()]);
    expect(host.arp()).toEqual(before);
  });

  test('leaves a setting of the parent alone that somebody has changed meanwhile', async () => {
    const host = createHost();
    const virtualInterface = host.next();
    await virtualInterface.create();
    host.kernel.setLink(linkOf(host.kernel, 'eth0'), { arp: { arpIgnore: 2, arpAnnounce: 2 } });
    await virtualInterface.remove();
    expect(host.arp()).toEqual({ arpIgnore: 2, arpAnnounce: 1 });
  });

  test.each([
    ['its name is taken', 'VIRTUAL_INTERFACE_TAKEN', 'v4-51-eth0', Uint8Array.of(2, 0, 0, 0, 0, 9)],
    ['its MAC is taken', 'VIRTUAL_MAC_TAKEN', 'vrrp.51', virtualMac(4, 51)],
  ])('is not made when %s by another interface, which is left alone', async (_, code, foreignName, macAddress) => {
    const host = createHost();
    await host.kernel.createMacvlan(foreignName, linkOf(host.kernel, 'eth0').index, macAddress);
    const foreign = linkOf(host.kernel, foreignName);
    const virtualInterface = host.next();
    await expect(virtualInterface.create()).rejects.toMatchObject({ code });
    await virtualInterface.remove();
    expect(host.kernel.find(foreignName)).toEqual(foreign);
    expect(host.arp()).toEqual(before);
  });

  test('is not made where it would follow routers and /proc/sys is read-only; nothing is left half done', async () => {
    const host = createHost();
    host.kernel.setProcWritable(false);
    await expect(host.next().create()).rejects.toMatchObject({
      code: 'ROUTER_ADVERTISEMENTS',
      mend: expect.stringContaining('sysctls') as string,
    });
    expect(host.kernel.find(name)).toBeUndefined();
    expect(host.arp()).toEqual(before);
  });

  test('says which parent is missing, and what there is', async () => {
    const host = createHost();
    host.kernel.unplug(linkOf(host.kernel, 'eth0').index);
    host.kernel.createLink('lan0');
    await expect(host.next().create()).rejects.toMatchObject({
      code: 'INTERFACE_MISSING',
      mend: 'create it, or configure one of these: lan0',
    });
  });

  test('that went with its parent is made anew when it is to be up', async () => {
    const host = createHost();
    const virtualInterface = host.next();
    await virtualInterface.create();
    host.kernel.unplug(linkOf(host.kernel, 'eth0').index);
    await expect(virtualInterface.raise()).rejects.toMatchObject({ code: 'INTERFACE_MISSING' });
    await virtualInterface.lower();
    host.plug();
    await virtualInterface.raise();
    expect(linkOf(host.kernel, name).up).toBe(true);
    expect(host.arp()).toEqual(during);
  });

  test('cannot be switched on beside another one with its MAC, and says so', async () => {
    const host = createHost();
    const virtualInterface = host.next();
    await virtualInterface.create();
    host.kernel.setLink({ name: 'vrrp.51', index: 99, macAddress: virtualInterface.macAddress, up: true });
    await expect(virtualInterface.raise()).rejects.toMatchObject({
      code: 'VIRTUAL_INTERFACE_REFUSED',
      mend: expect.stringContaining('the other VRRP program') as string,
    });
  });
});

describe('addresses on a virtual interface', () => {
  const vip = prefix('192.0.2.10/24');

  async function startHost() {
    const host = createHost();
    const told: string[] = [];
    const addresses = new Addresses(
      { interfaceName: name, addressLifetimeMs: 3000 },
      {
        kernel: host.kernel,
        clock: host.clock,
        virtualInterface: host.next(),
        handlers: {
          onAddressLost: (lost) => told.push(`lost ${lost.address}`),
          onLinkChanged: ({ up }) => told.push(up ? 'up' : 'down'),
          onLinkGone: () => told.push('gone'),
          onRenewalFailed: (error) => told.push(`failed: ${String(error)}`),
        },
      },
    );
    await addresses.start();
    const present = (): readonly string[] => {
      const index = host.kernel.find(name)?.index;
      return index === undefined ? [] : host.kernel.present(index).map((address) => formatPrefix(address.prefix));
    };
    const isUp = (): boolean | undefined => host.kernel.find(name)?.up;
    return { ...host, addresses, told, present, isUp };
  }

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  }

  test('the interface is up while they are held, and only then', async () => {
    const host = await startHost();
    expect(host.isUp()).toBe(false);
    await host.addresses.claim([vip]);
    expect([host.isUp(), host.present()]).toEqual([true, ['192.0.2.10/32']]);
    await host.addresses.release([vip]);
    expect([host.isUp(), host.present()]).toEqual([false, []]);
  });

  test('it is switched off before the first of them goes, and on before the first comes', async () => {
    const host = await startHost();
    const spies = [vi.spyOn(host.kernel, 'changeLink'), vi.spyOn(host.kernel, 'add'), vi.spyOn(host.kernel, 'remove')];
    await host.addresses.claim([vip]);
    await host.addresses.release([vip]);
    const [switched = [], added = [], removed = []] = spies.map((spy) => spy.mock.invocationCallOrder);
    expect(spies[0]?.mock.calls.map(([, change]) => change)).toEqual([{ up: true }, { up: false }]);
    const inOrder = [switched[0], added[0], switched[1], removed[0]];
    expect(inOrder).toEqual([...inOrder].sort((left = 0, right = 0) => left - right));
  });

  test('a claim that overtakes a release leaves it up, a release that overtakes a claim off', async () => {
    const host = await startHost();
    await host.addresses.claim([vip]);
    await Promise.all([host.addresses.release([vip]), host.addresses.claim([vip])]);
    expect(host.isUp()).toBe(true);
    await Promise.all([host.addresses.claim([vip]), host.addresses.release([vip])]);
    expect(host.isUp()).toBe(false);
  });

  test('what somebody switches off or deletes while they are held comes back', async () => {
    const host = await startHost();
    await host.addresses.claim([vip]);
    host.kernel.setLink({ ...linkOf(host.kernel, name), up: false });
    host.clock.advance(1000);
    await settle();
    expect(host.isUp()).toBe(true);
    host.kernel.unplug(linkOf(host.kernel, name).index);
    await settle();
    expect([host.isUp(), host.present()]).toEqual([true, ['192.0.2.10/32']]);
    expect(host.told).toContain('lost 192.0.2.10');
  });

  test('what somebody deletes while nothing is held is made anew by the claim', async () => {
    const host = await startHost();
    host.kernel.unplug(linkOf(host.kernel, name).index);
    await settle();
    expect(host.kernel.find(name)).toBeUndefined();
    await host.addresses.claim([vip]);
    expect([host.isUp(), host.present()]).toEqual([true, ['192.0.2.10/32']]);
  });

  test('stopping removes it, and gives its parent back what that one had', async () => {
    const host = await startHost();
    await host.addresses.claim([vip]);
    await host.addresses.stop();
    expect(host.kernel.find(name)).toBeUndefined();
    expect(host.arp()).toEqual(before);
  });
});
