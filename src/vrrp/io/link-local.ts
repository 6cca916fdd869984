/** The address that IPv6 adverts leave from: the link-local one of the interface, which is never a virtual one. */
import { readFileSync } from 'node:fs';
import { compareIp, parseIp } from '../../base/index.ts';

/** From the kernel's include/uapi/linux/if_addr.h. */
const addressFlag = { dadFailed: 0x08, tentative: 0x40 } as const;
const linkScope = 0x20;

/**
 * Undefined while the interface has none that is ready for use: duplicate address detection takes a second or two after
 * the link has come up. `except` are virtual addresses, which may be on the interface at times.
 */
export function linkLocalAddress(interfaceName: string, except: readonly Uint8Array[]): Uint8Array | undefined {
  return findLinkLocal(readAddresses(), interfaceName, except);
}

/** `table` is /proc/net/if_inet6: address, index, prefix length, scope, flags (all hexadecimal), name. */
export function findLinkLocal(
  table: string,
  interfaceName: string,
  except: readonly Uint8Array[],
): Uint8Array | undefined {
  const notReady = addressFlag.dadFailed | addressFlag.tentative;
  for (const line of table.split('\n')) {
    const [digits = '', , , scope = '', flags = '', name] = line.trim().split(/\s+/);
    const address = parseIp(digits.match(/.{4}/g)?.join(':') ?? '');
    if (name !== interfaceName || address === undefined || Number.parseInt(scope, 16) !== linkScope) continue;
    if ((Number.parseInt(flags, 16) & notReady) !== 0) continue;
    if (!except.some((other) => compareIp(other, address) === 0)) return address;
  }
  return undefined;
}

/** The kernel answers out of its memory: no disk is waited for. */
function readAddresses(): string {
  try {
    return readFileSync('/proc/net/if_inet6', 'utf8');
  } catch {
    // A kernel without IPv6 has no such file.
    return '';
  }
}
