/**
 * The front door of a pair, with the real programs that people have before and behind it: HAProxy that sends PROXY
 * headers to the virtual address, nginx and HAProxy that read what Tandem sends, TLS servers told apart by name.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServiceStatus } from '../../src/node/index.ts';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { startPair, startServers, statusOf, waitForHolder } from './stage.ts';
import type { Pair } from './stage.ts';
import { serverPort, servicePort } from './tandem.ts';
import type { ConfigOverrides } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

const ports = { toNginx: 81, toHaproxy: 82, direct: 83, perSource: 84, maxconn: 85, lists: 86, tls: 443 } as const;
const backend = { nginx: 8081, haproxy: 8082, tls: 8443 } as const;
/** Where HAProxy in front listens, on the client's host. */
const front = { v1ToNginx: 9001, v2ToNginx: 9002, v1ToHaproxy: 9003, v2ToHaproxy: 9004 } as const;
const frontAddress = '10.9.0.10';
/** Two clients, each an address of the client's host. */
const [one, two] = ['10.9.0.31', '10.9.0.32'] as const;

/** Refused, closed or reset, as curl happens to see it; 28 would be its word for a time-out. */
const sentAway = /curl: \((7|35|52|56)\)/;

describe('the front door of a pair', () => {
  let lab: Lab;
  let pair: Pair;

  beforeAll(async () => {
    lab = await createLab();
    for (const source of [one, two]) {
      await lab.host('client').exec(['ip', 'address', 'add', `${source}/24`, 'dev', 'lan0']);
    }
    await startServers(lab);
    await makeCertificates(lab, ['a.example', 'b.example']);
    await startNginx(lab, 's1', 'a.example');
    await startNginx(lab, 's2', 'b.example');
    await startHaproxyOn(lab, 's2', haproxyBehind());
    await startHaproxyOn(lab, 'client', haproxyInFront());
    pair = await startPair(lab, doors());
    await waitForHolder(lab, pair.lb1);
  });

  afterAll(() => lab.destroy());

  it.each(Object.entries(front))('brings the client’s address from HAProxy to the server: %s', async (_way, port) => {
    expect(await get(lab, one, `http://${frontAddress}:${port}/`)).toContain(one);
    expect(await get(lab, two, `http://${frontAddress}:${port}/`)).toContain(two);
  });

  it('tells a server who the client is that came without a proxy, and where it went', async () => {
    expect(await get(lab, one, url(ports.direct))).toBe(`${one} ${virtualAddress}`);
    // From a source that is not trusted no header is expected.
    expect(await get(lab, two, url(ports.toNginx))).toBe(two);
  });

  it('checks servers that expect a header with one that names nobody', async () => {
    for (const name of ['to-nginx', 'to-haproxy']) {
      const [server] = (await service(pair, name)).servers;
      expect(server?.health).toBe('up');
      expect(server?.lastCheck).toMatch(/passed.*status 200/);
    }
  });

  it('refuses a trusted proxy that sends no header, and counts why', async () => {
    await expect(get(lab, frontAddress, url(ports.toNginx))).rejects.toThrow(sentAway);
    expect((await service(pair, 'to-nginx')).refused).toMatchObject({ 'proxy-signature': 1 });
  });

  it('brings TLS clients to the server of the name that they ask for', async () => {
    for (const [name, server] of [
      ['a.example', 'a.example'],
      ['A.Example', 'a.example'],
      ['www.b.example', 'b.example'],
    ] as const) {
      expect(await get(lab, one, `https://${name}:${ports.tls}/`, ...resolving(name, virtualAddress, ports.tls))).toBe(
        server,
      );
      expect(await subjectFor(lab, name)).toContain(`CN = ${server}`);
    }
  });

  it('brings them there as well when their hello comes in many records and segments', async () => {
    const relay = lab.host('client').spawn([process.execPath, '--input-type=module', '--eval', fragmentingRelay()]);
    await relay.waitForLine(/listening/, 5_000);
    for (const [name, server] of [
      ['a.example', 'a.example'],
      ['x.b.example', 'b.example'],
    ] as const) {
      expect(await get(lab, one, `https://${name}:9443/`, ...resolving(name, frontAddress, 9443))).toBe(server);
    }
    await relay.stop();
  });

  it('refuses names that nobody has, and what is not TLS', async () => {
    const name = 'other.example';
    const asked = get(lab, one, `https://${name}:${ports.tls}/`, ...resolving(name, virtualAddress, ports.tls));
    await expect(asked).rejects.toThrow(sentAway);
    await expect(get(lab, one, url(ports.tls))).rejects.toThrow(sentAway);
    expect((await service(pair, 'tls-a')).refused).toMatchObject({ 'no-such-name': 1, 'not-tls': 1 });
  });

  it('gives each source its connections, exactly, over two workers', async () => {
    expect(await Promise.all([hold(lab, one, ports.perSource, 20), hold(lab, two, ports.perSource, 20)])).toEqual([
      4, 4,
    ]);
    expect((await service(pair, 'per-source')).refused).toMatchObject({ 'source-connections': 32 });
    // They have ended, so there is room.
    await waitUntil(async () => (await service(pair, 'per-source')).connections === 0, {
      timeoutMs: 5_000,
      what: 'room',
    });
    expect(await hold(lab, one, ports.perSource, 4)).toBe(4);
  });

  it('gives a service its clients, and no more', async () => {
    expect(await hold(lab, one, ports.maxconn, 10)).toBe(3);
    expect((await service(pair, 'maxconn')).refused).toMatchObject({ maxconn: 7 });
  });

  it('takes those who are allowed and not denied', async () => {
    expect(await get(lab, one, `${url(ports.lists)}who`)).toMatch(/^s[123]$/);
    await expect(get(lab, two, `${url(ports.lists)}who`)).rejects.toThrow(sentAway);
    await expect(get(lab, frontAddress, `${url(ports.lists)}who`)).rejects.toThrow(sentAway);
    expect((await service(pair, 'lists')).refused).toMatchObject({ denied: 2 });
  });
});

