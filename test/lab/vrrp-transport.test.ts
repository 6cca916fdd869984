/**
 * The raw sockets of both families keep the transport's contract. Sockets belong to a network namespace and Node cannot
 * change its own, so this file runs itself again inside of one, made for it: a pair of virtual Ethernet ports, both in
 * that namespace.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseIp } from '../../src/base/index.ts';
import { loadNative } from '../../src/runtime/index.ts';
import { encodeVrrpIpv6Packet, vrrpGroupIpv6 } from '../../src/vrrp/index.ts';
import { Ipv6Transport, RawTransport, linkLocalAddress } from '../../src/vrrp/io/index.ts';
import type { Transport, TransportOptions } from '../../src/vrrp/io/index.ts';
import type { TransportPair } from '../unit/vrrp/io/transport-contract.ts';
import { describeTransport } from '../unit/vrrp/io/transport-contract.ts';

const insideMark = 'TANDEM_VRRP_TRANSPORT_NAMESPACE';
const addressA = Uint8Array.of(192, 0, 2, 251);
const addressB = Uint8Array.of(192, 0, 2, 252);

if (process.env[insideMark] === undefined) describeOutside();
else describeInside();

function describeOutside(): void {
  describe('the raw sockets', () => {
    const namespace = `tdm-vrrp-${process.pid}`;

    beforeAll(() => {
      run('ip', 'netns', 'add', namespace);
      run('ip', '-n', namespace, 'link', 'add', 'lan-a', 'type', 'veth', 'peer', 'name', 'lan-b');
      for (const [port, address] of [
        ['lan-a', '192.0.2.251/24'],
        ['lan-b', '192.0.2.252/24'],
      ] as const) {
        run('ip', '-n', namespace, 'address', 'add', address, 'dev', port);
        run('ip', '-n', namespace, 'link', 'set', port, 'up');
        // Both ends are this host's: it must believe a packet from outside that has its own address as its source.
        run('ip', 'netns', 'exec', namespace, 'sysctl', '-q', `net.ipv4.conf.${port}.accept_local=1`);
        run('ip', 'netns', 'exec', namespace, 'sysctl', '-q', `net.ipv4.conf.${port}.rp_filter=0`);
      }
      run('ip', 'netns', 'exec', namespace, 'sysctl', '-q', 'net.ipv4.conf.all.rp_filter=0');
    });

    afterAll(() => run('ip', 'netns', 'delete', namespace));

    it('keeps the contract, in a network namespace', () => {
      const vitest = [process.execPath, 'node_modules/vitest/vitest.mjs', 'run', '--project', 'lab'];
      const inside = spawnSync('ip', ['netns', 'exec', namespace, ...vitest, 'test/lab/vrrp-transport.test.ts'], {
        env: { ...process.env, [insideMark]: '1', NO_COLOR: '1', FORCE_COLOR: '0' },
        encoding: 'utf8',
        timeout: 50_000,
      });
      expect(inside.stdout, inside.stdout + inside.stderr).toMatch(/Tests +[1-9]\d passed/);
      expect(inside.status).toBe(0);
    });
  });
}

function describeInside(): void {
  const openIpv4Pair = () => openPair((options) => new RawTransport(options), addressA, addressB);
  describeTransport('the raw socket', openIpv4Pair);
  describeTransport('the raw IPv6 socket', openIpv6Pair);
  describeIpv6();

  describe('the raw socket', () => {
    it('hears nothing of another LAN of this host', async () => {
      const { a, b, until, close } = await openIpv4Pair();
      const onlyUnicast = new RawTransport({ interfaceName: 'lan-b', isMulticast: false });
      await onlyUnicast.start();
      const heard: string[] = [];
      onlyUnicast.subscribe(() => heard.push('not in the group'));
      a.subscribe(() => heard.push('another interface'));
      b.subscribe(() => heard.push('this one'));
      a.send(advertLike(addressA), Uint8Array.of(224, 0, 0, 18));
      await until(() => heard.length > 0);
      a.send(advertLike(addressA), Uint8Array.of(224, 0, 0, 18));
      await until(() => heard.length > 1);
      expect(heard).toEqual(['this one', 'this one']);
      await onlyUnicast.stop();
      await close();
    });

    it.each(['missing0', 'a/b', '..', 'longer-than-fifteen'])(
      'says that there is no interface %s',
      async (interfaceName) => {
        const transport = new RawTransport({ interfaceName, isMulticast: true });
        await expect(transport.start()).rejects.toThrow(
          expect.objectContaining({
            code: 'INTERFACE_MISSING',
            message: `there is no network interface ${interfaceName}`,
          }),
        );
      },
    );

    it('asks for CAP_NET_RAW in one line when it lacks it', () => {
      const script = `
        import { RawTransport } from './src/vrrp/io/index.ts';
        try { await new RawTransport({ interfaceName: 'lan-a', isMulticast: true }).start(); }
        catch (error) { console.log(error.code, error.line); }`;
      const command = ['--bounding-set=-net_raw', process.execPath, '--input-type=module', '--eval', script];
      expect(run('setpriv', ...command)).toBe(
        'RAW_SOCKET_DENIED VRRP cannot open a raw socket: EPERM; run as root or with CAP_NET_RAW\n',
      );
    });
  });
}

function describeIpv6(): void {
  describe('the raw IPv6 socket', () => {
    it('tells the hop limit that a packet arrived with', async () => {
      const { a, b, addressA: source, until, close } = await openIpv6Pair();
      const hopLimits: number[] = [];
      b.subscribe((packet) => hopLimits.push(packet[7] ?? 0));
      for (const hopLimit of [255, 254, 1]) {
        const packet = encodeVrrpIpv6Packet(source, vrrpGroupIpv6, new Uint8Array(24));
        packet[7] = hopLimit;
        a.send(packet, vrrpGroupIpv6);
      }
      await until(() => hopLimits.length === 3);
      expect(hopLimits).toEqual([255, 254, 1]);
      await close();
    });

    it('hears no multicast when it is for unicast', async () => {
      const { a, b, addressA: source, until, close } = await openIpv6Pair();
      const onlyUnicast = openIpv6({ interfaceName: 'lan-b', isMulticast: false });
      await onlyUnicast.start();
      const heard: string[] = [];
      onlyUnicast.subscribe(() => heard.push('not in the group'));
      b.subscribe(() => heard.push('in the group'));
      a.send(encodeVrrpIpv6Packet(source, vrrpGroupIpv6, new Uint8Array(24)), vrrpGroupIpv6);
      a.send(encodeVrrpIpv6Packet(source, vrrpGroupIpv6, new Uint8Array(24)), vrrpGroupIpv6);
      await until(() => heard.length === 2);
      expect(heard).toEqual(['in the group', 'in the group']);
      await onlyUnicast.stop();
      await close();
    });

    it('is opened on an interface that exists', async () => {
      const missing = openIpv6({ interfaceName: 'missing0', isMulticast: true });
      await expect(missing.start()).rejects.toThrow(expect.objectContaining({ code: 'INTERFACE_MISSING' }));
    });

    it('leaves from the link-local address of its interface, which is not a virtual one', async () => {
      run('ip', 'address', 'add', 'fe80::1/64', 'dev', 'lan-a', 'nodad');
      const virtual = parseIp('fe80::1') ?? new Uint8Array();
      const own = await linkLocal('lan-a', [virtual]);
      expect([own.subarray(0, 2), own]).toEqual([Uint8Array.of(0xfe, 0x80), expect.not.objectContaining(virtual)]);
      run('ip', 'address', 'delete', 'fe80::1/64', 'dev', 'lan-a');
    });
  });
}

async function openIpv6Pair(): Promise<TransportPair> {
  return openPair(openIpv6, await linkLocal('lan-a'), await linkLocal('lan-b'));
}

/** Its ports are tried for duplicates when the namespace is new. */
function linkLocal(interfaceName: string, except: readonly Uint8Array[] = []): Promise<Uint8Array> {
  const find = (): Uint8Array | undefined => linkLocalAddress(interfaceName, except);
  return vi.waitUntil(find, { timeout: 5000, interval: 20 });
}

