/** What `Addresses` promises, whatever the kernel: run over the fake in memory and over Linux in a namespace. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parsePrefix } from '../../../src/base/index.ts';
import type { IpPrefix } from '../../../src/base/index.ts';
import type { Addresses } from '../../../src/vip/io/index.ts';

/** One host with one interface that has the address 192.0.2.1/24, seen from the holder and from outside. */
export type AddressesWorld = {
  readonly addresses: Pick<Addresses, 'claim' | 'release' | 'removeStale'>;
  /** What the handlers were told, in order: "lost 192.0.2.10", "up", "down", "gone". */
  readonly told: readonly string[];
  /** The IPv4 addresses on the interface, like "192.0.2.10/32". */
  present(): readonly string[];
  /** As an administrator or another program would do it. */
  addPermanent(prefix: string): void;
  delete(prefix: string): void;
  setUp(up: boolean): void;
  deleteInterface(): void;
  createInterface(): void;
  /** Claims it in another life, which ends without releasing it. */
  leaveBehind(vip: string): Promise<void>;
  end(): Promise<void>;
};

export function prefix(text: string): IpPrefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`no prefix: ${text}`);
  return parsed;
}

export function addressesContract(kernelName: string, createWorld: () => Promise<AddressesWorld>): void {
  const first = prefix('192.0.2.10/24');
  const second = prefix('192.0.2.11/24');
  const own = '192.0.2.1/24';

  describe(`addresses over ${kernelName}`, () => {
    let world: AddressesWorld;

    beforeEach(async () => {
      world = await createWorld();
    });

    afterEach(() => world.end());

    test('claiming adds the VIPs as host addresses beside the own one', async () => {
      const report = await world.addresses.claim([first, second]);
      expect(report).toEqual({ added: [first, second], renewed: [], removed: [], conflicts: [] });
      expect(world.present()).toEqual([own, '192.0.2.10/32', '192.0.2.11/32']);
    });

    test('claiming twice is the same as once', async () => {
      await world.addresses.claim([first]);
      expect(await world.addresses.claim([first])).toMatchObject({ added: [], renewed: [first] });
      expect(world.present()).toEqual([own, '192.0.2.10/32']);
      expect(world.told).toEqual([]);
    });

    test('releasing removes the VIPs and nothing else', async () => {
      await world.addresses.claim([first, second]);
      expect(await world.addresses.release([first])).toMatchObject({ removed: [first] });
      expect(world.present()).toEqual([own, '192.0.2.11/32']);
    });

    test('releasing what is absent is fine', async () => {
      expect(await world.addresses.release([first])).toEqual({ added: [], renewed: [], removed: [], conflicts: [] });
    });

    test('a release that overtakes a claim wins, and a claim that overtakes a release', async () => {
      await Promise.all([world.addresses.claim([first]), world.addresses.release([first])]);
      expect(world.present()).toEqual([own]);
      await Promise.all([world.addresses.release([first]), world.addresses.claim([first])]);
      expect(world.present()).toEqual([own, '192.0.2.10/32']);
    });

    test('a held VIP that somebody deletes is put back and reported', async () => {
      await world.addresses.claim([first]);
      world.delete('192.0.2.10/32');
      await expect.poll(() => world.told).toEqual(['lost 192.0.2.10']);
      expect(world.present()).toEqual([own, '192.0.2.10/32']);
    });

    test('a VIP that we release is not reported as lost, nor put back', async () => {
      await world.addresses.claim([first]);
      await world.addresses.release([first]);
      await world.addresses.claim([second]);
      expect(world.told).toEqual([]);
      expect(world.present()).toEqual([own, '192.0.2.11/32']);
    });

    test('what an earlier life left behind is removed', async () => {
      await world.leaveBehind('192.0.2.10/24');
      expect(await world.addresses.removeStale([first, second])).toMatchObject({ removed: [first] });
      expect(world.present()).toEqual([own]);
    });

    test('what an earlier life left behind is taken over by a claim', async () => {
      await world.leaveBehind('192.0.2.10/24');
      expect(await world.addresses.claim([first])).toMatchObject({ renewed: [first], added: [] });
      expect(world.present()).toEqual([own, '192.0.2.10/32']);
    });

    test.each(['192.0.2.10/24', '192.0.2.10/32'])(
      'a permanent address of the same IP (%s) is reported by every operation and never touched',
      async (foreign) => {
        world.addPermanent(foreign);
        const conflict = { vip: first, foreign: prefix(foreign) };
        const report = { added: [], renewed: [], removed: [], conflicts: [conflict] };
        expect(await world.addresses.removeStale([first])).toEqual(report);
        expect(await world.addresses.claim([first])).toEqual(report);
        expect(await world.addresses.release([first])).toEqual(report);
        expect(world.present()).toEqual([own, foreign]);
      },
    );

    test('an interface that goes down and comes up is reported each time once', async () => {
      world.setUp(false);
      await expect.poll(() => world.told).toEqual(['down']);
      world.setUp(true);
      await expect.poll(() => world.told).toEqual(['down', 'up']);
    });

    test('without its interface a claim fails and names those that exist, a release is fine', async () => {
      world.deleteInterface();
      await expect.poll(() => world.told).toContain('gone');
      await expect(world.addresses.claim([first])).rejects.toMatchObject({
        code: 'INTERFACE_MISSING',
        mend: expect.stringContaining('lo') as string,
      });
      expect(await world.addresses.release([first])).toMatchObject({ removed: [] });
    });

    test('an interface that is made anew gets its held VIPs back', async () => {
      await world.addresses.claim([first]);
      world.deleteInterface();
      world.createInterface();
      await expect.poll(() => world.present()).toEqual([own, '192.0.2.10/32']);
      await expect.poll(() => world.told).toContain('lost 192.0.2.10');
      expect(world.told).toContain('gone');
    });
  });
}
