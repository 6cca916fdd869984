import { describe, expect, it } from 'vitest';
import { formatIp } from '../../../../src/base/index.ts';
import type { Clock } from '../../../../src/runtime/index.ts';
import { ManualClock } from '../../../../src/runtime/index.ts';
import {
  acceptPacket,
  activeDownIntervalMs,
  decodeAdvert,
  decodeIpv4Packet,
  encodeAdvert,
  encodeVrrpIpv4Packet,
  vrrpGroupIpv4,
} from '../../../../src/vrrp/index.ts';
import type { AddressPort, MemoryPort, VirtualRouterOptions } from '../../../../src/vrrp/io/index.ts';
import { MemoryLan, VirtualRouter } from '../../../../src/vrrp/io/index.ts';

const addressA = Uint8Array.of(192, 0, 2, 251);
const addressB = Uint8Array.of(192, 0, 2, 252);
const virtualAddress = Uint8Array.of(192, 0, 2, 1);
const downMs = activeDownIntervalMs(100, 100, 3);
const lanDelayMs = 0.1;

const options: VirtualRouterOptions = {
  name: 'web',
  version: 3,
  vrid: 10,
  priority: 100,
  advertIntervalMs: 100,
  preempt: false,
  preemptDelayMs: 0,
  ownAddress: addressA,
  unicastPeer: undefined,
  addresses: [virtualAddress],
  checksumForm: 'pseudo-header',
  authentication: undefined,
  epoch: 0,
};

type Bench = {
  readonly clock: ManualClock;
  readonly router: VirtualRouter;
  readonly port: MemoryPort;
  /** What another router on the LAN sees and does. */
  readonly other: MemoryPort;
  /** Everything the router did, in order; adverts as the other one receives them. */
  readonly log: string[];
  readonly advert: (priority: number, changes?: Partial<AdvertChanges>) => Promise<void>;
  readonly settle: () => Promise<void>;
};

type AdvertChanges = { vrid: number; addresses: readonly Uint8Array[]; advertIntervalMs: number };
type Setup = {
  options?: Partial<VirtualRouterOptions>;
  addresses?: Partial<AddressPort>;
  clock?: (inner: Clock) => Clock;
};

async function bench(setup: Setup = {}): Promise<Bench> {
  const clock = new ManualClock();
  const lan = new MemoryLan({ delayMs: lanDelayMs }, { clock });
  const [port, other] = [lan.port(addressA), lan.port(addressB)];
  const log: string[] = [];
  const { claim, release, announce } = setup.addresses ?? {};
  const router = new VirtualRouter(
    { ...options, ...setup.options },
    {
      transport: port,
      clock: setup.clock?.(clock) ?? clock,
      addresses: {
        claim: () => (log.push('claim'), claim?.()),
        release: () => (log.push('release'), release?.()),
        announce: () => (log.push('announce'), announce?.()),
        silence: () => log.push('silence'),
      },
      onTransition: ({ from, to, cause }) => log.push(`${from} -> ${to}: ${cause}`),
      onEpoch: (epoch) => log.push(`epoch ${epoch}`),
      onAddressError: (operation, error) => log.push(`${operation} failed: ${String(error)}`),
    },
  );
  const view = { ...options, ownAddress: addressB, authentication: undefined };
  other.subscribe((packet) => {
    const accepted = acceptPacket(view, packet);
    if (!accepted.ok) log.push(accepted.reason);
    else log.push(accepted.value.type === 'advert' ? `advert ${accepted.value.priority}` : 'challenge');
  });
  await port.start();
  await other.start();
  await router.start();
  return { clock, router, port, other, log, advert, settle };

  async function advert(priority: number, changes: Partial<AdvertChanges> = {}): Promise<void> {
    other.send(packetOf(priority, changes), vrrpGroupIpv4);
    await settle();
  }

  async function settle(): Promise<void> {
    clock.advance(lanDelayMs);
    await flushPromises();
  }
}

function packetOf(priority: number, changes: Partial<AdvertChanges> = {}): Uint8Array {
  const path = { source: addressB, destination: vrrpGroupIpv4 };
  const { vrid, addresses, advertIntervalMs } = { ...options, ...changes };
  const message = encodeAdvert({ version: 3, vrid, priority, advertIntervalMs, addresses }, path, 'pseudo-header');
  return encodeVrrpIpv4Packet(path.source, path.destination, message);
}

