import { describe, expect, it } from 'vitest';
import { parseIp } from '../../../src/base/index.ts';
import { advertsIn, announcementsIn, checksumForm } from '../../interop/frames.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const ip = (text: string): Buffer => Buffer.from(parseIp(text) ?? []);

describe("an advert's checksum", () => {
  it.each([
    ['message', '310ac80200 64828a c0000201c0000202', '192.0.2.251', '224.0.0.18'],
    ['pseudo-header', '310ac80200 64defb c0000201c0000202', '192.0.2.251', '224.0.0.18'],
    ['pseudo-header', '310ac80200 64fc11 c0000201c0000202', '192.0.2.251', '192.0.2.252'],
    ['message', '210ac80200 0192ed c0000201c0000202 0000000000000000', '192.0.2.251', '224.0.0.18'],
    [
      'pseudo-header',
      '310a640200 643f5d fe800000000000000000000000000001 20010db8000000000000000000000001',
      'fe80::c8',
      'ff02::12',
    ],
    ['wrong', '310ac80200 64828b c0000201c0000202', '192.0.2.251', '224.0.0.18'],
  ])('has the form "%s"', (form, message, source, destination) => {
    expect(checksumForm(hex(message), ip(source), ip(destination))).toBe(form);
  });
});

describe('frames', () => {
  const ethernet = '01005e000012 02000000000b 0800';
  const header = '45c0002000004000ff70d9b0 c00002fb e0000012';
  const padding = '00'.repeat(10);
  const frame = (text: string): { atMs: number; bytes: Uint8Array } => ({ atMs: 7, bytes: hex(text) });

  it('hold adverts, whose padding is no part of them', () => {
    const [advert] = advertsIn([frame(`${ethernet} ${header} 310ac80100644501 c0000201 ${padding}`)]);
    expect(advert).toMatchObject({
      atMs: 7,
      sourceMac: '02:00:00:00:00:0b',
      destinationMac: '01:00:5e:00:00:12',
      source: '192.0.2.251',
      destination: '224.0.0.18',
      ttl: 255,
      version: 3,
      type: 1,
      vrid: 10,
      priority: 200,
      advertIntervalMs: 1000,
      addresses: ['192.0.2.1'],
      trailer: '',
      message: '310ac80100644501c0000201',
    });
  });

  it('show what follows the addresses, and the seconds of version 2', () => {
    const long = header.replace('45c00020', '45c00028');
    const [advert] = advertsIn([frame(`${ethernet} ${long} 210ac801000154f1 c0000201 0000000000000000`)]);
    expect(advert).toMatchObject({ version: 2, advertIntervalMs: 1000, trailer: '0000000000000000' });
  });

  it('hold announcements: ARP of an address about itself, and neighbour advertisements', () => {
    const arp = (operation: string, target: string): string =>
      `ffffffffffff 02000000000b 0806 0001080006040 ${operation} 02000000000b c0000264 ffffffffffff ${target}`;
    const advertisement =
      '333300000001 02000000000b 86dd 6000000000203aff fe8000000000000000000000000000c8' +
      'ff020000000000000000000000000001 88000000 a0000000 20010db8000000000000000000000064 0201 02000000000b';
    const seen = announcementsIn(
      [arp('001', 'c0000264'), arp('002', 'c0000264'), arp('001', 'c0000201'), advertisement].map(frame),
    );
    expect(seen.map(({ kind, address, targetMac, flags }) => [kind, address, targetMac, flags])).toEqual([
      ['request', '192.0.2.100', '02:00:00:00:00:0b', ''],
      ['reply', '192.0.2.100', '02:00:00:00:00:0b', ''],
      ['neighbour-advertisement', '2001:db8::64', '02:00:00:00:00:0b', 'router+override'],
    ]);
  });
});
