/**
 * Becoming active, in a world of memory. A standby may wait for years until it does so, and then it counts how long it
 * takes: for the first time, by an interpreter that has yet to compile each function, it took two milliseconds, and
 * later on, when the processor has long forgotten it, still one.
 */
import type { IpPrefix } from '../../base/index.ts';
import { ManualClock, systemClock } from '../../runtime/index.ts';
import type { Native } from '../../runtime/index.ts';
import { Addresses, Announcer, MemoryKernel, Rtnetlink, addressLifetimeDefaultMs } from '../../vip/io/index.ts';
import { MemoryLan, VirtualRouter } from '../../vrrp/io/index.ts';
import type { AddressPort, VirtualRouterOptions } from '../../vrrp/io/index.ts';

/** Interfaces are numbered from 1 on; the kernel refuses what is asked of this one. */
const interfaceOfNobody = 0x7fff_ffff;
const nothing = (): void => undefined;

export class Rehearsal {
  readonly #vips: readonly IpPrefix[];
  readonly #advertIntervalMs: number;
  readonly #clock = new ManualClock();
  readonly #addresses: Addresses;
  readonly #router: VirtualRouter;
  readonly #kernel: Rtnetlink;
  #promotions = 0;
  #isUnderWay = false;

  /** `vips`: those of the options as they are configured. */
  constructor(options: VirtualRouterOptions, vips: readonly IpPrefix[], dependencies: { native: Native }) {
    this.#kernel = new Rtnetlink(dependencies);
    this.#vips = vips;
    this.#advertIntervalMs = options.advertIntervalMs;
    this.#addresses = memoryAddresses(this.#clock);
    const transport = new MemoryLan({ delayMs: 0 }, { clock: this.#clock }).port(options.ownAddress);
    void transport.start();
    this.#router = new VirtualRouter(options, {
      transport,
      clock: this.#clock,
      addresses: this.#addressPort(),
      onTransition: ({ to }) => {
        if (to === 'active') this.#promotions++;
      },
      onEpoch: nothing,
      onAddressError: nothing,
    });
  }

  /** How often it became active. */
  get promotions(): number {
    return this.#promotions;
  }

  /** Opens sockets of rtnetlink; throws what that says. */
  async start(): Promise<void> {
    this.#kernel.open();
    await this.#addresses.start();
    await this.#router.start();
  }

  stop(): Promise<void> {
    this.#kernel.close();
    return Promise.resolve();
  }

  /** Once, if it is not under way. Besides, asks the real kernel for the addresses, which refuses. */
  async perform(): Promise<void> {
    if (this.#isUnderWay) return;
    this.#isUnderWay = true;
    try {
      // Longer than any down interval.
      this.#clock.advance(4 * this.#advertIntervalMs);
      await Promise.all(this.#vips.map((vip) => this.#kernel.add(interfaceOfNobody, vip, addressLifetimeDefaultMs)));
      // What follows the claim, the announcements, would else be taken back by the resignation before it begins.
      await promisesKept();
      this.#router.handle({ type: 'resign' });
      await promisesKept();
    } finally {
      this.#isUnderWay = false;
    }
  }

  #addressPort(): AddressPort {
    const native = {
      packetOpen: () => 1,
      send: (_descriptor: number, frame: Uint8Array) => frame.length,
      close: () => 0,
    };
    const announcer = new Announcer(
      { announceRefreshMs: 0 },
      { clock: this.#clock, native, link: () => this.#addresses.link, isIpv6Router: () => false },
    );
    return {
      claim: async () => {
        await this.#addresses.claim(this.#vips);
      },
      release: async () => {
        announcer.silence();
        await this.#addresses.release(this.#vips);
      },
      announce: () => announcer.announce(this.#vips),
      silence: () => announcer.silence(),
    };
  }
}

function memoryAddresses(clock: ManualClock): Addresses {
  const kernel = new MemoryKernel({ clock });
  kernel.createLink('memory');
  const handlers = { onAddressLost: nothing, onLinkChanged: nothing, onLinkGone: nothing, onRenewalFailed: nothing };
  const options = { interfaceName: 'memory', addressLifetimeMs: addressLifetimeDefaultMs };
  return new Addresses(options, { kernel, clock, handlers });
}

/** Nothing in memory waits for more than promises. */
function promisesKept(): Promise<void> {
  return new Promise((resolve) => systemClock.afterPoll(resolve));
}
