/**
 * Changes over netlink, each answered before the call returns. The kernel performs a request of rtnetlink inside
 * sendmsg(2) (rtnetlink_rcv in net/core/rtnetlink.c), so its answer is there to be read at once. To wait for the event
 * loop to tell of it would cost a claim two tenths of a millisecond in which nobody serves.
 */
import { endianness } from 'node:os';
import { assert, viewOf } from '../../base/index.ts';
import { errno, errnoName } from '../../runtime/index.ts';
import type { Native } from '../../runtime/index.ts';
import type { Refusal } from './address-kernel.ts';

export type NetlinkCalls = Pick<Native, 'netlinkOpen' | 'send' | 'receive' | 'close'>;

// From the kernel's include/uapi/linux/netlink.h.
const NETLINK_ROUTE = 0;
const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 0x01;
const NLM_F_ACK = 0x04;
const headerBytes = 16;

const isLittleEndian = endianness() === 'LE';
/** An answer repeats the request, which is short. */
const answerBytesMax = 4096;

export class ChangeSocket {
  readonly #native: NetlinkCalls;
  readonly #answer = new Uint8Array(answerBytesMax);
  #socket = -1;
  #sequence = 0;

  constructor(dependencies: { native: NetlinkCalls }) {
    this.#native = dependencies.native;
  }

  open(): void {
    const socket = this.#native.netlinkOpen(NETLINK_ROUTE);
    if (socket < 0) throw new Error(`no netlink socket: ${errnoName(socket)}`);
    this.#socket = socket;
  }

  close(): void {
    if (this.#socket >= 0) this.#native.close(this.#socket);
    this.#socket = -1;
  }

  /** Asks for one change, whose message may come in parts. Throws only when the kernel cannot be asked at all. */
  change(type: number, flags: number, parts: readonly Uint8Array[]): Refusal {
    assert(this.#socket >= 0, 'the kernel is asked between open and close');
    const sequence = ++this.#sequence;
    const request = message(type, NLM_F_REQUEST | NLM_F_ACK | flags, sequence, parts);
    const sent = this.#native.send(this.#socket, request, 0, request.length);
    if (sent < 0) return errnoName(sent);
    for (;;) {
      const length = this.#native.receive(this.#socket, this.#answer, 0, answerBytesMax);
      if (length === errno.interrupted) continue;
      if (length < 0) throw new Error(`the kernel has not answered a change: ${errnoName(length)}`);
      const result = answerTo(sequence, this.#answer.subarray(0, length));
      if (result !== undefined) return result === 0 ? undefined : errnoName(result);
    }
  }
}

/** struct nlmsghdr: length, type and flags (16 bits each), sequence, port (0: chosen by the kernel); then the parts. */
function message(type: number, flags: number, sequence: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, headerBytes);
  const bytes = new Uint8Array(length);
  const view = viewOf(bytes);
  view.setUint32(0, length, isLittleEndian);
  view.setUint16(4, type, isLittleEndian);
  view.setUint16(6, flags, isLittleEndian);
  view.setUint32(8, sequence, isLittleEndian);
  let offset = headerBytes;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** 0 or -errno; undefined: it answers another request. */
function answerTo(sequence: number, answer: Uint8Array): number | undefined {
  const view = viewOf(answer);
  if (answer.length < headerBytes + 4 || view.getUint16(4, isLittleEndian) !== NLMSG_ERROR) return undefined;
  if (view.getUint32(8, isLittleEndian) !== sequence) return undefined;
  return view.getInt32(headerBytes, isLittleEndian);
}
