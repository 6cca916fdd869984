import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { ManualClock } from '../../../src/runtime/index.ts';
import { decodeArp } from '../../../src/vip/index.ts';
import { Announcer } from '../../../src/vip/io/index.ts';
import type { Link } from '../../../src/vip/io/index.ts';
import { prefix } from './addresses-contract.ts';

const vip = prefix('192.0.2.10/24');
const eth0: Link = { name: 'eth0', index: 2, macAddress: Uint8Array.of(2, 0, 0, 0, 0, 1), up: true };

/** An announcer whose packet sockets only remember what was sent; `answers` are the next results of send. */
function createWorld() {
  const clock = new ManualClock();
  const world = {
    clock,
    link: eth0 as Link | undefined,
    sent: [] as { interfaceIndex: number; frame: Uint8Array }[],
    open: new Map<number, number>(),
    openResult: 10,
    answers: [] as number[],
    isIpv6Router: false,
  };
  const native = {
    packetOpen(interfaceIndex: number): number {
      const descriptor = world.openResult < 0 ? world.openResult : world.openResult++;
      if (descriptor >= 0) world.open.set(descriptor, interfaceIndex);
      return descriptor;
    },
    send(descriptor: number, bytes: Uint8Array): number {
      const answer = world.answers.shift() ?? bytes.length;
      if (answer >= 0) world.sent.push({ interfaceIndex: world.open.get(descriptor) ?? 0, frame: bytes });
      return answer;
    },
    close: (descriptor: number): number => (world.open.delete(descriptor) ? 0 : -constants.errno.EBADF),
  };
  const dependencies = { clock, native, link: () => world.link, isIpv6Router: () => world.isIpv6Router };
  const announcer = new Announcer({ announceRefreshMs: 0 }, dependencies);
  return Object.assign(world, { announcer });
}

function said(world: ReturnType<typeof createWorld>): readonly string[] {
  return world.sent.map(({ frame }) => {
    const arp = decodeArp(frame);
    return arp.ok ? `${arp.value.operation} ${arp.value.senderIp} at ${arp.value.senderMac}` : arp.reason;
  });
}

test('announcing sends both forms before it returns', async () => {
  const world = createWorld();
  await world.announcer.start();
  world.announcer.announce([vip]);
  expect(said(world)).toEqual(['request 192.0.2.10 at 02:00:00:00:00:01', 'reply 192.0.2.10 at 02:00:00:00:00:01']);
});

test('the burst goes on by itself until silence', async () => {
  const world = createWorld();
  await world.announcer.start();
  world.announcer.announce([vip]);
  world.clock.advance(1100);
  expect(world.announcer.counts).toEqual({ framesSent: 6, sendFailures: 0 });
  world.announcer.silence();
  world.clock.advance(60_000);
  expect(world.announcer.counts).toEqual({ framesSent: 6, sendFailures: 0 });
});

test('a MAC or an interface that has changed meanwhile is used from the next announcement on', async () => {
  const world = createWorld();
  await world.announcer.start();
  world.announcer.announce([vip]);
  world.link = { ...eth0, index: 7, macAddress: Uint8Array.of(2, 0, 0, 0, 0, 9) };
  world.clock.advance(100);
  expect(said(world).slice(2)[0]).toBe('request 192.0.2.10 at 02:00:00:00:00:09');
  expect(world.sent.map((frame) => frame.interfaceIndex)).toEqual([2, 2, 7, 7]);
  expect([...world.open.values()]).toEqual([7]);
});

test('an advertisement says router as long as the host is one', async () => {
  const world = createWorld();
  const flagsSaid = (): readonly (number | undefined)[] => world.sent.map(({ frame }) => frame[58]);
  await world.announcer.start();
  world.isIpv6Router = true;
  world.announcer.announce([prefix('2001:db8::10/64')]);
  world.isIpv6Router = false;
  world.clock.advance(100);
  expect(flagsSaid()).toEqual([0xa0, 0x20]);
});

test('failures to send are counted, and the schedule goes on', async () => {
  const world = createWorld();
  await world.announcer.start();
  world.answers.push(-constants.errno.ENOBUFS);
  world.announcer.announce([vip]);
  expect(world.announcer.counts).toEqual({ framesSent: 1, sendFailures: 1 });
  world.link = undefined;
  world.clock.advance(100);
  expect(world.announcer.counts).toEqual({ framesSent: 1, sendFailures: 2 });
  world.link = eth0;
  world.clock.advance(1000);
  expect(world.announcer.counts).toEqual({ framesSent: 3, sendFailures: 2 });
});

test('without the privilege it does not start, and says how to mend that', async () => {
  const world = createWorld();
  world.openResult = -constants.errno.EPERM;
  await expect(world.announcer.start()).rejects.toMatchObject({
    code: 'NET_RAW_MISSING',
    mend: expect.stringContaining('CAP_NET_RAW') as string,
  });
});

test('stopping ends the schedule and closes the socket', async () => {
  const world = createWorld();
  await world.announcer.start();
  world.announcer.announce([vip]);
  await world.announcer.stop();
  expect(world.open.size).toBe(0);
  world.clock.advance(10_000);
  expect(world.sent).toHaveLength(2);
});
