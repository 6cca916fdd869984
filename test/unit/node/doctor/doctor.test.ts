import { describe, expect, it } from 'vitest';
import type { Config } from '../../../../src/config/index.ts';
import { isTaken, readListeners } from '../../../../src/node/doctor/listening.ts';
import { checkPrivileges } from '../../../../src/node/doctor/privileges.ts';
import { heldCapabilities } from '../../../../src/runtime/index.ts';

describe('capabilities', () => {
  it.each([
    ['CapEff:\t000001ffffffffff', 'CAP_SYS_NICE', true],
    ['CapEff:\t0000000000003000', 'CAP_NET_ADMIN', true],
    ['CapEff:\t0000000000003000', 'CAP_NET_RAW', true],
    ['CapEff:\t0000000000003000', 'CAP_SYS_NICE', false],
    ['CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000', 'CAP_NET_RAW', false],
    ['', 'CAP_NET_RAW', false],
  ] as const)('%j: %s is %s', (status, capability, expected) => {
    expect(heldCapabilities(status).includes(capability)).toBe(expected);
  });
});

describe('listeners', () => {
  const header = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid';
  const line = (local: string, state: string): string =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1`;

  it('are read from /proc/net/tcp, connections are not', () => {
    const text = [header, line('0100007F:1CE8', '0A'), line('0B00090A:0050', '01'), ''].join('\n');
    expect(readListeners(text, true)).toEqual([{ address: '127.0.0.1', port: 7400 }]);
  });

  it('of IPv6 are words of the machine, too', () => {
    const text = line('B80D0120000000000000000011000000:01BB', '0A');
    expect(readListeners(text, true)).toEqual([{ address: '2001:db8::11', port: 443 }]);
  });

  it('of a big-endian machine stand there as they are', () => {
    expect(readListeners(line('7F000001:0050', '0A'), false)).toEqual([{ address: '127.0.0.1', port: 80 }]);
  });

  it.each([
    ['10.0.0.1', 80, '10.0.0.1', true],
    ['10.0.0.1', 80, '10.0.0.2', false],
    ['0.0.0.0', 80, '10.0.0.1', true],
    ['::', 80, '10.0.0.1', true],
    ['::', 80, '2001:db8::1', true],
    ['0.0.0.0', 80, '2001:db8::1', false],
    ['10.0.0.1', 80, '0.0.0.0', true],
    ['10.0.0.1', 81, '10.0.0.1', false],
  ])('on %s:%d, wanted %s:80: taken is %s', (address, port, wanted, expected) => {
    expect(isTaken([{ address, port }], { address: wanted, port: 80 })).toBe(expected);
  });
});

describe('privileges', () => {
  const status = (mask: string): string => `Name:\tnode\nCapEff:\t${mask}\n`;
  const limits = (files: string, locked: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units\n` +
    `Max open files            1024                 ${files}               files\n` +
    `Max locked memory         65536                ${locked}                bytes\n`;
  const all = '000001ffffffffff';
  const config = { services: [{ name: 'web', listen: { address: '10.0.0.9', port: 80 } }] } as unknown as Config;
  const levels = (mask: string, files = '1048576', locked = '65536'): string =>
    checkPrivileges(config, status(mask), limits(files, locked))
      .filter(({ level }) => level !== 'ok')
      .map(({ level, text }) => `${level} ${text}`)
      .join('; ');

  it('of root are all there', () => {
    expect(levels(all)).toBe('');
  });

  it('that are lacking fail, but for those that only cost punctuality', () => {
    expect(levels('0000000000000000', '4096')).toBe(
      'fail no CAP_NET_ADMIN; fail no CAP_NET_RAW; ' +
        'fail no CAP_NET_BIND_SERVICE, and service web has port 80; ' +
        'warn memory cannot be locked: what is swapped out delays adverts; ' +
        'warn up to 4096: a worker relays at most 2048 connections',
    );
  });

  it('to lock memory may come by a limit', () => {
    expect(levels('0000000000003400', 'unlimited', 'unlimited')).toBe('');
  });
});
