import { expect, test } from 'vitest';
import { loadNative } from '../../../src/runtime/index.ts';
import { ChangeSocket } from '../../../src/vip/io/change-socket.ts';
import type { NetlinkCalls } from '../../../src/vip/io/change-socket.ts';

const RTM_NEWADDR = 20;
/** struct ifaddrmsg for an interface that nobody has, without an address. */
const message = [Uint8Array.of(2, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f)];

function answering(...answers: readonly Uint8Array[]): { native: NetlinkCalls; asked: Uint8Array[] } {
  const waiting = [...answers];
  const asked: Uint8Array[] = [];
  const native: NetlinkCalls = {
    netlinkOpen: () => 5,
    close: () => 0,
    send(_fd, bytes) {
      asked.push(Uint8Array.from(bytes));
      return bytes.length;
    },
    receive(_fd, bytes) {
      const answer = waiting.shift();
      if (answer === undefined) return -11;
      bytes.set(answer);
      return answer.length;
    },
  };
  return { native, asked };
}

/** NLMSG_ERROR of this little-endian machine. */
function acknowledgement(sequence: number, result: number, type = 2): Uint8Array {
  const view = new DataView(new ArrayBuffer(36));
  view.setUint32(0, 36, true);
  view.setUint16(4, type, true);
  view.setUint32(8, sequence, true);
  view.setInt32(16, result, true);
  return new Uint8Array(view.buffer);
}

function opened(native: NetlinkCalls): ChangeSocket {
  const socket = new ChangeSocket({ native });
  socket.open();
  return socket;
}

test('the kernel answers before the call returns, and its refusal has a name', () => {
  const socket = opened(loadNative());
  expect(socket.change(RTM_NEWADDR, 0, message)).toMatch(/^E(INVAL|PERM|ADDRNOTAVAIL|NODEV)$/);
  expect(socket.change(RTM_NEWADDR, 0, message)).toMatch(/^E(INVAL|PERM|ADDRNOTAVAIL|NODEV)$/);
  socket.close();
});

test('a request is one message of all parts, acknowledged, with a number of its own', () => {
  const { native, asked } = answering(acknowledgement(1, 0), acknowledgement(2, 0));
  const socket = opened(native);
  expect(socket.change(RTM_NEWADDR, 0x600, [Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5, 6, 7, 8)])).toBeUndefined();
  expect(socket.change(RTM_NEWADDR, 0, message)).toBeUndefined();
  expect([...(asked[0] ?? [])]).toEqual([
    24, 0, 0, 0, 20, 0, 0x05, 0x06, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
  ]);
  expect(asked[1]?.[8]).toBe(2);
});

test.each([
  ['another request', acknowledgement(7, -1)],
  ['nothing that was asked', acknowledgement(1, -1, 16)],
  ['too little', acknowledgement(1, -1).subarray(0, 19)],
])('what answers %s is passed over', (_what, stray) => {
  const { native } = answering(stray, acknowledgement(1, -17));
  expect(opened(native).change(RTM_NEWADDR, 0, message)).toBe('EEXIST');
});

test('a kernel that says nothing is an error, not an endless wait', () => {
  expect(() => opened(answering().native).change(RTM_NEWADDR, 0, message)).toThrow(/EAGAIN/);
});
