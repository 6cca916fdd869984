/** The address that IPv6 adverts leave from: the link-local one of the interface, which is never a virtual one. */
import { readFile } from 'node:fs/promises';
import { compareIp, parseIp } from '../../base/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { OperatorError } from '../../runtime/index.ts';

/** From the kernel's include/uapi/linux/if_addr.h. */
const addressFlag = { dadFailed: 0x08, tentative: 0x40 } as const;
const linkScope = 0x20;

/** Duplicate address detection takes a second or two after the link has come up. */
const waitMsMax = 10_000;
const pollIntervalMs = 100;

/**
 * Waits until the interface has a link-local address that is ready for use. `except` are virtual addresses, which an
 * earlier life may have left behind. Throws OperatorError `LINK_LOCAL_MISSING` after ten seconds.
 */
export async function linkLocalAddress(
  interfaceName: string,
  except: readonly Uint8Array[],
  dependencies: { clock: Pick<Clock, 'nowMs' | 'sleep'> },
): Promise<Uint8Array> {
  const untilMs = dependencies.clock.nowMs() + waitMsMax;
  for (;;) {
    const address = findLinkLocal(await readAddresses(), interfaceName, except);
    if (address !== undefined) return address;
    if (dependencies.clock.nowMs() >= untilMs) break;
    await dependencies.clock.sleep(pollIntervalMs);
  }
  const what = `the interface ${interfaceName} has no IPv6 link-local address that is ready for use`;
  const mend = 'let the kernel make one: its link up, net.ipv6.conf.*.disable_ipv6=0, addr_gen_mode not none';
  throw new OperatorError('LINK_LOCAL_MISSING', what, mend);
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

async function readAddresses(): Promise<string> {
  try {
    return await readFile('/proc/net/if_inet6', 'utf8');
  } catch {
    // A kernel without IPv6 has no such file.
    return '';
  }
}
