import { describe, expect, it, test } from 'vitest';
import { formatIp, parseIp } from '../../../../src/base/index.ts';
import { findLinkLocal, linkLocalAddress } from '../../../../src/vrrp/io/index.ts';

/** As the kernel prints it: address, index, prefix length, scope, flags, name. */
const table = [
  '00000000000000000000000000000001 01 80 10 80       lo',
  '20010db8000000000000000000000007 02 40 00 80     eth0',
  'fe800000000000000000000000000001 02 40 20 82     eth0',
  'fe80000000000000e8184dfffe485f2b 02 40 20 80     eth0',
  'fe800000000000000000000000000004 03 40 20 c0     eth1',
  'fe800000000000000000000000000005 04 40 20 88     eth2',
  '',
].join('\n');

describe('findLinkLocal', () => {
  const find = (name: string, ...except: string[]): string | undefined => {
    const found = findLinkLocal(
      table,
      name,
      except.flatMap((text) => parseIp(text) ?? []),
    );
    return found && formatIp(found);
  };

  it('finds the first of the interface, but no virtual address', () => {
    expect(find('eth0')).toBe('fe80::1');
    expect(find('eth0', 'fe80::1')).toBe('fe80::e818:4dff:fe48:5f2b');
  });

  it.each([
    { what: 'that is being tried for duplicates', name: 'eth1' },
    { what: 'that is a duplicate', name: 'eth2' },
    { what: 'of another scope', name: 'lo' },
    { what: 'of no such interface', name: 'eth' },
  ])('finds none $what', ({ name }) => {
    expect(find(name)).toBeUndefined();
  });
});

test('an interface that is not there has no link-local address', () => {
  expect(linkLocalAddress('missing0', [])).toBeUndefined();
});
