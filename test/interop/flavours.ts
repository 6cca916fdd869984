/** The kinds of VRRP in which Tandem and keepalived must agree: what both are told, and what is sent. */

import type { KeepalivedInstance } from '../lab/keepalived.ts';
import type { ChecksumForm } from './frames.ts';

export type Flavour = {
  readonly name: string;
  /** With prefix lengths. */
  readonly addresses: readonly string[];
  readonly isUnicast: boolean;
  readonly keepalived: Pick<KeepalivedInstance, 'version'> & Partial<Pick<KeepalivedInstance, 'lines'>>;
  /** Keys of the virtual router in Tandem's configuration. */
  readonly tandem: Readonly<Record<string, unknown>>;
  readonly wire: {
    /** Of the message in hexadecimal, without those that routers differ in: 4 bits each of version and type. */
    readonly versionAndType: string;
    readonly ttl: number;
    readonly checksum: ChecksumForm;
    readonly trailer: string;
    /** Multicast: where to; unicast: to the other router's own address. */
    readonly group: { readonly address: string; readonly mac: string } | undefined;
  };
  /** The shortest that both know. */
  readonly advertIntervalMs: number;
};

const v3 = { versionAndType: '31', ttl: 255, checksum: 'pseudo-header', trailer: '' } as const;

export const multicastV3: Flavour = {
  name: 'VRRPv3, IPv4, multicast',
  addresses: ['10.9.0.100/24'],
  isUnicast: false,
  keepalived: { version: 3 },
  tandem: {},
  wire: { ...v3, group: { address: '224.0.0.18', mac: '01:00:5e:00:00:12' } },
  advertIntervalMs: 100,
};

export const unicastV3: Flavour = {
  name: 'VRRPv3, IPv4, unicast',
  addresses: ['10.9.0.100/24', '10.9.0.101/24'],
  isUnicast: true,
  keepalived: { version: 3 },
  tandem: { mode: 'unicast' },
  wire: { ...v3, group: undefined },
  advertIntervalMs: 100,
};

/** Link-local first, as both want it. */
export const multicastV3Ipv6: Flavour = {
  name: 'VRRPv3, IPv6, multicast',
  addresses: ['fe80::100/64', '2001:db8:9::100/64'],
  isUnicast: false,
  keepalived: { version: 3 },
  tandem: {},
  wire: { ...v3, group: { address: 'ff02::12', mac: '33:33:00:00:00:12' } },
  advertIntervalMs: 100,
};

export const multicastV2: Flavour = {
  name: 'VRRPv2, IPv4, multicast',
  addresses: ['10.9.0.100/24'],
  isUnicast: false,
  keepalived: { version: 2 },
  tandem: { version: 2 },
  wire: {
    versionAndType: '21',
    ttl: 255,
    checksum: 'message',
    trailer: '0000000000000000',
    group: { address: '224.0.0.18', mac: '01:00:5e:00:00:12' },
  },
  advertIntervalMs: 1_000,
};

/** Half-way on a migration from a keepalived that has a password: tests of its own, since nothing else is different. */
export function multicastV2WithPassword(password: string): Flavour {
  return {
    ...multicastV2,
    name: 'VRRPv2, IPv4, multicast, simple-text password',
    keepalived: {
      version: 2,
      lines: ['authentication {', '  auth_type PASS', `  auth_pass ${password}`, '}'],
    },
    tandem: { version: 2, simplePassword: password },
    wire: { ...multicastV2.wire, trailer: Buffer.from(password.padEnd(8, '\0')).toString('hex') },
  };
}

export const flavours: readonly Flavour[] = [multicastV3, unicastV3, multicastV3Ipv6, multicastV2];