/** Lets what waits for settled promises run, and what waits for that. */
async function flushPromises(): Promise<void> {
  for (let round = 0; round < 10; round++) await Promise.resolve();
}

function gate(): { promise: Promise<void>; open: () => void; fail: (reason: string) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  return { promise, open: () => resolve(undefined), fail: (reason) => reject(new Error(reason)) };
}

const promotion = ['backup -> active: active-silent', 'epoch 1', 'claim'];

describe('a virtual router that becomes active', () => {
  it('does everything in order, within one call, where nothing has to be waited for', async () => {
    const { clock, log, router, settle } = await bench();
    clock.advance(downMs - 0.001);
    expect(log).toEqual(['initialize -> backup: startup']);
    clock.advance(0.001);
    expect(log).toEqual(['initialize -> backup: startup', ...promotion, 'announce']);
    await settle();
    expect(log.at(-1)).toBe('advert 100');
    expect(router.status()).toMatchObject({
      state: 'active',
      epoch: 1,
      activeAddress: '192.0.2.251',
      activePriority: 100,
      isFenced: false,
    });
    clock.advance(1000);
    expect(router.status().counters).toMatchObject({ advertsSent: 11, becameActive: 1, releasedActive: 0 });
  });

  it('sends no advert before the addresses are there, and then only the latest', async () => {
    const claim = gate();
    const { clock, log, router, settle } = await bench({ addresses: { claim: () => claim.promise } });
    clock.advance(downMs + 250);
    router.handle({ type: 'priority-changed', priority: 90 });
    clock.advance(100);
    await settle();
    expect(log.slice(1)).toEqual(promotion);
    claim.open();
    await settle();
    await settle();
    expect(log.slice(1)).toEqual([...promotion, 'announce', 'advert 90']);
  });

  it('says nothing at all when it yields while it claims', async () => {
    const claim = gate();
    const { clock, log, advert, settle, router } = await bench({ addresses: { claim: () => claim.promise } });
    clock.advance(downMs);
    await advert(200);
    expect(log.slice(1)).toEqual([...promotion, 'active -> backup: higher-priority']);
    claim.open();
    await settle();
    await settle();
    expect(log.slice(1)).toEqual([...promotion, 'active -> backup: higher-priority', 'release']);
    expect(router.status().counters.advertsSent).toBe(0);
  });

  it('gives up when it cannot claim', async () => {
    const claim = gate();
    const { clock, log, router, settle } = await bench({ addresses: { claim: () => claim.promise } });
    clock.advance(downMs);
    claim.fail('no such device');
    await settle();
    await settle();
    expect(log.slice(1)).toEqual([
      ...promotion,
      'claim failed: Error: no such device',
      'active -> backup: claim-failed',
      'release',
    ]);
    expect(router.status()).toMatchObject({ state: 'backup', counters: { addressErrors: 1, advertsSent: 0 } });
  });

  it('yields at once when even the first advert fails three intervals long', async () => {
    const { clock, log, port, router } = await bench();
    port.failSends('EPERM');
    clock.advance(downMs + 199);
    expect(router.status().state).toBe('active');
    clock.advance(1);
    expect(log.slice(-2)).toEqual(['active -> backup: send-failures', 'release']);
    expect(router.status()).toMatchObject({ lastSendError: 'EPERM', counters: { sendErrors: 3, advertsSent: 0 } });
  });
});

describe('a virtual router that stops', () => {
  it('has released the addresses before it says priority 0, and has done both when stop resolves', async () => {
    const release = gate();
    const { clock, log, router, settle } = await bench({ addresses: { release: () => release.promise } });
    clock.advance(downMs);
    await settle();
    log.length = 0;
    let isStopped = false;
    const stopped = router.stop().then(() => (isStopped = true));
    await settle();
    expect(log).toEqual(['active -> initialize: shutdown', 'release']);
    expect(isStopped).toBe(false);
    release.open();
    await stopped;
    await settle();
    expect(log).toEqual(['active -> initialize: shutdown', 'release', 'advert 0']);
    expect(router.status().counters).toMatchObject({ priorityZeroSent: 1, releasedActive: 1 });
  });

  it('says goodbye also when the addresses cannot be released', async () => {
    const { clock, log, router, settle } = await bench({
      addresses: { release: () => Promise.reject(new Error('no')) },
    });
    clock.advance(downMs);
    await settle();
    await router.stop();
    await settle();
    expect(log.slice(-3)).toEqual(['release', 'release failed: Error: no', 'advert 0']);
  });

  it('is silent as a backup, and deaf and still afterwards', async () => {
    const { clock, log, router, advert } = await bench();
    await router.stop();
    await advert(0);
    clock.advance(10_000);
    expect(log).toEqual(['initialize -> backup: startup', 'backup -> initialize: shutdown']);
    expect(router.status().counters.advertsReceived).toBe(0);
  });
});

