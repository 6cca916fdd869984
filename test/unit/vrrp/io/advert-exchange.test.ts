import { describe, expect, it } from 'vitest';
import { formatIp, parseIp } from '../../../../src/base/index.ts';
import { ManualClock } from '../../../../src/runtime/index.ts';
import type { ChecksumForm } from '../../../../src/vrrp/index.ts';
import {
  decodeAdvert,
  decodeIpv4Packet,
  decodeIpv6Packet,
  encodeAdvert,
  encodeVrrpIpv4Packet,
  trailerLength,
  vrrpGroupIpv4,
} from '../../../../src/vrrp/index.ts';
import type { HmacAuthentication, MemoryPort, VirtualRouterOptions } from '../../../../src/vrrp/io/index.ts';
import { MemoryLan, VirtualRouter } from '../../../../src/vrrp/io/index.ts';

const address = (text: string): Uint8Array => parseIp(text) ?? new Uint8Array();
const [addressA, addressB] = [address('192.0.2.251'), address('192.0.2.252')];
const group = vrrpGroupIpv4;

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
  addresses: [address('192.0.2.1')],
  checksumForm: 'auto',
  authentication: undefined,
  epoch: 0,
};

/** A LAN on which routers come and go, and where somebody listens. */
async function newLan(tapAddress = address('192.0.2.99')) {
  const clock = new ManualClock();
  const lan = new MemoryLan({ delayMs: 0.1 }, { clock });
  const packets: Uint8Array[] = [];
  const tap = lan.port(tapAddress);
  await tap.start();
  tap.subscribe((packet) => packets.push(packet));
  const join = async (changes: Partial<VirtualRouterOptions>): Promise<{ router: VirtualRouter; port: MemoryPort }> => {
    const all = { ...options, ...changes };
    const port = lan.port(all.ownAddress);
    await port.start();
    const router = new VirtualRouter(all, {
      transport: port,
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
    });
    await router.start();
    return { router, port };
  };
  return { clock, join, tap, packets };
}

describe('the form of checksum that is sent', () => {
  function formOf(packet: Uint8Array | undefined): ChecksumForm | undefined {
    const ip = decodeIpv4Packet(packet ?? new Uint8Array());
    const decoded = ip.ok ? decodeAdvert(ip.value.payload, ip.value) : undefined;
    return decoded?.ok === true ? decoded.value.checksumForm : undefined;
  }

  async function sentAfter(checksumForm: ChecksumForm | 'auto', heard: readonly ChecksumForm[]) {
    const { clock, join, tap, packets } = await newLan(addressB);
    await join({ checksumForm });
    for (const form of heard) {
      const path = { source: addressB, destination: group };
      const { vrid, advertIntervalMs, addresses } = options;
      const advert = { version: 3, vrid, priority: 200, advertIntervalMs, addresses } as const;
      tap.send(encodeVrrpIpv4Packet(addressB, group, encodeAdvert(advert, path, form)), group);
      clock.advance(1);
    }
    clock.advance(1000);
    return formOf(packets.at(-1));
  }

  it.each([
    { form: 'auto', heard: [], sent: 'pseudo-header' },
    { form: 'auto', heard: ['message-only'], sent: 'message-only' },
    { form: 'auto', heard: ['message-only', 'pseudo-header'], sent: 'pseudo-header' },
    { form: 'pseudo-header', heard: ['message-only'], sent: 'pseudo-header' },
    { form: 'message-only', heard: ['pseudo-header'], sent: 'message-only' },
  ] as const)('$form, after $heard: $sent', async ({ form, heard, sent }) => {
    expect(await sentAfter(form, heard)).toBe(sent);
  });
});

