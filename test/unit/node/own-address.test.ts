import { describe, expect, it, test } from 'vitest';
import { requireOwnAddress, sourceFor } from '../../../src/node/own-address.ts';

test('connections of the other family leave from where the kernel chooses', () => {
  expect(sourceFor('10.9.0.21', '10.9.0.11')).toBe('10.9.0.11');
  expect(sourceFor('2001:db8::21', '2001:db8::11')).toBe('2001:db8::11');
  expect(sourceFor('2001:db8::21', '10.9.0.11')).toBeUndefined();
});

describe('requireOwnAddress', () => {
  it('is content with an address of this host', async () => {
    await expect(requireOwnAddress(node('127.0.0.1'))).resolves.toBeUndefined();
  });

  it.each(['192.0.2.1', '2001:db8::1'])('names an address that this host does not have: %s', async (address) => {
    await expect(requireOwnAddress(node(address))).rejects.toMatchObject({
      code: 'NODE_ADDRESS',
      message: expect.stringContaining(`the address ${address} of node lb1 is not on this host`) as string,
    });
  });
});

function node(address: string) {
  return { name: 'lb1', address, syncAddress: address };
}
