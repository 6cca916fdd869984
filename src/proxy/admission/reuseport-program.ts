/**
 * A classic BPF program for a group of listeners (SO_ATTACH_REUSEPORT_CBPF, socket(7)): it picks the one that gets a
 * new connection by the address of the client alone, where the kernel would also count its port in. All connections of
 * a source are so in one worker, which can count them exactly without asking the others.
 */

/** Instructions of include/uapi/linux/bpf_common.h and filter.h, those that are used. */
const op = {
  loadWord: 0x20, // LD | W | ABS
  and: 0x54, // ALU | AND | K
  xorX: 0xac, // ALU | XOR | X
  multiply: 0x24, // ALU | MUL | K
  shiftRight: 0x74, // ALU | RSH | K
  modulo: 0x94, // ALU | MOD | K
  toX: 0x07, // MISC | TAX
  returnA: 0x16, // RET | A
} as const;

/** SKF_NET_OFF: offsets are counted from the IP header. The program itself starts behind the TCP header. */
const networkHeader = -0x10_0000;
const sourceOffset = { 4: 12, 6: 8 } as const;
/** 2^32 divided by the golden ratio: neighbours in an address end far from each other (Knuth, 6.4). */
const goldenRatio = 0x9e37_79b1;

type Instruction = readonly [code: number, value: number];

/**
 * For `listeners` (>= 1) sockets. Of an IPv6 address the first 64 bits count, or the fewer that make a source: in a
 * classic program nothing is gained by more, for a larger group of sources stays together just as well.
 */
export function sourceSteering(family: 4 | 6, listeners: number, ipv6PrefixLength: number): Uint8Array {
  const spread: readonly Instruction[] = [
    [op.multiply, goldenRatio],
    [op.shiftRight, 16],
    [op.modulo, listeners],
    [op.returnA, 0],
  ];
  return encode([...(family === 4 ? loadIpv4() : loadIpv6(Math.min(64, ipv6PrefixLength))), ...spread]);
}

function loadIpv4(): readonly Instruction[] {
  return [[op.loadWord, networkHeader + sourceOffset[4]]];
}

/** The two halves of the network's 64 bits, each masked, as one word. */
function loadIpv6(bits: number): readonly Instruction[] {
  return [
    [op.loadWord, networkHeader + sourceOffset[6]],
    [op.and, maskOf(Math.min(32, bits))],
    [op.multiply, goldenRatio],
    [op.toX, 0],
    [op.loadWord, networkHeader + sourceOffset[6] + 4],
    [op.and, maskOf(Math.max(0, bits - 32))],
    [op.xorX, 0],
  ];
}

function maskOf(bits: number): number {
  return bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0;
}

/** struct sock_filter: code (2), two jumps (1 each), value (4), in the byte order of x64 and arm64. */
function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(8 * instructions.length);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, value]] of instructions.entries()) {
    view.setUint16(8 * index, code, true);
    view.setUint32(8 * index + 4, value >>> 0, true);
  }
  return bytes;
}