describe('packets', () => {
  it('are counted by why they were dropped', async () => {
    const { advert, other, router, settle } = await bench();
    await advert(200, { vrid: 11 });
    other.send(packetOf(200).subarray(0, 30), vrrpGroupIpv4);
    await settle();
    const { counters, lastDropReason, state } = router.status();
    expect(counters.dropped).toMatchObject({ vrid: 1, 'ip-length': 1, ttl: 0 });
    expect(Object.values(counters.dropped).reduce((sum, count) => sum + count)).toBe(2);
    expect({ lastDropReason, state, received: counters.advertsReceived }).toEqual({
      lastDropReason: 'ip-length',
      state: 'backup',
      received: 0,
    });
  });

  it('with other addresses are followed, and counted', async () => {
    const { advert, router } = await bench();
    await advert(200, { addresses: [addressB], advertIntervalMs: 500 });
    expect(router.status()).toMatchObject({
      activeAddress: '192.0.2.252',
      activePriority: 200,
      activeAdvertIntervalMs: 500,
      peerChecksumForm: 'pseudo-header',
      counters: { advertsReceived: 1, addressListMismatches: 1 },
    });
  });

  it('that the machine does not follow are counted by why', async () => {
    const { advert, router } = await bench({ options: { preempt: true } });
    await advert(50);
    await advert(100);
    await advert(0);
    const { counters } = router.status();
    expect(counters).toMatchObject({ advertsReceived: 3, priorityZeroReceived: 1 });
    expect(counters.ignored).toMatchObject({ 'lower-priority': 1, 'not-due': 0 });
  });

  it('leave from another address when that has been changed before the election', async () => {
    const { clock, router, log, settle, other } = await bench();
    const sources: string[] = [];
    other.subscribe((packet) => sources.push(formatIp(packet.subarray(12, 16))));
    expect(() => router.setOwnAddress(addressB)).toThrow('before the election');
    router.handle({ type: 'link-down' });
    router.setOwnAddress(Uint8Array.of(192, 0, 2, 250));
    router.handle({ type: 'link-up' });
    clock.advance(downMs);
    await settle();
    expect([sources, router.status().activeAddress]).toEqual([['192.0.2.250'], '192.0.2.250']);
    expect(log).toContain('backup -> active: active-silent');
  });

  it('go to the peer alone in unicast', async () => {
    const { clock, log, settle, other } = await bench({ options: { unicastPeer: addressB } });
    const destinations: string[] = [];
    other.subscribe((packet) => destinations.push(formatIp(packet.subarray(16, 20))));
    clock.advance(downMs);
    await settle();
    expect(destinations).toEqual(['192.0.2.252']);
    expect(log.at(-1)).toBe('destination');
  });
});

describe('commands', () => {
  it('reach the machine: take-over, hand-over, fence and its end', async () => {
    const { router, log, settle } = await bench();
    router.handle({ type: 'take-over', epoch: 7, graceMs: 50 });
    await settle();
    router.handle({ type: 'hand-over', graceMs: 50 });
    router.handle({ type: 'fence', epoch: 8, priority: 50, address: addressB });
    expect(router.status()).toMatchObject({ state: 'backup', isFenced: true, epoch: 8, lastCause: 'hand-over' });
    router.handle({ type: 'fence-lifted' });
    expect(router.status().isFenced).toBe(false);
    expect(log.filter((line) => line.includes('->')).slice(1)).toEqual([
      'backup -> active: take-over',
      'active -> backup: hand-over',
    ]);
    expect(log).toContain('epoch 7');
  });

  it('resign: addresses, priority 0, and back into the ranks', async () => {
    const { clock, router, log, settle } = await bench();
    clock.advance(downMs);
    await settle();
    log.length = 0;
    router.handle({ type: 'resign' });
    await settle();
    expect(log).toEqual(['active -> backup: resign', 'release', 'advert 0']);
    clock.advance(downMs);
    expect(router.status()).toMatchObject({ state: 'active', epoch: 2 });
  });
});

