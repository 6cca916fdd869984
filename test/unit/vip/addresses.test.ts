import { expect, test, vi } from 'vitest';
import { formatPrefix } from '../../../src/base/index.ts';
import { ManualClock } from '../../../src/runtime/index.ts';
import { hostPrefix } from '../../../src/vip/index.ts';
import { Addresses, MemoryKernel } from '../../../src/vip/io/index.ts';
import type { AddressesHandlers } from '../../../src/vip/io/index.ts';
import { addressesContract, prefix } from './addresses-contract.ts';
import type { AddressesWorld } from './addresses-contract.ts';

const vip = prefix('192.0.2.10/24');
const lifetimeMs = 3000;

type Host = ReturnType<typeof createHost>;

function createHost() {
  const clock = new ManualClock();
  const kernel = new MemoryKernel({ clock });
  kernel.createLink('lo');
  const host = { clock, kernel, index: createInterface(kernel), told: [] as string[], failures: [] as unknown[] };
  const addresses = new Addresses(
    { interfaceName: 'eth0', addressLifetimeMs: lifetimeMs },
    { kernel, clock, handlers: handlersTelling(host) },
  );
  return Object.assign(host, {
    addresses,
    present: () => kernel.present(host.index).map((a) => formatPrefix(a.prefix)),
  });
}

function createInterface(kernel: MemoryKernel): number {
  const index = kernel.createLink('eth0');
  kernel.putAddress(index, { prefix: prefix('192.0.2.1/24'), protocol: 0, permanent: true });
  return index;
}

function handlersTelling(to: { told: string[]; failures: unknown[] }): AddressesHandlers {
  return {
    onAddressLost: (lost) => to.told.push(`lost ${lost.address}`),
    onLinkChanged: ({ up }) => to.told.push(up ? 'up' : 'down'),
    onLinkGone: () => to.told.push('gone'),
    onRenewalFailed: (error) => to.failures.push(error),
  };
}

async function startHost(): Promise<Host> {
  const host = createHost();
  await host.addresses.start();
  return host;
}