function doors(): ConfigOverrides {
  const check = { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 };
  const checkByHttp = { ...check, type: 'http' };
  const all = ['21', '22', '23'].map((last, index) => ({
    name: `s${index + 1}`,
    address: `10.9.0.${last}:${serverPort}`,
  }));
  const service = (name: string, port: number, rest: object): object => ({
    ...{ name, listen: `${virtualAddress}:${port}`, check, servers: all },
    ...rest,
  });
  const to = (address: string, port: number): object[] => [{ name: 's', address: `${address}:${port}` }];
  const acceptProxy = { from: [frontAddress] };
  return {
    proxy: { workers: 2 },
    services: [
      service('web', servicePort, {}),
      service('to-nginx', ports.toNginx, {
        ...{ acceptProxy, check: checkByHttp },
        sendProxy: 'v1',
        servers: to('10.9.0.21', backend.nginx),
      }),
      service('to-haproxy', ports.toHaproxy, {
        ...{ acceptProxy, check: checkByHttp },
        sendProxy: 'v2',
        servers: to('10.9.0.22', backend.haproxy),
      }),
      service('direct', ports.direct, { sendProxy: 'v2', servers: to('10.9.0.22', backend.haproxy) }),
      service('tls-a', ports.tls, { sni: ['a.example'], servers: to('10.9.0.21', backend.tls) }),
      service('tls-b', ports.tls, { sni: ['*.b.example'], servers: to('10.9.0.22', backend.tls) }),
      service('per-source', ports.perSource, { perSource: { connections: 4 } }),
      // All clients of the test are one source, and so of one worker.
      service('maxconn', ports.maxconn, { maxconn: 3, perSource: { connections: 1000 } }),
      service('lists', ports.lists, { allow: ['10.9.0.16/28'], deny: [two] }),
    ],
  };
}

