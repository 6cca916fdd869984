/**
 * Which changes bring the interface to what is wanted.
 *
 * A VIP is always added as a host address (/32, /128), whatever the length of its network. With the network's length
 * the kernel would make it a secondary of the interface's own address in that network, or, when it comes first (the
 * interface's own address arrives late by DHCP), the primary, whose removal takes its secondaries along: a failover
 * would cost the node its own address. A host address has no secondaries, adds no route to the network, and is not
 * chosen as the source of other connections (Linux, net/ipv4/devinet.c: __inet_insert_ifa, __inet_del_ifa).
 */
import { ipFamily } from '../base/index.ts';
import type { IpPrefix } from '../base/index.ts';

/** An address as the kernel shows it. */
export type PresentAddress = {
  readonly prefix: IpPrefix;
  /** Who added it (IFA_PROTO, since Linux 5.18); 0 where nobody said. */
  readonly protocol: number;
  /** It does not leave by itself. */
  readonly permanent: boolean;
};

export type AddressOperation = { readonly type: 'add' | 'renew' | 'remove'; readonly vip: IpPrefix };

/** The VIP's address is on the interface, but somebody else put it there: it is left alone. */
export type AddressConflict = { readonly vip: IpPrefix; readonly foreign: IpPrefix };

export type AddressPlan = {
  readonly operations: readonly AddressOperation[];
  readonly conflicts: readonly AddressConflict[];
};

/** Our mark in IFA_PROTO: 84, "T". The kernel itself uses 1 to 3, daemons take theirs from the routing protocols'. */
export const addressProtocol = 84;

/** `claim`: the VIPs are to be there. `release`: they are to be gone. Both are idempotent. */
export function planAddresses(
  intent: 'claim' | 'release',
  vips: readonly IpPrefix[],
  present: readonly PresentAddress[],
): AddressPlan {
  const operations: AddressOperation[] = [];
  const conflicts: AddressConflict[] = [];
  for (const vip of vips) {
    const same = present.filter((candidate) => candidate.prefix.address === vip.address);
    const own = same.some((candidate) => isOwn(candidate));
    const foreign = same.find((candidate) => !isOwn(candidate));
    if (foreign !== undefined) conflicts.push({ vip, foreign: foreign.prefix });
    if (intent === 'release') {
      if (own) operations.push({ type: 'remove', vip });
    } else if (own || foreign === undefined) {
      operations.push({ type: own ? 'renew' : 'add', vip });
    }
  }
  return { operations, conflicts };
}

/** The VIP as it is given to the kernel. */
export function hostPrefix(vip: IpPrefix): IpPrefix {
  return { address: vip.address, prefixLength: ipFamily(vip.address) === 6 ? 128 : 32 };
}

/**
 * Ours, of this life or an earlier one: a host address with our mark, or, from a kernel that keeps no marks, one that
 * leaves by itself. What an administrator configures is permanent, and what DHCP configures has its network's length.
 */
function isOwn(candidate: PresentAddress): boolean {
  if (candidate.prefix.prefixLength !== hostPrefix(candidate.prefix).prefixLength) return false;
  return candidate.protocol === addressProtocol || (candidate.protocol === 0 && !candidate.permanent);
}