describe('time', () => {
  it('that a timer is early by is waited for', async () => {
    const { clock, router } = await bench({
      clock: (inner) => ({ ...bound(inner), after: (delayMs, run) => inner.after(Math.max(0.01, delayMs - 0.7), run) }),
    });
    clock.advance(downMs - 0.02);
    expect(router.status().state).toBe('backup');
    clock.advance(0.04);
    expect(router.status()).toMatchObject({ state: 'active', counters: { ignored: { 'not-due': 0 } } });
  });

  it('lost in a freeze makes an active router yield before it sends anything', async () => {
    let frozenMs = 0;
    const { clock, log, router } = await bench({
      options: { advertIntervalMs: 200 },
      clock: (inner) => ({ ...bound(inner), nowMs: () => inner.nowMs() + frozenMs }),
    });
    clock.advance(2 * downMs + 100);
    const { advertsSent } = router.status().counters;
    frozenMs = 5000;
    clock.advance(100);
    expect(log.slice(-2)).toEqual(['active -> backup: stall', 'release']);
    expect(router.status().counters.advertsSent).toBe(advertsSent);
  });
});

describe('a host that stood still', () => {
  async function frozen() {
    const freeze = { ms: 0 };
    const made = await bench({
      clock: (inner) => ({ ...bound(inner), nowMs: () => inner.nowMs() + freeze.ms }),
    });
    return { ...made, freeze };
  }

  it('makes an active router listen, and go on when nobody else is there', async () => {
    const { clock, log, router, freeze } = await frozen();
    clock.advance(downMs + 50);
    const { advertsSent } = router.status().counters;
    freeze.ms = 5000;
    clock.advance(100);
    expect(router.status().counters).toMatchObject({ advertsSent, ignored: { listening: 1 } });
    expect(log.at(-1)).toBe('silence');
    clock.advance(100);
    expect(log.slice(-2).toSorted()).toEqual(['advert 100', 'announce']);
    expect(router.status().counters.advertsSent).toBe(advertsSent + 1);
    expect(log).not.toContain('active -> backup: stall');
  });

  it('makes a backup give the active router its time again', async () => {
    const { clock, port, router, freeze } = await frozen();
    port.deliver(packetOf(200));
    clock.advance(50);
    freeze.ms = 1000;
    clock.advance(downMs - 60);
    expect(router.status()).toMatchObject({ state: 'backup', counters: { ignored: { overslept: 1 } } });
    clock.advance(downMs);
    expect(router.status()).toMatchObject({ state: 'active', lastCause: 'active-silent' });
  });
});

describe('the down timer', () => {
  /** A clock whose event loop hands out one of the waiting packets per turn, as raw-socket does. */
  function oneTurnEach(waiting: Uint8Array[], port: () => MemoryPort | undefined): (inner: Clock) => Clock {
    return (inner) => ({
      ...bound(inner),
      afterPoll: (run) =>
        inner.after(0, () => {
          const packet = waiting.shift();
          if (packet !== undefined) port()?.deliver(packet);
          run();
        }),
    });
  }

  async function withWaiting(waiting: Uint8Array[], changes: Partial<VirtualRouterOptions> = {}): Promise<Bench> {
    const made: { bench?: Bench } = {};
    made.bench = await bench({ clock: oneTurnEach(waiting, () => made.bench?.port), options: changes });
    return made.bench;
  }

  const foreign = (count: number): Uint8Array[] => Array.from({ length: count }, () => packetOf(200, { vrid: 11 }));

  it('does not elect before the adverts that wait in the socket are read', async () => {
    const waiting = [...foreign(40), packetOf(200)];
    const { clock, router } = await withWaiting(waiting);
    clock.advance(downMs);
    expect(router.status()).toMatchObject({ state: 'backup', activeAddress: '192.0.2.252' });
    expect(waiting).toEqual([]);
    clock.advance(downMs);
    expect(router.status()).toMatchObject({ state: 'active', lastCause: 'active-silent' });
  });

  it('elects in spite of a flood', async () => {
    const waiting = foreign(1000);
    const { clock, router } = await withWaiting(waiting);
    clock.advance(downMs);
    expect(router.status().state).toBe('active');
    // 64 of them when it looks whether it is awake, and 64 in the end.
    expect(waiting.length).toBeGreaterThan(860);
  });

  it('preempts in spite of adverts that it does not follow', async () => {
    const lower = Array.from({ length: 1000 }, () => packetOf(50));
    const { clock, router } = await withWaiting(lower, { preempt: true });
    clock.advance(downMs);
    expect(router.status()).toMatchObject({ state: 'active', lastCause: 'preempt' });
  });
});

