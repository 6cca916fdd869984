import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatPrefix, parsePrefix } from '../../../src/base/index.ts';
import type { IpPrefix } from '../../../src/base/index.ts';
import { addressProtocol, hostPrefix, planAddresses } from '../../../src/vip/index.ts';
import type { AddressPlan, PresentAddress } from '../../../src/vip/index.ts';

const vip = prefix('192.0.2.10/24');
const marked: PresentAddress = { prefix: prefix('192.0.2.10/32'), protocol: addressProtocol, permanent: false };
const unmarked: PresentAddress = { ...marked, protocol: 0 };
const permanent: PresentAddress = { ...unmarked, permanent: true };
const withNetworkLength: PresentAddress = { ...unmarked, prefix: prefix('192.0.2.10/24') };
const ofAnotherDaemon: PresentAddress = { ...marked, protocol: 18 };

function prefix(text: string): IpPrefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

function operationsOf(plan: AddressPlan): readonly string[] {
  return plan.operations.map((operation) => `${operation.type} ${formatPrefix(operation.vip)}`);
}

test('an absent VIP is added by a claim and is as wanted for a release', () => {
  expect(operationsOf(planAddresses('claim', [vip], []))).toEqual(['add 192.0.2.10/24']);
  expect(planAddresses('release', [vip], [])).toEqual({ operations: [], conflicts: [] });
});

test.each([
  ['with our mark', marked],
  ['on a kernel without marks: it leaves by itself', unmarked],
])('our own address (%s) is renewed by a claim and removed by a release', (_, present) => {
  expect(operationsOf(planAddresses('claim', [vip], [present]))).toEqual(['renew 192.0.2.10/24']);
  expect(operationsOf(planAddresses('release', [vip], [present]))).toEqual(['remove 192.0.2.10/24']);
});

test.each([
  ['permanent', permanent],
  ['with its network, as from DHCP', withNetworkLength],
  ["with another daemon's mark", ofAnotherDaemon],
])('a foreign address (%s) is a conflict and left alone', (_, present) => {
  const conflict = { operations: [], conflicts: [{ vip, foreign: present.prefix }] };
  expect(planAddresses('claim', [vip], [present])).toEqual(conflict);
  expect(planAddresses('release', [vip], [present])).toEqual(conflict);
});

test('our own address beside a foreign one of the same IP is still renewed, or removed, and the conflict told', () => {
  const present = [marked, withNetworkLength];
  expect(operationsOf(planAddresses('claim', [vip], present))).toEqual(['renew 192.0.2.10/24']);
  expect(operationsOf(planAddresses('release', [vip], present))).toEqual(['remove 192.0.2.10/24']);
  expect(planAddresses('release', [vip], present).conflicts).toHaveLength(1);
});

test('other addresses of the interface are nobody’s business', () => {
  const others = [
    { ...permanent, prefix: prefix('192.0.2.1/24') },
    { ...marked, prefix: prefix('192.0.2.99/32') },
  ];
  expect(operationsOf(planAddresses('release', [vip], others))).toEqual([]);
});

test('the kernel gets a VIP as a host address', () => {
  expect(formatPrefix(hostPrefix(vip))).toBe('192.0.2.10/32');
  expect(formatPrefix(hostPrefix(prefix('2001:db8::10/64')))).toBe('2001:db8::10/128');
});

test('performing a plan brings what was wanted, and planning again finds nothing more to add or remove', () => {
  const lastByte = fc.integer({ min: 1, max: 6 });
  const anyVips = fc
    .uniqueArray(lastByte, { maxLength: 6 })
    .map((bytes) => bytes.map((byte) => prefix(`192.0.2.${byte}/24`)));
  const anyPresent = fc.uniqueArray(
    fc.record({
      prefix: fc.record({ address: lastByte.map((byte) => `192.0.2.${byte}`), prefixLength: fc.constantFrom(24, 32) }),
      protocol: fc.constantFrom(0, 18, addressProtocol),
      permanent: fc.boolean(),
    }),
    { selector: (address) => formatPrefix(address.prefix) },
  );
  fc.assert(
    fc.property(fc.constantFrom('claim', 'release'), anyVips, anyPresent, (intent, vips, present) => {
      const after = perform(planAddresses(intent, vips, present), present);
      const again = planAddresses(intent, vips, after);
      expect(again.operations.filter((operation) => operation.type !== 'renew')).toEqual([]);
      const conflicting = new Set(again.conflicts.map((conflict) => conflict.vip.address));
      for (const { address } of vips) {
        const there = after.some((candidate) => candidate.prefix.address === address);
        expect(there).toBe(intent === 'claim' || conflicting.has(address));
      }
    }),
  );
});

function perform(plan: AddressPlan, present: readonly PresentAddress[]): readonly PresentAddress[] {
  const changed = new Set(plan.operations.map((operation) => formatPrefix(hostPrefix(operation.vip))));
  const kept = present.filter((address) => !changed.has(formatPrefix(address.prefix)));
  const put = plan.operations
    .filter((operation) => operation.type !== 'remove')
    .map((operation) => ({ ...marked, prefix: hostPrefix(operation.vip) }));
  return [...kept, ...put];
}
