import { describe, expect, it } from 'vitest';
import { requireOwnAddress } from '../../../src/node/own-address.ts';

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
