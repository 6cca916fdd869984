import { describe, expect, it, onTestFinished } from 'vitest';
import { DnsLookup } from '../../../../src/proxy/io/index.ts';
import type { DnsQuestion } from '../../../../src/proxy/io/index.ts';
import { DnsServer } from '../../../lab/dns-server.ts';
import type { DnsRecord } from '../../../lab/dns-server.ts';

const a = (last: number, ttl = 60): DnsRecord => ({ type: 'A', address: `10.0.0.${last}`, ttl });
const srv = (target: string, port: number, weight: number, priority = 1): DnsRecord => ({
  ...{ type: 'SRV', target, port, weight, priority, ttl: 60 },
});
const app: DnsQuestion = { kind: 'address', host: 'app.test', port: 8080, family: 4 };
const http: DnsQuestion = { kind: 'srv', service: '_http._tcp.test', family: 4 };
const at = (last: number, port = 8080, weight?: number) => ({ address: `10.0.0.${last}`, port, weight });

describe('a lookup', () => {
  it('finds addresses with the shortest time to live', async () => {
    const { server, ask } = await setup();
    server.set('app.test', { records: [a(1, 60), a(2, 7)] });
    expect(await ask(app)).toEqual({ kind: 'found', found: [at(1), at(2)], ttlMs: 7_000 });
  });

  it('asks anew each time', async () => {
    const { server, ask } = await setup();
    server.set('app.test', { records: [a(1, 3_600)] });
    await ask(app);
    server.set('app.test', { records: [a(2, 0)] });
    expect(await ask(app)).toEqual({ kind: 'found', found: [at(2)], ttlMs: 0 });
    expect(server.asked).toEqual(['udp app.test A', 'udp app.test A']);
  });

  it('finds addresses of the family that is asked for', async () => {
    const { server, ask } = await setup();
    server.set('app.test', { records: [a(1), { type: 'AAAA', address: '2001:db8::1', ttl: 9 }] });
    const found = [{ address: '2001:db8::1', port: 8080, weight: undefined }];
    expect(await ask({ ...app, family: 6 })).toEqual({ kind: 'found', found, ttlMs: 9_000 });
  });

  it.each([
    ['no such name', 'nxdomain', 'ENOTFOUND'],
    ['no address', undefined, 'ENODATA'],
  ] as const)('knows that there is %s', async (_what, fault, reason) => {
    const { server, ask } = await setup();
    server.set('app.test', { records: [], ...(fault === undefined ? {} : { fault }) });
    expect(await ask(app)).toEqual({ kind: 'empty', reason });
  });

  it.each([
    ['of a server that fails', 'servfail', 'ESERVFAIL'],
    ['of a server that is silent', 'silent', 'ETIMEOUT'],
    ['from answers to other questions', 'wrong-id', 'ETIMEOUT'],
  ] as const)('learns nothing %s', async (_what, fault, reason) => {
    const { server, ask } = await setup();
    server.set('app.test', { records: [a(1)], fault });
    expect(await ask(app)).toEqual({ kind: 'failed', reason });
  });

  it('learns nothing where no server is', async () => {
    const { server, ask } = await setup();
    server.stop();
    expect(await ask(app)).toMatchObject({ kind: 'failed' });
  });

  it('goes on to the next server, and over TCP where an answer is too long for UDP', async () => {
    const { server, port } = await setup();
    server.set('app.test', { records: [a(1), a(2)], fault: 'truncated' });
    const dead = { address: '127.0.0.9', port: 9 };
    const lookup = new DnsLookup({ resolvers: [dead, { address: '127.0.0.1', port }], timeoutMs: 200, tries: 2 });
    expect(await lookup.ask(app)).toMatchObject({ kind: 'found', found: [at(1), at(2)] });
    expect(server.asked).toEqual(['udp app.test A', 'tcp app.test A']);
  });

  it('finds hosts, ports and weights by SRV records, of the most preferred, for a bounded time', async () => {
    const { server, ask } = await setup();
    const records = [srv('one.test', 81, 10), srv('two.test', 82, 0), srv('late.test', 83, 5, 2)];
    server.set('_http._tcp.test', { records });
    server.set('one.test', { records: [a(1), a(2)] });
    server.set('two.test', { records: [a(3, 4)] });
    server.set('late.test', { records: [a(4)] });
    const found = [at(1, 81, 10), at(2, 81, 10), at(3, 82, 1)];
    expect(await ask(http)).toEqual({ kind: 'found', found, ttlMs: 4_000 });
    server.set('two.test', { records: [a(3, 3_600)] });
    expect(await ask(http)).toMatchObject({ ttlMs: 10_000 });
  });

  it('keeps the proportions of large weights', async () => {
    const { server, ask } = await setup();
    server.set('_http._tcp.test', { records: [srv('one.test', 81, 50_000), srv('two.test', 82, 25_000)] });
    server.set('one.test', { records: [a(1)] });
    server.set('two.test', { records: [a(2)] });
    expect(await ask(http)).toMatchObject({ found: [at(1, 81, 256), at(2, 82, 128)] });
  });

  it('leaves out a host without an address, but does not take one that is not answered for gone', async () => {
    const { server, ask } = await setup();
    server.set('_http._tcp.test', { records: [srv('one.test', 81, 1), srv('two.test', 82, 1)] });
    server.set('one.test', { records: [a(1)] });
    expect(await ask(http)).toMatchObject({ kind: 'found', found: [at(1, 81, 1)] });
    server.set('two.test', { records: [], fault: 'servfail' });
    expect(await ask(http)).toEqual({ kind: 'failed', reason: 'ESERVFAIL' });
  });
});

async function setup() {
  const server = new DnsServer();
  const port = await server.start();
  onTestFinished(() => {
    try {
      server.stop();
    } catch {
      // The test has done so.
    }
  });
  const lookup = new DnsLookup({ resolvers: [{ address: '127.0.0.1', port }], timeoutMs: 200, tries: 1 });
  return { server, port, ask: (question: DnsQuestion) => lookup.ask(question) };
}
