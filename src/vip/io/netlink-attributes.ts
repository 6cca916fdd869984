import { getMap } from 'node-netlink';

/** 32-bit numbers as the kernel of this machine keeps them. */
export function hostOrder(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** What follows the header of a message, by type. */
export function attributesOf(message: Buffer, headerBytes: number): Map<number, Buffer> {
  return getMap(message.subarray(headerBytes), (bytes) => bytes);
}