describe('IPv6', () => {
  it('goes to ff02::12, from the link-local address, with the link-local virtual address first', async () => {
    const { clock, join, packets } = await newLan(address('fe80::99'));
    const [linkLocal, global] = [address('fe80::1'), address('2001:db8::1')];
    await join({ ownAddress: address('fe80::a'), addresses: [global, linkLocal] });
    clock.advance(400);
    const ip = decodeIpv6Packet(packets[0] ?? new Uint8Array());
    expect(ip).toMatchObject({ ok: true, value: { ttl: 255, protocol: 112 } });
    if (!ip.ok) return;
    expect([ip.value.source, ip.value.destination].map(formatIp)).toEqual(['fe80::a', 'ff02::12']);
    const advert = decodeAdvert(ip.value.payload, ip.value);
    expect(advert).toMatchObject({ ok: true, value: { advert: { addresses: [linkLocal, global] } } });
  });

  it('elects by itself, beside an IPv4 router of the same VRID', async () => {
    const { clock, join } = await newLan();
    const v6 = { addresses: [address('fe80::1')] };
    const one = await join({ ...v6, ownAddress: address('fe80::a'), priority: 200 });
    const two = await join({ ...v6, ownAddress: address('fe80::b') });
    const three = await join({ priority: 50 });
    clock.advance(1000);
    expect([one, two, three].map(({ router }) => router.status().state)).toEqual(['active', 'backup', 'active']);
    expect(two.router.status()).toMatchObject({ activeAddress: 'fe80::a', counters: { firstAddressMismatches: 0 } });
  });

  it('counts adverts that begin with another address, and follows them', async () => {
    const { clock, join } = await newLan();
    await join({ ownAddress: address('fe80::a'), addresses: [address('fe80::1')], priority: 200 });
    const { router } = await join({ ownAddress: address('fe80::b'), addresses: [address('fe80::2')] });
    clock.advance(1000);
    const { state, counters } = router.status();
    expect(state).toBe('backup');
    expect(counters.firstAddressMismatches).toBe(counters.advertsReceived);
    expect(counters.addressListMismatches).toBeGreaterThan(5);
  });
});

describe('version 2', () => {
  const version2 = { version: 2, advertIntervalMs: 1000 } as const;

  it('elects, with a password and without', async () => {
    for (const authentication of [undefined, { type: 'simple-text', password: 'secret' }] as const) {
      const { clock, join } = await newLan();
      const one = await join({ ...version2, authentication, priority: 200 });
      const two = await join({ ...version2, authentication, ownAddress: addressB });
      clock.advance(10_000);
      expect([one, two].map(({ router }) => router.status().state)).toEqual(['active', 'backup']);
      expect(two.router.status().counters.advertsReceived).toBeGreaterThan(5);
    }
  });

  it.each([
    { what: 'another password', other: { authentication: { type: 'simple-text', password: 'x' } }, reason: 'password' },
    { what: 'no password', other: { authentication: undefined }, reason: 'auth-type' },
    { what: 'another interval', other: { advertIntervalMs: 2000 }, reason: 'interval-mismatch' },
    { what: 'version 3', other: { version: 3, authentication: undefined }, reason: 'version-mismatch' },
  ] as const)('drops adverts with $what', async ({ other, reason }) => {
    const { clock, join } = await newLan();
    const own = { ...version2, authentication: { type: 'simple-text', password: 'secret' } } as const;
    const { router } = await join(own);
    await join({ ...own, ...other, ownAddress: addressB, priority: 200 });
    clock.advance(20_000);
    const { counters, lastDropReason, state } = router.status();
    expect({ state, lastDropReason, received: counters.advertsReceived }).toEqual({
      state: 'active',
      lastDropReason: reason,
      received: 0,
    });
    expect(counters.dropped[reason]).toBeGreaterThan(3);
  });

  it.each([
    { what: 'an interval that it cannot say', changes: { advertIntervalMs: 1500 } },
    { what: 'IPv6', changes: { ownAddress: address('fe80::a'), addresses: [address('fe80::1')] } },
    { what: 'too long a password', changes: { authentication: { type: 'simple-text', password: '123456789' } } },
  ] as const)('does not start with $what', async ({ changes }) => {
    const { join } = await newLan();
    await expect(join({ ...version2, ...changes })).rejects.toThrow('broken invariant');
  });
});

