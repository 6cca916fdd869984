/** What /proc/self/status says of the process's effective capabilities; bit numbers from linux/capability.h. */
const bits = {
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_NICE: 23,
} as const;

export type Capability = keyof typeof bits;

/** `status` is the text of /proc/self/status. */
export function hasCapability(status: string, capability: Capability): boolean {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(bits[capability])) & 1n) === 1n;
}