/** Lets everything that waits for the fake kernel's answers go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

async function advance(host: Host, byMs: number): Promise<void> {
  for (let passedMs = 0; passedMs < byMs; passedMs += 50) {
    host.clock.advance(50);
    await settle();
  }
}

addressesContract('a kernel in memory', async (): Promise<AddressesWorld> => {
  const host = await startHost();
  const { kernel } = host;
  return {
    addresses: host.addresses,
    told: host.told,
    present: host.present,
    addPermanent: (text) => kernel.putAddress(host.index, { prefix: prefix(text), protocol: 0, permanent: true }),
    delete: (text) => kernel.deleteAddress(host.index, prefix(text)),
    setUp: (up) => kernel.setLink({ name: 'eth0', index: host.index, macAddress: new Uint8Array(6), up }),
    deleteInterface: () => kernel.unplug(host.index),
    createInterface: () => {
      host.index = createInterface(kernel);
      host.clock.advance(200);
    },
    leaveBehind: async (text) => {
      await kernel.add(host.index, hostPrefix(prefix(text)), lifetimeMs);
    },
    end: () => host.addresses.stop(),
  };
});

test('a held VIP outlives its lifetime by far, because it is renewed', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  await advance(host, 10 * lifetimeMs);
  expect(host.present()).toContain('192.0.2.10/32');
  expect(host.told).toEqual([]);
});

test('a VIP whose holder stands still is gone after its lifetime', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  await advance(host, 500);
  host.clock.advance(lifetimeMs);
  expect(host.present()).toEqual(['192.0.2.1/24']);
});

test('a VIP that lapsed while its holder stood still is put back and reported', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  host.clock.advance(2 * lifetimeMs);
  await settle();
  expect(host.present()).toContain('192.0.2.10/32');
  expect(host.told).toEqual(['lost 192.0.2.10']);
});

test('two programs that fight for an address do so at five rounds a second', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  for (let round = 0; round < 200; round++) {
    host.kernel.deleteAddress(host.index, prefix('192.0.2.10/32'));
    host.clock.advance(5);
    await settle();
  }
  expect(host.addresses.counts.lost).toBeGreaterThanOrEqual(5);
  expect(host.addresses.counts.lost).toBeLessThanOrEqual(7);
  expect(host.told).toHaveLength(host.addresses.counts.lost);
});

test('renewals that fail are counted and told until they work again', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  host.kernel.setPrivileged(false);
  await advance(host, 2000);
  expect(host.addresses.counts.renewalsFailed).toBe(2);
  expect(host.failures).toMatchObject([{ code: 'NET_ADMIN_MISSING' }, { code: 'NET_ADMIN_MISSING' }]);
  host.kernel.setPrivileged(true);
  await advance(host, 5000);
  expect(host.addresses.counts.renewalsFailed).toBe(2);
  expect(host.present()).toContain('192.0.2.10/32');
});

test('a claim that fails is tried again by the next renewal, and a success then is no loss', async () => {
  const host = await startHost();
  host.kernel.setPrivileged(false);
  await expect(host.addresses.claim([vip])).rejects.toMatchObject({ code: 'NET_ADMIN_MISSING' });
  host.kernel.setPrivileged(true);
  await advance(host, 1000);
  expect(host.present()).toContain('192.0.2.10/32');
  expect(host.told).toEqual([]);
});

test('events that were lost are made up for by looking', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  await host.kernel.overrun(() => {
    host.kernel.deleteAddress(host.index, prefix('192.0.2.10/32'));
    host.kernel.setLink({ name: 'eth0', index: host.index, macAddress: new Uint8Array(6), up: false });
  });
  await settle();
  expect(host.told).toEqual(['down', 'lost 192.0.2.10']);
  await host.kernel.overrun(() => host.kernel.unplug(host.index));
  await settle();
  expect(host.told).toEqual(['down', 'lost 192.0.2.10', 'gone']);
});

test('a claim finds an interface that was made anew, even before it hears of it', async () => {
  const host = await startHost();
  await host.kernel.overrun(async () => {
    host.kernel.unplug(host.index);
    host.index = createInterface(host.kernel);
    expect(await host.addresses.claim([vip])).toMatchObject({ added: [vip] });
  });
  expect(host.present()).toContain('192.0.2.10/32');
  expect(host.addresses.link?.index).toBe(host.index);
});

test('a renewal under way does not put back, even for a moment, what is released meanwhile', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  const add = vi.spyOn(host.kernel, 'add');
  host.clock.advance(2 * lifetimeMs);
  await host.addresses.release([vip]);
  await settle();
  expect(add).not.toHaveBeenCalled();
  expect(host.present()).toEqual(['192.0.2.1/24']);
});

test('an interface that comes back after a while gets its held VIPs at once, not with the next renewal', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  host.kernel.unplug(host.index);
  await advance(host, 5000);
  host.index = createInterface(host.kernel);
  await settle();
  expect(host.present()).toContain('192.0.2.10/32');
  expect(host.addresses.counts.renewalsFailed).toBe(0);
});

test('an interface that is renamed is gone', async () => {
  const host = await startHost();
  host.kernel.setLink({ name: 'lan0', index: host.index, macAddress: new Uint8Array(6), up: true });
  expect(host.told).toEqual(['gone']);
  expect(host.addresses.link).toBeUndefined();
});

test('stopping releases what is held', async () => {
  const host = await startHost();
  await host.addresses.claim([vip]);
  await host.addresses.stop();
  expect(host.present()).toEqual(['192.0.2.1/24']);
});

test('without the privilege or the interface it does not start, and says how to mend that', async () => {
  const unprivileged = createHost();
  unprivileged.kernel.setPrivileged(false);
  await expect(unprivileged.addresses.start()).rejects.toMatchObject({
    code: 'NET_ADMIN_MISSING',
    mend: expect.stringContaining('CAP_NET_ADMIN') as string,
  });
  const unplugged = createHost();
  unplugged.kernel.unplug(unplugged.index);
  await expect(unplugged.addresses.start()).rejects.toMatchObject({
    code: 'INTERFACE_MISSING',
    mend: 'create it, or configure one of these: lo',
  });
});

test('a lifetime that the kernel cannot keep is a bug of the caller', () => {
  const kernel = new MemoryKernel({ clock: new ManualClock() });
  const handlers = handlersTelling({ told: [], failures: [] });
  for (const addressLifetimeMs of [1000, 2500]) {
    const options = { interfaceName: 'eth0', addressLifetimeMs };
    expect(() => new Addresses(options, { kernel, clock: new ManualClock(), handlers })).toThrow('broken invariant');
  }
});

test('a claim adds without looking, by what a look before and the events since have told', async () => {
  const host = await startHost();
  await host.addresses.removeStale([vip]);
  const look = vi.spyOn(host.kernel, 'addresses');
  host.kernel.putAddress(host.index, { prefix: prefix('192.0.2.11/24'), protocol: 0, permanent: true });
  const other = prefix('192.0.2.11/24');
  expect(await host.addresses.claim([vip, other])).toMatchObject({ added: [vip], conflicts: [{ vip: other }] });
  host.kernel.deleteAddress(host.index, other);
  expect(await host.addresses.claim([other])).toMatchObject({ added: [other], conflicts: [] });
  expect(look).not.toHaveBeenCalled();
});

test('a claim whose knowledge is outdated is refused, looks, and leaves a foreign address alone', async () => {
  const host = await startHost();
  await host.addresses.removeStale([vip]);
  const foreign = prefix('192.0.2.10/32');
  await host.kernel.overrun(() =>
    host.kernel.putAddress(host.index, { prefix: foreign, protocol: 0, permanent: true }),
  );
  await settle();
  const look = vi.spyOn(host.kernel, 'addresses');
  expect(await host.addresses.claim([vip])).toMatchObject({ added: [], conflicts: [{ vip, foreign }] });
  expect(look).toHaveBeenCalledTimes(1);
});

test('a claim looks where events were lost, or the interface is another one', async () => {
  const host = await startHost();
  await host.addresses.removeStale([vip]);
  const look = vi.spyOn(host.kernel, 'addresses');
  await host.kernel.overrun(() => undefined);
  await host.addresses.claim([vip]);
  expect(look).toHaveBeenCalledTimes(1);
  await host.kernel.deleteLink(host.index);
  host.index = createInterface(host.kernel);
  await host.addresses.release([vip]);
  look.mockClear();
  await host.addresses.claim([vip]);
  expect(look.mock.calls.length).toBeLessThanOrEqual(1);
});
