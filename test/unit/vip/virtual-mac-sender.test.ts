import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/index.ts';
import { virtualMac } from '../../../src/vip/index.ts';
import { VirtualMacSender } from '../../../src/vip/io/index.ts';
import type { Link } from '../../../src/vip/io/index.ts';

const eth0: Link = { name: 'eth0', index: 2, macAddress: Uint8Array.of(2, 0, 0, 0, 0, 1), up: true };
const advert = fromHex('45c0 0014 0000 4000 ff70 0000 c0000201 e0000012');

function createWorld() {
  const world = {
    parent: eth0 as Link | undefined,
    sent: [] as string[],
    open: new Map<number, number>(),
    openResult: 10,
    sendResult: 0,
  };
  const native = {
    packetOpen(interfaceIndex: number): number {
      if (world.openResult < 0) return world.openResult;
      world.open.set(world.openResult, interfaceIndex);
      return world.openResult++;
    },
    send(descriptor: number, bytes: Uint8Array): number {
      if (world.sendResult < 0) return world.sendResult;
      world.sent.push(`${world.open.get(descriptor) ?? 'closed'}: ${toHex(bytes.subarray(0, 12))}`);
      return bytes.length;
    },
    close: (descriptor: number): number => (world.open.delete(descriptor) ? 0 : -constants.errno.EBADF),
  };
  const sender = new VirtualMacSender({ macAddress: virtualMac(4, 51) }, { native, parent: () => world.parent });
  return Object.assign(world, { sender });
}

test('an advert leaves through the parent, from the virtual MAC', async () => {
  const world = createWorld();
  await world.sender.start();
  expect(world.sender.send(advert)).toBeUndefined();
  expect(world.sent).toEqual(['2: 01005e00001200005e000133']);
});

test('a parent that was made anew is found', async () => {
  const world = createWorld();
  await world.sender.start();
  world.parent = { ...eth0, index: 7 };
  expect(world.sender.send(advert)).toBeUndefined();
  expect(world.sent).toEqual(['7: 01005e00001200005e000133']);
  expect([...world.open.values()]).toEqual([7]);
});

test('why an advert did not leave is said by name', async () => {
  const world = createWorld();
  await world.sender.start();
  world.sendResult = -constants.errno.ENETDOWN;
  expect(world.sender.send(advert)).toBe('ENETDOWN');
  world.parent = undefined;
  expect(world.sender.send(advert)).toBe('ENODEV');
  world.parent = { ...eth0, index: 7 };
  world.openResult = -constants.errno.EMFILE;
  expect(world.sender.send(advert)).toBe('EMFILE');
});

test('without the privilege it does not start, and says how to mend that', async () => {
  const world = createWorld();
  world.openResult = -constants.errno.EPERM;
  await expect(world.sender.start()).rejects.toMatchObject({ code: 'NET_RAW_MISSING' });
});

test('stopping closes the socket', async () => {
  const world = createWorld();
  await world.sender.start();
  await world.sender.stop();
  expect(world.open.size).toBe(0);
});