describe('adverts sealed by HMAC', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const [oldKey, newKey] = [bytes('the old key of the pair'), bytes('the new key of the pair')];
  const sealed = (
    sendKeyId = 1,
    keys: readonly (readonly [number, Uint8Array])[] = [[1, oldKey]],
    mode: HmacAuthentication['mode'] = 'enforce',
  ): HmacAuthentication => ({ type: 'hmac-sha256', keys: new Map(keys), sendKeyId, mode });
  const high = { priority: 200, authentication: sealed() };
  const low = { ownAddress: addressB, authentication: sealed() };
  const states = (...nodes: readonly { router: VirtualRouter }[]) => nodes.map(({ router }) => router.status().state);

  it('are believed once their sender has answered', async () => {
    const { clock, join } = await newLan();
    const one = await join(high);
    const two = await join(low);
    clock.advance(2000);
    expect(states(one, two)).toEqual(['active', 'backup']);
    const { counters } = two.router.status();
    expect(counters).toMatchObject({ challengesSent: 1, becameActive: 0 });
    expect(counters.dropped).toMatchObject({ 'auth-unknown-life': 1, 'auth-replay': 0, 'auth-mac': 0 });
    expect(one.router.status().counters.challengesReceived).toBe(1);
  });

  it('are believed within a round trip when a backup is started beside an active router, and the reverse', async () => {
    const { clock, join } = await newLan();
    const one = await join(high);
    clock.advance(2000);
    const two = await join(low);
    clock.advance(100.5);
    expect(two.router.status()).toMatchObject({ activeAddress: '192.0.2.251', counters: { advertsReceived: 1 } });
    // It dies, and its next life is another one with another counter.
    one.port.setDeaf(true);
    await one.port.stop();
    clock.advance(500);
    const again = await join(high);
    again.router.handle({ type: 'take-over', epoch: 9, graceMs: 50 });
    clock.advance(0.5);
    expect(states(two, again)).toEqual(['backup', 'active']);
  });

  it('are not believed when recorded, of this life or an earlier one, from any port', async () => {
    const { clock, join, tap, packets } = await newLan();
    const one = await join(high);
    const two = await join(low);
    clock.advance(2000);
    const recorded = packets.filter(({ length }) => length === 20 + 12 + 48);
    await one.router.stop();
    clock.advance(500);
    expect(states(two)).toEqual(['active']);
    const { advertsReceived } = two.router.status().counters;
    const replay = (): void => {
      for (const packet of recorded) tap.send(packet, group);
      clock.advance(200);
    };
    replay();
    expect(two.router.status()).toMatchObject({ state: 'active', lastDropReason: 'auth-replay' });
    const third = await join({ ...low, ownAddress: address('192.0.2.253'), priority: 50 });
    clock.advance(500);
    replay();
    replay();
    expect(states(two, third)).toEqual(['active', 'backup']);
    expect(third.router.status().lastDropReason).toBe('auth-unknown-life');
    expect(two.router.status().counters.advertsReceived).toBe(advertsReceived);
  });

  it('do not make a challenge storm: one question per interval, whatever is recorded', async () => {
    const { clock, join, tap, packets } = await newLan();
    const one = await join(high);
    clock.advance(2000);
    await one.router.stop();
    const recorded = packets.splice(0);
    const two = await join(low);
    for (const packet of recorded) tap.send(packet, group);
    clock.advance(50);
    const { counters } = two.router.status();
    expect(counters.dropped['auth-unknown-life']).toBeGreaterThan(15);
    expect(counters.challengesSent).toBe(1);
  });

  it('answer eight challenges per interval at once, and no more', async () => {
    const { clock, join, tap, packets } = await newLan();
    const one = await join(high);
    clock.advance(500);
    await join(low);
    clock.advance(500);
    const challenge = packets.find(({ length }) => length === 20 + 32);
    expect(challenge).toBeDefined();
    clock.advance(50);
    const before = one.router.status().counters.advertsSent;
    for (let i = 0; i < 100; i++) tap.send(challenge ?? new Uint8Array(), group);
    clock.advance(1);
    expect(one.router.status().counters.advertsSent - before).toBe(8);
  });

  const bothKeys = [[1, oldKey] as const, [2, newKey] as const];
  it.each([
    {
      what: 'change their key',
      from: sealed(),
      steps: [sealed(1, bothKeys), sealed(2, bothKeys), sealed(2, [[2, newKey]])],
    },
    {
      what: 'are introduced by way of permissive',
      from: undefined,
      steps: [sealed(1, [[1, oldKey]], 'permissive'), sealed()],
    },
    {
      what: 'are introduced beside routers that are put off by seals',
      from: undefined,
      steps: [sealed(1, [[1, oldKey]], 'receive-only'), sealed(1, [[1, oldKey]], 'permissive'), sealed()],
    },
  ])('$what without an interruption, node by node', async ({ from, steps }) => {
    const { clock, join } = await newLan();
    let active = await join({ ...high, authentication: from });
    let standby = await join({ ...low, authentication: from });
    clock.advance(1000);
    for (const authentication of steps) {
      for (const place of [low, high]) {
        await standby.router.stop();
        await standby.port.stop();
        standby = await join({ ...place, authentication });
        clock.advance(1000);
        expect(states(active, standby)).toEqual(['active', 'backup']);
        standby.router.handle({ type: 'take-over', epoch: 0, graceMs: 200 });
        active.router.handle({ type: 'hand-over', graceMs: 200 });
        clock.advance(1000);
        [active, standby] = [standby, active];
        expect(states(active, standby)).toEqual(['active', 'backup']);
      }
    }
    for (const { router } of [active, standby]) {
      expect(router.status().counters.dropped).toMatchObject({ 'auth-missing': 0, 'auth-key': 0, 'auth-mac': 0 });
    }
  });

  it.each([
    { mode: 'enforce', isSealed: true, isUnsealedBelieved: false },
    { mode: 'permissive', isSealed: true, isUnsealedBelieved: true },
    { mode: 'receive-only', isSealed: false, isUnsealedBelieved: true },
  ] as const)('$mode: sealed $isSealed, believed without a seal $isUnsealedBelieved', async (expected) => {
    const { clock, join, packets } = await newLan();
    const authentication = sealed(1, [[1, oldKey]], expected.mode);
    const alone = await join({ ...low, authentication });
    clock.advance(1000);
    // 20 bytes of IP header, 12 of advert, and the seal.
    expect(packets.at(-1)?.length).toBe(expected.isSealed ? 32 + trailerLength : 32);
    await alone.router.stop();
    await alone.port.stop();
    const listener = await join({ ...low, authentication });
    const unsealed = await join({ ...high, authentication: undefined });
    unsealed.router.handle({ type: 'take-over', epoch: 0, graceMs: 0 });
    clock.advance(200);
    expect(listener.router.status().counters.advertsReceived > 0).toBe(expected.isUnsealedBelieved);
    // Who sends a seal that is wrong is not believed by anybody.
    await unsealed.router.stop();
    clock.advance(1);
    await unsealed.port.stop();
    const { advertsReceived } = listener.router.status().counters;
    const wrong = await join({ ...high, authentication: sealed(1, [[1, newKey]]) });
    wrong.router.handle({ type: 'take-over', epoch: 0, graceMs: 0 });
    clock.advance(200);
    expect(listener.router.status()).toMatchObject({ lastDropReason: 'auth-mac', counters: { advertsReceived } });
  });

  it.each([
    { what: 'without a seal', other: undefined, reason: 'auth-missing' },
    { what: 'with an unknown key', other: sealed(7, [[7, oldKey]]), reason: 'auth-key' },
    { what: 'with another key', other: sealed(1, [[1, newKey]]), reason: 'auth-mac' },
  ] as const)('are all that counts: those $what are dropped', async ({ other, reason }) => {
    const { clock, join } = await newLan();
    const { router } = await join(low);
    await join({ ...high, authentication: other });
    clock.advance(2000);
    expect(router.status()).toMatchObject({
      state: 'active',
      lastDropReason: reason,
      counters: { advertsReceived: 0 },
    });
  });

  it('need a key to send with, and ids of 1..255', async () => {
    const { join } = await newLan();
    for (const authentication of [sealed(2), sealed(0, [[0, oldKey]]), sealed(256, [[256, oldKey]])]) {
      await expect(join({ ...low, authentication })).rejects.toThrow('broken invariant');
    }
  });
});