/** Answers in plain text whom the PROXY header names, and by TLS whose server it is. */
async function startNginx(lab: Lab, host: string, name: string): Promise<void> {
  const path = join(lab.directory, `front-nginx-${host}.conf`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${lab.directory};`,
  );
  writeFileSync(
    path,
    `daemon off; master_process off; user root; pid ${join(lab.directory, `front-nginx-${host}.pid`)};
    events {}
    http {
      access_log off; default_type text/plain; ${temporary.join(' ')}
      server { listen ${backend.nginx} proxy_protocol; return 200 "$proxy_protocol_addr"; }
      server {
        listen ${backend.tls} ssl;
        ssl_certificate ${join(lab.directory, `${name}.crt`)};
        ssl_certificate_key ${join(lab.directory, `${name}.key`)};
        return 200 "${name}";
      }
    }`,
  );
  lab.host(host).spawn(['nginx', '-p', lab.directory, '-c', path, '-e', 'stderr']);
  await waitUntilListening(lab, host, backend.tls);
}

async function startHaproxyOn(lab: Lab, host: string, sections: string): Promise<void> {
  const path = join(lab.directory, `front-haproxy-${host}.cfg`);
  writeFileSync(path, `defaults\n  timeout connect 4s\n  timeout client 10s\n  timeout server 10s\n${sections}`);
  lab.host(host).spawn(['haproxy', '-db', '-f', path]);
  await waitUntilListening(lab, host, host === 'client' ? front.v2ToHaproxy : backend.haproxy);
}

function haproxyBehind(): string {
  return `frontend behind
  mode http
  bind :${backend.haproxy} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[dst]"
`;
}

function haproxyInFront(): string {
  const listen = (port: number, to: number, send: string): string => `listen front-${port}
  mode tcp
  bind ${frontAddress}:${port}
  server tandem ${virtualAddress}:${to} ${send}
`;
  return [
    listen(front.v1ToNginx, ports.toNginx, 'send-proxy'),
    listen(front.v2ToNginx, ports.toNginx, 'send-proxy-v2 proxy-v2-options crc32c'),
    listen(front.v1ToHaproxy, ports.toHaproxy, 'send-proxy'),
    listen(front.v2ToHaproxy, ports.toHaproxy, 'send-proxy-v2'),
  ].join('');
}

async function makeCertificates(lab: Lab, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const [key, certificate] = ['key', 'crt'].map((end) => join(lab.directory, `${name}.${end}`));
    const argv = [
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '1',
    ];
    const files = ['-subj', `/CN=${name}`, '-keyout', key ?? '', '-out', certificate ?? ''];
    expect(await lab.host('client').exec([...argv, ...files])).toMatchObject({ code: 0 });
  }
}

async function waitUntilListening(lab: Lab, host: string, port: number): Promise<void> {
  await waitUntil(
    async () => (await lab.host(host).exec(['ss', '-Hltn', `sport = :${port}`])).stdout.includes(`:${port}`),
    { timeoutMs: 10_000, everyMs: 50, what: `${host} listens on port ${port}` },
  );
}

/** What curl gets from one of the client's addresses; throws with its words if it gets nothing. */
async function get(lab: Lab, source: string, address: string, ...options: readonly string[]): Promise<string> {
  const argv = ['curl', '-sS', '-k', '-m', '5', '--http1.1', '--interface', source, ...options, address];
  const { code, stdout, stderr } = await lab.host('client').exec(argv, { timeoutMs: 10_000 });
  if (code !== 0) throw new Error(stderr.trim());
  return stdout.trim();
}

function url(port: number): string {
  return `http://${virtualAddress}:${port}/`;
}

function resolving(name: string, address: string, port: number): readonly string[] {
  return ['--resolve', `${name}:${port}:${address}`];
}

/** The subject of the certificate that OpenSSL's client is shown for a name. */
async function subjectFor(lab: Lab, name: string): Promise<string> {
  const client = `openssl s_client -connect ${virtualAddress}:${ports.tls} -servername ${name} </dev/null 2>/dev/null`;
  const command = `${client} | openssl x509 -noout -subject`;
  return (await lab.host('client').exec(['sh', '-c', command], { timeoutMs: 10_000 })).stdout;
}

/** Takes TLS clients and passes their hello on in records of 11 bytes, each in a segment of its own. */
function fragmentingRelay(): string {
  return `
    import { connect, createServer } from 'node:net';
    createServer((client) => {
      const server = connect({ host: '${virtualAddress}', port: ${ports.tls}, noDelay: true });
      server.pipe(client);
      for (const socket of [client, server]) socket.on('error', () => { client.destroy(); server.destroy(); });
      client.once('data', async (record) => {
        client.pause();
        for (let start = 5; start < record.length; start += 11) {
          const part = record.subarray(start, start + 11);
          server.write(Buffer.concat([record.subarray(0, 3), Buffer.of(0, part.length), part]));
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        client.pipe(server);
      });
    }).listen(9443, '${frontAddress}', () => console.log('listening'));`;
}

/** Opens so many connections at once and counts those that are not sent away. */
async function hold(lab: Lab, source: string, port: number, count: number): Promise<number> {
  const script = `
    import { connect } from 'node:net';
    let open = ${count};
    for (let i = 0; i < ${count}; i++) {
      const socket = connect({ host: '${virtualAddress}', port: ${port}, localAddress: '${source}' });
      socket.on('error', () => open--);
    }
    setTimeout(() => { console.log(open); process.exit(); }, 1500);`;
  const { stdout } = await lab.host('client').exec([process.execPath, '--input-type=module', '--eval', script]);
  return Number(stdout);
}

async function service(pair: Pair, name: string): Promise<ServiceStatus> {
  const found = (await statusOf(pair.lb1)).services.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no service ${name}`);
  return found;
}