function openIpv6(options: TransportOptions): Transport {
  return new Ipv6Transport(options, { native: loadNative() });
}

async function openPair(
  open: (options: TransportOptions) => Transport,
  addressA: Uint8Array,
  addressB: Uint8Array,
): Promise<TransportPair> {
  const a = open({ interfaceName: 'lan-a', isMulticast: true });
  const b = open({ interfaceName: 'lan-b', isMulticast: true });
  await a.start();
  await b.start();
  let isRefusing = false;
  return {
    a,
    b,
    addressA,
    addressB,
    until: (condition) => vi.waitUntil(condition, { timeout: 2000, interval: 1 }).then(() => undefined),
    refuseSends() {
      isRefusing = true;
      run('nft', 'add table inet t; add chain inet t c { type filter hook output priority 0; policy drop; }');
    },
    async close() {
      if (isRefusing) run('nft', 'delete table inet t');
      await a.stop();
      await b.stop();
    },
  };
}

function advertLike(source: Uint8Array): Uint8Array {
  const packet = new Uint8Array(28);
  packet.set([0x45, 0xc0, 0, 28, 0, 0, 0x40, 0, 255, 112], 0);
  packet.set(source, 12);
  packet.set([224, 0, 0, 18], 16);
  return packet;
}

function run(command: string, ...argv: string[]): string {
  return execFileSync(command, argv, { encoding: 'utf8' });
}