describe('two routers on a LAN', () => {
  it('elect the higher priority, fail over in its down interval, and yield again', async () => {
    const clock = new ManualClock();
    const lan = new MemoryLan({ delayMs: lanDelayMs }, { clock });
    const ports = { a: lan.port(addressA), b: lan.port(addressB) };
    const make = (ownAddress: Uint8Array, priority: number, transport: MemoryPort): VirtualRouter =>
      new VirtualRouter(
        { ...options, ownAddress, priority },
        {
          transport,
          clock,
          addresses: {
            claim: () => undefined,
            release: () => undefined,
            announce: () => undefined,
            silence: () => undefined,
          },
          onTransition: () => undefined,
          onEpoch: () => undefined,
          onAddressError: () => undefined,
        },
      );
    const [a, b] = [make(addressA, 200, ports.a), make(addressB, 100, ports.b)];
    const states = (): string => `${a.status().state} ${b.status().state}`;
    for (const service of [ports.a, ports.b, a, b]) await service.start();
    clock.advance(1000);
    expect(states()).toBe('active backup');
    ports.b.setDeaf(true);
    clock.advance(downMs);
    expect(states()).toBe('active active');
    ports.b.setDeaf(false);
    clock.advance(100);
    expect(states()).toBe('active backup');
    await a.stop();
    clock.advance(lanDelayMs + activeDownIntervalMs(100, 100, 3) - 300);
    expect(states()).toBe('initialize active');
  });
});

/** The clock's methods as a plain object, to replace some of them. */
function bound(clock: Clock): Clock {
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    after: (delayMs, run) => clock.after(delayMs, run),
    every: (periodMs, run) => clock.every(periodMs, run),
    afterPoll: (run) => clock.afterPoll(run),
    sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
  };
}

describe('a virtual router that is reconfigured', () => {
  it('stays active, with the next advert at its time, of the new addresses and interval', async () => {
    const { clock, log, router, other, settle } = await bench();
    const adverts: { addresses: number; advertIntervalMs: number }[] = [];
    other.subscribe((packet) => {
      const decoded = decodeIpv4Packet(packet);
      if (!decoded.ok) return;
      const advert = decodeAdvert(decoded.value.payload, decoded.value);
      if (advert.ok) adverts.push({ ...advert.value.advert, addresses: advert.value.advert.addresses.length });
    });
    clock.advance(downMs + 50);
    await settle();
    log.length = 0;
    const addresses = [virtualAddress, Uint8Array.of(192, 0, 2, 2)];
    router.reconfigure({ ...options, addresses, advertIntervalMs: 200, priority: 7, epoch: 0 });
    expect(log).toEqual(['announce']);
    expect(router.status()).toMatchObject({ state: 'active', priority: 100, epoch: 1, advertIntervalMs: 200 });
    clock.advance(49.9);
    await settle();
    expect(adverts).toMatchObject([
      { addresses: 1, advertIntervalMs: 100 },
      { addresses: 2, advertIntervalMs: 200 },
    ]);
    clock.advance(150);
    await settle();
    expect(adverts).toHaveLength(2);
  });

  it('goes on waiting as a backup, and preempts from now on', async () => {
    const { clock, log, router, advert } = await bench();
    await advert(50);
    clock.advance(100);
    router.reconfigure({ ...options, preempt: true });
    expect(router.status().state).toBe('backup');
    for (let count = 0; count < 4; count++) {
      await advert(50);
      clock.advance(100);
    }
    expect(log.slice(0, 2)).toEqual(['initialize -> backup: startup', 'backup -> active: preempt']);
  });

  it('keeps what the others know it by', async () => {
    const { clock, log, router, settle } = await bench();
    clock.advance(downMs);
    await settle();
    log.length = 0;
    router.reconfigure({ ...options, vrid: 99, ownAddress: Uint8Array.of(192, 0, 2, 9) });
    clock.advance(100);
    await settle();
    expect(log).toEqual(['announce', 'advert 100']);
    expect(router.status()).toMatchObject({ vrid: 10, activeAddress: '192.0.2.251' });
  });
});
