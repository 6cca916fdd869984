/** Real servers behind the pair, each used by its own clients through the virtual address. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { packagesEnv, requirePrograms } from './packages.ts';
import { postgresClient, postgresPort, startPostgresServers } from './postgres.ts';
import { redisClient, redisPort, startRedisServers } from './redis.ts';
import type { RunOptions, RunResult } from './run.ts';
import { runChecked } from './run.ts';
import { startFileServers, startPair } from './stage.ts';
import type { TlsOptions } from './stage.ts';
import { virtualAddress } from './topology.ts';

const serverAddresses = { s1: '10.9.0.21', s2: '10.9.0.22', s3: '10.9.0.23' };
const httpPort = 80;
const tlsPort = 443;
const tlsName = 'tandem.test';

const fileBytes = 48 * 1024 * 1024;
const runTimeoutMs = 50_000;

describe('real servers behind a pair', () => {
  let lab: Lab;
  let file: Buffer;
  let certificate: string;

  beforeAll(async () => {
    requirePrograms(['nginx', 'wrk', 'curl', 'openssl']);
    lab = await createLab();
    const directory = join(lab.directory, 'files');
    mkdirSync(directory);
    file = randomBytes(fileBytes);
    writeFileSync(join(directory, 'file'), file);
    writeFileSync(join(directory, 'index.html'), 'hello\n');
    const tls = await makeCertificate(lab);
    certificate = tls.certificate;
    await startFileServers(lab, directory, httpPort, tls);
    await Promise.all([startPostgresServers(lab, serverAddresses), startRedisServers(lab, serverAddresses)]);
    await startPair(lab, { services: services(), proxy: { workers: 2 } });
  });

  afterAll(() => lab.destroy());

  /** Runs a client on the client's host to its end. */
  function client(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return lab.host('client').exec(argv, { env: packagesEnv, timeoutMs: runTimeoutMs, ...options });
  }

  describe('nginx', () => {
    it('answers wrk over connections that are kept, without an error', async () => {
      const { stdout, stderr, code } = await client(['wrk', '-t2', '-c48', '-d2s', `http://${virtualAddress}/`]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      // wrk speaks of errors only if there were any.
      expect(stdout).not.toMatch(/Socket errors|Non-2xx/);
      expect(Number(/(\d+) requests in/.exec(stdout)?.[1])).toBeGreaterThan(48);
    });

    it('answers several requests of curl over one connection, and all three servers have their turn', async () => {
      const url = `http://${virtualAddress}/`;
      const seen = await Promise.all(
        Array.from({ length: 24 }, () => client(['curl', '-sv', '-w', '%{num_connects}\n', url, url, url])),
      );
      for (const { stdout, code } of seen) {
        expect(code).toBe(0);
        expect(stdout).toBe('hello\n1\nhello\n0\nhello\n0\n');
      }
      const servers = seen.map(({ stderr }) => [...stderr.matchAll(/X-Server: (\S+)/g)].map(([, name]) => name));
      for (const [first, second, third] of servers) expect([second, third]).toEqual([first, first]);
      expect(new Set(servers.flat())).toEqual(new Set(['s1', 's2', 's3']));
    });

    it('sends a large file, byte for byte', async () => {
      const { stdout } = await client(['sh', '-c', `curl -sS http://${virtualAddress}/file | sha256sum`]);
      expect(stdout.split(' ')[0]).toBe(sha256(file));
    });

    it('sends parts of it to several at the same time', async () => {
      const parts = Array.from({ length: 12 }, (_, index) => (index * fileBytes) / 12);
      const sums = await Promise.all(
        parts.map(async (from) => {
          const range = `${from}-${from + fileBytes / 12 - 1}`;
          const { stdout } = await client([
            'sh',
            '-c',
            `curl -sS -r ${range} http://${virtualAddress}/file | sha256sum`,
          ]);
          return stdout.split(' ')[0];
        }),
      );
      expect(sums).toEqual(parts.map((from) => sha256(file.subarray(from, from + fileBytes / 12))));
    });
  });

  describe('nginx with TLS', () => {
    it.each(['-tls1_2', '-tls1_3'])(
      'and openssl s_client %s understand each other, and its certificate is good',
      async (version) => {
        const target = [
          '-connect',
          `${virtualAddress}:${tlsPort}`,
          '-servername',
          tlsName,
          '-verify_hostname',
          tlsName,
        ];
        const argv = [
          'openssl',
          's_client',
          ...target,
          '-CAfile',
          certificate,
          '-verify_return_error',
          version,
          '-quiet',
        ];
        const request = `GET / HTTP/1.1\r\nHost: ${tlsName}\r\nConnection: close\r\n\r\n`;
        const { stdout, stderr, code } = await client(argv, { input: request });
        expect({ code, stderr }).toMatchObject({
          code: 0,
          stderr: expect.stringContaining('verify return:1') as string,
        });
        expect(stdout).toMatch(/^HTTP\/1\.1 200 OK[^]*\r\n\r\nhello\n$/);
      },
    );

    it.each(['--http1.1', '--http2'])('sends a large file to curl %s, byte for byte', async (version) => {
      const url = `https://${tlsName}/file`;
      const trust = ['--cacert', certificate, '--resolve', `${tlsName}:${tlsPort}:${virtualAddress}`];
      const output = join(lab.directory, 'download');
      const { stdout, stderr, code } = await client([
        ...[
          'curl',
          '-sS',
          version,
          ...trust,
          '-o',
          output,
          '-w',
          '%{http_version} %{http_code} %{ssl_verify_result}',
          url,
        ],
      ]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toBe(version === '--http2' ? '2 200 0' : '1.1 200 0');
      expect((await runChecked(['sha256sum', output])).split(' ')[0]).toBe(sha256(file));
    });
  });

  describe('PostgreSQL', () => {
    const psql = (...args: readonly string[]): string[] => postgresClient('psql', virtualAddress, '-qAt', ...args);

    it('answers psql: every row of a large result, in order', async () => {
      const rows = 100_000;
      const query = `COPY (SELECT i, md5(i::text) FROM generate_series(1, ${rows}) i) TO STDOUT`;
      const { stdout, stderr, code } = await client([...psql('-c', query), 'postgres']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(sha256(stdout)).toBe(sha256(numberedRows(rows)));
    });

    it('takes a large input from psql, and knows it in the same session', async () => {
      const rows = 100_000;
      const script = [
        'CREATE TEMP TABLE taken (i int, hash text);',
        'COPY taken FROM STDIN;',
        `${numberedRows(rows)}\\.`,
        'SELECT count(*), sum(i), count(*) FILTER (WHERE hash = md5(i::text)) FROM taken;',
      ].join('\n');
      const { stdout, stderr, code } = await client([...psql('-f', '-'), 'postgres'], { input: script });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout.trim()).toBe(`${rows}|${(rows * (rows + 1)) / 2}|${rows}`);
    });

    it('spreads the sessions over all servers', async () => {
      const server = async (): Promise<string> =>
        (await client([...psql('-c', 'SELECT host(inet_server_addr())'), 'postgres'])).stdout.trim();
      const seen = new Set(await Promise.all(Array.from({ length: 24 }, server)));
      expect([...seen].sort()).toEqual(Object.values(serverAddresses));
    });
  });

  describe('redis', () => {
    const cli = (...args: readonly string[]): string[] => redisClient('redis-cli', virtualAddress, ...args);

    it('gives back to redis-cli what it was given, a large value as well', async () => {
      const value = randomBytes(2_000_000).toString('hex');
      const script = `SET large ${value}\nSTRLEN large\nGET large\nDEL large\n`;
      const { stdout } = await client(cli(), { input: script });
      expect(stdout.trimEnd().split('\n')).toEqual(['OK', String(value.length), value, '1']);
    });

    it('takes a stream of commands from redis-cli --pipe, and answers each', async () => {
      const count = 20_000;
      const input = Array.from({ length: count }, (_, index) => `SET key:${index} ${index}\r\n`).join('');
      const { stdout } = await client(cli('--pipe'), { input });
      expect(stdout).toContain(`errors: 0, replies: ${count}`);
    });

    it('runs redis-benchmark to its end, single requests and pipelines', async () => {
      const tests = ['set', 'get', 'lpush', 'lrange_100'];
      for (const pipeline of ['1', '16']) {
        const options = ['-c', '50', '-n', '20000', '-P', pipeline, '-t', tests.join(), '--csv'];
        const { stdout, stderr, code } = await client(redisClient('redis-benchmark', virtualAddress, ...options));
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        const names = stdout.split('\n').flatMap((line) => /^"([A-Z]+)[^"]*","[\d.]+"/.exec(line)?.[1] ?? []);
        expect(names).toEqual(expect.arrayContaining(['SET', 'GET', 'LPUSH', 'LRANGE']));
      }
    });
  });
});

function services(): readonly object[] {
  const check = { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 };
  const service = (name: string, port: number): object => ({
    ...{ name, listen: `${virtualAddress}:${port}`, check },
    servers: Object.entries(serverAddresses).map(([server, address]) => ({
      name: server,
      address: `${address}:${port}`,
    })),
  });
  return [
    service('http', httpPort),
    service('tls', tlsPort),
    service('postgres', postgresPort),
    service('redis', redisPort),
  ];
}

/** Signed by itself, and so the one that clients have to trust. */
async function makeCertificate(lab: Lab): Promise<TlsOptions> {
  const [certificate, key] = [join(lab.directory, 'tls.crt'), join(lab.directory, 'tls.key')];
  const subject = ['-subj', `/CN=${tlsName}`, '-addext', `subjectAltName=DNS:${tlsName}`, '-days', '2'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await runChecked(['openssl', 'req', '-x509', ...kind, ...subject, '-keyout', key, '-out', certificate]);
  return { port: tlsPort, certificate, key };
}

/** Each row: a number from 1 on, and the hash of its decimal digits. */
function numberedRows(count: number): string {
  const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
  return Array.from({ length: count }, (_, index) => `${index + 1}\t${md5(String(index + 1))}\n`).join('');
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
