import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  formatAlias,
  formatMac,
  parentArpSettings,
  parseAlias,
  restoredArpSettings,
  virtualInterfaceName,
  virtualMac,
} from '../../../src/vip/index.ts';

const arpSettings = fc.record({
  arpIgnore: fc.integer({ min: 0, max: 8 }),
  arpAnnounce: fc.integer({ min: 0, max: 2 }),
});
const family = fc.constantFrom(4 as const, 6 as const);
const vrid = fc.integer({ min: 1, max: 255 });
const parentName = fc.stringMatching(/^[a-z][a-z0-9.-]{0,14}$/);

test('the virtual MAC is made of the family and the VRID', () => {
  expect(formatMac(virtualMac(4, 51))).toBe('00:00:5e:00:01:33');
  expect(formatMac(virtualMac(6, 255))).toBe('00:00:5e:00:02:ff');
});

test.each([0, 256, 1.5])('a VRID of %s is a bug of the caller', (wrong) => {
  expect(() => virtualMac(4, wrong)).toThrow('broken invariant');
});

test("the interface's name tells family, VRID and parent", () => {
  expect(virtualInterfaceName({ parentName: 'eth0', family: 4, vrid: 51 })).toBe('v4-51-eth0');
  expect(virtualInterfaceName({ parentName: 'eth0.100', family: 6, vrid: 255 })).toBe('v6-255-eth0.100');
});

test('a parent whose name is long is told by a hash from another one that begins alike', () => {
  const names = ['enp0s31f6', 'enp0s31f7'].map((name) =>
    virtualInterfaceName({ parentName: name, family: 4, vrid: 255 }),
  );
  expect(names[0]).toMatch(/^v4-255-enp-[a-z0-9]{4}$/);
  expect(names[1]).not.toBe(names[0]);
});

test('every name fits, and stays the same', () => {
  fc.assert(
    fc.property(fc.record({ parentName, family, vrid }), (spec) => {
      const name = virtualInterfaceName(spec);
      expect(name.length).toBeLessThanOrEqual(15);
      expect(virtualInterfaceName({ ...spec })).toBe(name);
    }),
  );
});

test.each([
  [
    { arpIgnore: 0, arpAnnounce: 0 },
    { arpIgnore: 1, arpAnnounce: 2 },
  ],
  [
    { arpIgnore: 2, arpAnnounce: 1 },
    { arpIgnore: 2, arpAnnounce: 2 },
  ],
  [
    { arpIgnore: 8, arpAnnounce: 2 },
    { arpIgnore: 8, arpAnnounce: 2 },
  ],
  // By 3 it would still answer for addresses of other interfaces.
  [
    { arpIgnore: 3, arpAnnounce: 0 },
    { arpIgnore: 1, arpAnnounce: 2 },
  ],
])('a parent with %j gets %j', (present, wanted) => {
  expect(parentArpSettings(present)).toEqual(wanted);
});

test('what the parent had comes back exactly, if nobody has touched it', () => {
  fc.assert(
    fc.property(arpSettings, (original) => {
      expect(restoredArpSettings(original, parentArpSettings(original))).toEqual(original);
    }),
  );
});

test('a setting that somebody has changed meanwhile stays as it is', () => {
  const original = { arpIgnore: 0, arpAnnounce: 0 };
  expect(restoredArpSettings(original, { arpIgnore: 2, arpAnnounce: 2 })).toEqual({ arpIgnore: 2, arpAnnounce: 0 });
  expect(restoredArpSettings(original, { arpIgnore: 1, arpAnnounce: 1 })).toEqual({ arpIgnore: 0, arpAnnounce: 1 });
});

test('the alias keeps which parent it was and what that one had', () => {
  expect(formatAlias({ parentName: 'eth0', family: 4, vrid: 51 }, { arpIgnore: 0, arpAnnounce: 2 })).toBe(
    'tandem: VRID 51; before, eth0 had arp_ignore=0 arp_announce=2',
  );
  fc.assert(
    fc.property(fc.record({ parentName, family, vrid }), arpSettings, (spec, original) => {
      expect(parseAlias(formatAlias(spec, original))).toEqual({ parentName: spec.parentName, original });
    }),
  );
});

test.each(['', 'uplink', 'tandem: eth0', 'x tandem: VRID 1; before, eth0 had arp_ignore=0 arp_announce=0'])(
  'the alias %j is none of ours',
  (alias) => {
    expect(parseAlias(alias)).toBeUndefined();
  },
);
