/**
 * Becoming active, again and again, in a world of memory. A standby may wait for years until it does so, once, and then
 * it counts how long it takes: run for the first time, by an interpreter that has yet to compile each function, it took
 * two milliseconds.
 */
import type { IpPrefix } from '../base/index.ts';
import { ManualClock, systemClock } from '../runtime/index.ts';
import { Addresses, Announcer, MemoryKernel, Rtnetlink, addressLifetimeDefaultMs } from '../vip/io/index.ts';
import { MemoryLan, VirtualRouter } from '../vrrp/io/index.ts';
import type { VirtualRouterOptions } from '../vrrp/io/index.ts';

const rounds = 50;
/** Interfaces are numbered from 1 on; the kernel refuses what is asked of this one. */
const interfaceOfNobody = 0x7fff_ffff;
const nothing = (): void => undefined;

/** How often the router became active. `vips` are those of the options, as they are configured. */
export async function rehearse(options: VirtualRouterOptions, vips: readonly IpPrefix[]): Promise<number> {
  const clock = new ManualClock();
  const kernel = new MemoryKernel({ clock });
  kernel.createLink('memory');
  const handlers = { onAddressLost: nothing, onLinkChanged: nothing, onLinkGone: nothing, onRenewalFailed: nothing };
  const holding = { interfaceName: 'memory', addressLifetimeMs: addressLifetimeDefaultMs };
  const addresses = new Addresses(holding, { kernel, clock, handlers });
  const native = { packetOpen: () => 1, send: (_: number, frame: Uint8Array) => frame.length, close: () => 0 };
  const announcer = new Announcer({ announceRefreshMs: 0 }, { clock, native, link: () => addresses.link });
  const transport = new MemoryLan({ delayMs: 0 }, { clock }).port(options.ownAddress);
  let promotions = 0;
  const router = new VirtualRouter(options, {
    transport,
    clock,
    addresses: {
      claim: async () => void (await addresses.claim(vips)),
      release: async () => {
        announcer.silence();
        await addresses.release(vips);
      },
      announce: () => announcer.announce(vips),
    },
    onTransition: ({ to }) => {
      if (to === 'active') promotions++;
    },
    onEpoch: nothing,
    onAddressError: nothing,
  });
  await addresses.start();
  await transport.start();
  await router.start();
  for (let round = 0; round < rounds; round++) {
    // Longer than any down interval.
    clock.advance(4 * options.advertIntervalMs);
    await promisesKept();
    router.handle({ type: 'resign' });
    await promisesKept();
  }
  await router.stop();
  await addresses.stop();
  return promotions;
}

/** Asks the real kernel, which refuses, as often. Throws what `Rtnetlink` throws. */
export async function rehearseClaim(vip: IpPrefix): Promise<void> {
  const kernel = new Rtnetlink();
  kernel.open({
    onLink: nothing,
    onLinkRemoved: nothing,
    onAddress: nothing,
    onAddressRemoved: nothing,
    onOverrun: nothing,
  });
  try {
    for (let round = 0; round < rounds; round++) await kernel.add(interfaceOfNobody, vip, addressLifetimeDefaultMs);
  } finally {
    kernel.close();
  }
}

/** Nothing in memory waits for more than promises. */
function promisesKept(): Promise<void> {
  return new Promise((resolve) => systemClock.afterPoll(resolve));
}
