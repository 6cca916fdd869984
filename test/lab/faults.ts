/**
 * Faults that no host notices: frames dropped inside the switch, while every carrier stays up. They are kept as data
 * and written as one nft table of the bridge family, replaced as a whole.
 */

export type Direction = 'in' | 'out' | 'both';
export type Protocol = 'vrrp' | 'tcp' | 'udp' | 'icmp' | 'arp';

/** Frames from (out) or to (in) a host's port that the switch drops: all of one kind, or a share of everything. */
export type Fault =
  | { readonly kind: 'block'; readonly host: string; readonly direction: Direction; readonly protocol?: Protocol }
  | { readonly kind: 'loss'; readonly host: string; readonly percent: number };

const tableName = 'tandem_lab';

const matches: Readonly<Record<Protocol, string>> = {
  vrrp: 'meta l4proto 112',
  tcp: 'meta l4proto tcp',
  udp: 'meta l4proto udp',
  icmp: 'meta l4proto { icmp, ipv6-icmp }',
  arp: 'ether type arp',
};

/** Input of `nft -f -`: replaces in one transaction whatever faults the switch had. */
export function faultRuleset(faults: readonly Fault[]): string {
  const rules = faults.flatMap(faultRules);
  return [
    `table bridge ${tableName} {}`,
    `delete table bridge ${tableName}`,
    `table bridge ${tableName} {`,
    '  chain forward {',
    '    type filter hook forward priority 0; policy accept;',
    ...rules.map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
}

function faultRules(fault: Fault): string[] {
  switch (fault.kind) {
    case 'block': {
      const match = fault.protocol === undefined ? '' : `${matches[fault.protocol]} `;
      return portMatches(fault.host, fault.direction).map((port) => `${port} ${match}drop`);
    }
    case 'loss': {
      // Hundredths of a percent; each direction loses on its own.
      const share = Math.round(fault.percent * 100);
      return portMatches(fault.host, 'both').map((port) => `${port} numgen random mod 10000 < ${share} drop`);
    }
  }
}

function portMatches(host: string, direction: Direction): string[] {
  const out = `iifname "${host}"`;
  const into = `oifname "${host}"`;
  switch (direction) {
    case 'in':
      return [into];
    case 'out':
      return [out];
    case 'both':
      return [out, into];
  }
}
