import { readFileSync } from 'node:fs';

/**
 * Whether this host forwards IPv6 packets that come in on the interface. Asked each time, since nothing tells when an
 * administrator changes it; the file is the kernel's memory, no disk is waited for.
 */
export function isIpv6Router(interfaceName: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/ipv6/conf/${interfaceName}/forwarding`, 'latin1').trim() !== '0';
  } catch {
    // The interface has gone, or IPv6 is switched off.
    return false;
  }
}
