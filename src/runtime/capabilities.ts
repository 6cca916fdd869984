/** The kernel's capabilities: what a process of this host may do, read from /proc, and giving up the rest. */
import { errnoName } from './native.ts';
import type { Native } from './native.ts';

/** In the order of their numbers, linux/capability.h. */
const names = [
  ...['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID'],
  ...['CAP_SETUID', 'CAP_SETPCAP', 'CAP_LINUX_IMMUTABLE', 'CAP_NET_BIND_SERVICE', 'CAP_NET_BROADCAST'],
  ...['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_IPC_LOCK', 'CAP_IPC_OWNER', 'CAP_SYS_MODULE', 'CAP_SYS_RAWIO'],
  ...['CAP_SYS_CHROOT', 'CAP_SYS_PTRACE', 'CAP_SYS_PACCT', 'CAP_SYS_ADMIN', 'CAP_SYS_BOOT', 'CAP_SYS_NICE'],
  ...['CAP_SYS_RESOURCE', 'CAP_SYS_TIME', 'CAP_SYS_TTY_CONFIG', 'CAP_MKNOD', 'CAP_LEASE', 'CAP_AUDIT_WRITE'],
  ...['CAP_AUDIT_CONTROL', 'CAP_SETFCAP', 'CAP_MAC_OVERRIDE', 'CAP_MAC_ADMIN', 'CAP_SYSLOG', 'CAP_WAKE_ALARM'],
  ...['CAP_BLOCK_SUSPEND', 'CAP_AUDIT_READ', 'CAP_PERFMON', 'CAP_BPF', 'CAP_CHECKPOINT_RESTORE'],
];

/** Those that Tandem has a use for. */
export type Capability = 'CAP_NET_BIND_SERVICE' | 'CAP_NET_ADMIN' | 'CAP_NET_RAW' | 'CAP_IPC_LOCK' | 'CAP_SYS_NICE';

/** The effective ones by `status`, the text of a /proc/PID/status; one without a name here is "CAP_41". */
export function heldCapabilities(status: string): readonly string[] {
  const [, hex = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  const mask = BigInt(`0x${hex}`);
  return Array.from({ length: 64 }, (_, bit) => bit)
    .filter((bit) => ((mask >> BigInt(bit)) & 1n) === 1n)
    .map((bit) => names[bit] ?? `CAP_${bit}`);
}

/**
 * Gives up what is not `kept`, in all threads. Unless it is final, programs that root starts have everything again,
 * and those of another user what it inherited. "yes", or the errno name with which the kernel refused.
 */
export function keepCapabilities(
  native: Pick<Native, 'limitCapabilities'>,
  kept: readonly Capability[],
  { isFinal }: { readonly isFinal: boolean },
): string {
  const mask = kept.reduce((bits, capability) => bits | (1 << names.indexOf(capability)), 0);
  const result = native.limitCapabilities(mask, isFinal ? 1 : 0);
  return result < 0 ? errnoName(result) : 'yes';
}
