import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Prober } from '../../../../src/proxy/io/index.ts';
import type { CheckReport } from '../../../../src/proxy/io/index.ts';
import type {
  CheckResult,
  ExpectStep,
  HttpProbeSpec,
  ProbeSpec,
  ProbeTls,
  ProxyVersion,
} from '../../../../src/proxy/index.ts';
import { silentLogger } from '../../../../src/runtime/index.ts';
import { SocketTestClock, freePort, listening, native, ownAddress, startServer, turn, until } from './harness.ts';

const anyTls: ProbeTls = { sni: undefined, verify: false, caFile: undefined };
const get: HttpProbeSpec = {
  ...{ kind: 'http', method: 'GET', path: '/', host: undefined, tls: undefined },
  ...{ expectStatus: [{ from: 200, to: 399 }], expectBody: undefined },
};

let directory: string;
let certificate: TlsOptions;
let caFile: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tandem-probes-'));
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-keyout', keyFile, '-out', certFile, '-subj', '/CN=test'],
    ...['-addext', `subjectAltName=DNS:www.example.com,IP:${ownAddress}`],
  ]);
  certificate = { key: readFileSync(keyFile), cert: readFileSync(certFile) };
  caFile = certFile;
});

afterAll(() => rmSync(directory, { recursive: true }));

describe('a check by HTTP', () => {
  it('asks as it is told, and passes with an expected status', async () => {
    const asked: IncomingMessage[] = [];
    const port = await startHttp((request, response) => {
      asked.push(request);
      response.writeHead(304).end();
    });
    const result = await check({ ...get, method: 'OPTIONS', path: '/healthz?deep=1', host: 'www.example.com' }, port);
    expect(result).toMatchObject({ passed: true, detail: 'status 304' });
    expect(asked[0]).toMatchObject({ method: 'OPTIONS', url: '/healthz?deep=1' });
    expect(asked[0]?.headers.host).toBe('www.example.com');
    await check(get, port);
    expect(asked[1]?.headers.host).toBe(`${ownAddress}:${port}`);
  });

  it.each([
    [503, [{ from: 200, to: 399 }], 'status 503'],
    [404, [{ from: 404, to: 404 }], undefined],
    [
      301,
      [
        { from: 200, to: 299 },
        { from: 304, to: 304 },
      ],
      'status 301',
    ],
  ])('with status %i where %j are expected: %s', async (status, expectStatus, reason) => {
    const port = await startHttp((_, response) => response.writeHead(status).end());
    expect(reasonOf(await check({ ...get, expectStatus }, port))).toBe(reason);
  });

  it('finds its text wherever the body is cut', async () => {
    const port = await startHttp((_, response) => {
      response.write('all is ');
      response.write('we');
      response.end('ll');
    });
    expect(await check({ ...get, expectBody: 'is well' }, port)).toMatchObject({ passed: true });
    expect(reasonOf(await check({ ...get, expectBody: 'is ill' }, port))).toBe(
      'status 200, but no "is ill" in the body',
    );
  });

  it('reads no more of a body than 64 KiB', async () => {
    const port = await startHttp((_, response) => {
      response.end(`${'x'.repeat(65_535)}OK`);
    });
    expect(reasonOf(await check({ ...get, expectBody: 'OK' }, port))).toBe(
      'status 200, but no "OK" in 65536 bytes of the body',
    );
  });

  it.each<[answer: string, reason: string]>([
    ['', 'closed without an answer'],
    ['HTTP/1.1 200', 'closed without an answer'],
    ['SSH-2.0-OpenSSH\r\n', 'not HTTP (HPE_INVALID_CONSTANT)'],
  ])('of a server that answers %j and closes: %s', async (answer, reason) => {
    const server = await startServer('s1', (socket) => socket.once('data', () => socket.end(answer)));
    expect(reasonOf(await check(get, server.port))).toBe(reason);
  });

  it.each<[answer: string, progress: string]>([
    ['', 'no answer'],
    ['HTTP/1.1 200 OK\r\ncontent-', 'no answer'],
    ['HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nO', 'status 200, but the body did not end'],
  ])('of a server that answers %j and hangs: timeout: %s', async (answer, progress) => {
    const running = await startCheck({ ...get, expectBody: 'OK' }, await startHanging(answer));
    expect(reasonOf(await running.timeOut())).toBe(`timeout: ${progress}`);
  });

  it('speaks TLS where it is told to', async () => {
    const server = createTlsServer(certificate, (socket) => socket.end('HTTP/1.1 204 No\r\n\r\n'));
    const port = await startOn(server);
    const tls = { sni: 'www.example.com', verify: true, caFile };
    expect(await check({ ...get, tls }, port)).toMatchObject({ passed: true, detail: 'status 204' });
    expect(reasonOf(await check({ ...get, tls: { ...tls, sni: 'other' } }, port))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  it('leaves from the given address, and names the error of a connect', async () => {
    const port = await startHttp((request, response) => {
      response.writeHead(request.socket.remoteAddress === '127.9.9.9' ? 200 : 500).end();
    });
    expect(await check(get, port, '127.9.9.9')).toMatchObject({ passed: true });
    expect(reasonOf(await check(get, port))).toBe('status 500');
    expect(reasonOf(await check(get, freePort()))).toBe('ECONNREFUSED');
  });
});

describe('a check by TLS', () => {
  it('makes a handshake that the server takes for a good one', async () => {
    const names: (string | false | null)[] = [];
    const errors: Error[] = [];
    const server = createTlsServer(certificate, (socket) => {
      names.push(socket.servername);
      socket.on('error', () => undefined);
    });
    server.on('tlsClientError', (error) => errors.push(error));
    const port = await startOn(server);
    const result = await check({ kind: 'tls', tls: { ...anyTls, sni: 'www.example.com' } }, port);
    expect(result).toMatchObject({ passed: true, detail: 'TLSv1.3' });
    await check({ kind: 'tls', tls: anyTls }, port);
    await until(() => names.length === 2);
    expect(names).toEqual(['www.example.com', false]);
    expect(errors).toEqual([]);
  });

  it('verifies the certificate by name or address, where it is told to', async () => {
    const port = await startOn(createTlsServer(certificate));
    const verify = (tls: Partial<ProbeTls>): Promise<CheckResult> =>
      check({ kind: 'tls', tls: { ...anyTls, verify: true, ...tls } }, port);
    expect(await verify({ caFile })).toMatchObject({ passed: true });
    expect(await verify({ caFile, sni: 'www.example.com' })).toMatchObject({ passed: true });
    expect(reasonOf(await verify({ caFile, sni: 'example.org' }))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(reasonOf(await verify({}))).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
    expect(reasonOf(await verify({ caFile: '/no/such/file' }))).toBe('TLS: ENOENT');
  });

  it('fails where nobody speaks TLS, and says how', async () => {
    const closing = await startServer('s1', (socket) => socket.end());
    expect(reasonOf(await check({ kind: 'tls', tls: anyTls }, closing.port))).toMatch(/^ECONNRESET|^closed/);
    const talking = await startServer('s1', (socket) => socket.end('220 hello\r\n'));
    expect(reasonOf(await check({ kind: 'tls', tls: anyTls }, talking.port))).toMatch(/^ERR_SSL_/);
    expect(reasonOf(await check({ kind: 'tls', tls: anyTls }, freePort()))).toBe('ECONNREFUSED');
    const running = await startCheck({ kind: 'tls', tls: anyTls }, await startHanging(''));
    expect(reasonOf(await running.timeOut())).toBe('timeout: no TLS handshake');
  });
});

describe('a check by send and expect', () => {
  const ping: ProbeSpec = {
    kind: 'expect',
    steps: [step('send', 'PING\r\n'), step('expect', '+PONG')],
    tls: undefined,
  };

  it('passes when the server says what is expected, in pieces as well', async () => {
    const server = await startServer('s1', (socket) => {
      socket.once('data', (bytes: Buffer) => {
        expect(bytes.toString()).toBe('PING\r\n');
        socket.write('+PO');
        socket.write('NG\r\n');
      });
    });
    expect(await check(ping, server.port)).toMatchObject({ passed: true });
  });

  it('says what came instead when time is over or the server closes', async () => {
    const running = await startCheck(ping, await startHanging('-ERR unknown\r\n'));
    expect(reasonOf(await running.timeOut())).toBe('timeout: expected +PONG, got -ERR unknown');
    const closing = await startServer('s1', (socket) => socket.end('-LOADING\r\n'));
    expect(reasonOf(await check(ping, closing.port))).toBe('closed: expected +PONG, got -LOADING');
    const silent = await startCheck(ping, await startHanging(''));
    expect(reasonOf(await silent.timeOut())).toBe('timeout: expected +PONG, got nothing');
  });

  it('speaks over TLS, too, and takes turns', async () => {
    const server = createTlsServer(certificate, (socket) => {
      socket.on('error', () => undefined);
      socket.write('220 ready\r\n');
      socket.once('data', () => socket.write('250 hello\r\n'));
    });
    const steps = [step('expect', '220'), step('send', 'EHLO x\r\n'), step('expect', '250')];
    expect(await check({ kind: 'expect', steps, tls: anyTls }, await startOn(server))).toMatchObject({ passed: true });
  });
});

describe('a check of a server that expects a PROXY protocol header', () => {
  const headers = {
    v1: Buffer.from('PROXY UNKNOWN\r\n'),
    // Version 2, command LOCAL, family UNSPEC, nothing more: section 2.2 of the specification.
    v2: Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex'),
  };

  it.each(['v1', 'v2'] as const)('says in %s first that it is the own connection of the node', async (version) => {
    const heard: Promise<Buffer>[] = [];
    const server = await startServer('s1', (socket) => {
      heard.push(firstBytes(socket, headers[version].length));
    });
    expect(await checkWithHeader({ kind: 'tcp' }, server.port, version)).toMatchObject({ passed: true });
    const steps = [step('send', 'PING'), step('expect', '+PONG')];
    void checkWithHeader({ kind: 'expect', steps, tls: undefined }, server.port, version);
    await until(() => heard.length === 2);
    expect(await Promise.all(heard)).toEqual([headers[version], headers[version]]);
  });

  it.each(['v1', 'v2'] as const)('goes on in TLS behind a header of %s', async (version) => {
    const tls = createTlsServer(certificate, (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
    });
    const server = await startServer('s1', (socket) => {
      void firstBytes(socket, headers[version].length).then((header) => {
        if (header.equals(headers[version])) tls.emit('connection', socket);
        else socket.destroy();
      });
    });
    const result = await checkWithHeader({ ...get, tls: anyTls }, server.port, version);
    expect(result).toMatchObject({ passed: true, detail: 'status 200' });
  });
});

describe('a check by command', () => {
  const run = (script: string): ProbeSpec => ({ kind: 'command', words: ['sh', '-c', script] });

  it('tells the program whom it checks, and keeps its last line', async () => {
    const script = 'echo $TANDEM_SERVICE $TANDEM_SERVER $TANDEM_SERVER_ADDRESS $TANDEM_SERVER_PORT $TANDEM_SOURCE';
    expect(await check(run(script), 81, '127.9.9.9')).toMatchObject({
      passed: true,
      detail: `web s1 ${ownAddress} 81 127.9.9.9`,
    });
    const asHaproxy = 'echo $HAPROXY_PROXY_NAME $HAPROXY_SERVER_NAME $HAPROXY_SERVER_ADDR $HAPROXY_SERVER_PORT';
    expect(await check(run(asHaproxy), 81)).toMatchObject({ detail: `web s1 ${ownAddress} 81` });
  });

  it('fails as the program does, and when there is none', async () => {
    expect(reasonOf(await check(run('echo replica lags >&2; exit 3'), 81))).toBe('exit code 3: replica lags');
    expect(reasonOf(await check(run('kill -9 $$'), 81))).toBe('killed by SIGKILL');
    expect(reasonOf(await check({ kind: 'command', words: ['/no/such/program'] }, 81))).toBe(
      'cannot be started: ENOENT',
    );
  });

  it('kills the program with all that it has started when its time is over', async () => {
    const pidFile = join(directory, 'pid');
    writeFileSync(pidFile, '');
    const running = await startCheck(run(`sleep 1000 & echo $! > ${pidFile}; wait`), 81);
    const pid = (): number => Number(readFileSync(pidFile, 'utf8'));
    await until(() => pid() > 0);
    expect(reasonOf(await running.timeOut())).toBe('timeout');
    await until(() => !isRunning(pid()));
  });
});

describe('a question to an agent', () => {
  const ask: ProbeSpec = { kind: 'agent', send: undefined };

  it.each([
    ['of one line, on a connection that stays', 'ready 75%\nmore', false],
    ['without an end of line, on one that ends', 'ready 75%', true],
  ])('has an answer %s', async (_, answer, isEnded) => {
    const server = await startServer('s1', (socket) => {
      if (isEnded) socket.end(answer);
      else socket.write(answer);
    });
    expect(await check(ask, server.port)).toMatchObject({ passed: true, detail: answer });
  });

  it('is what it is told to be', async () => {
    const server = await startServer('s1', (socket) => {
      socket.once('data', (bytes: Buffer) => socket.end(`up # asked by ${bytes.toString()}`));
    });
    expect(await check({ kind: 'agent', send: 'state\n' }, server.port)).toMatchObject({
      detail: 'up # asked by state\n',
    });
  });

  it('has no answer where none comes, and does not read for ever', async () => {
    const silent = await startServer('s1', (socket) => socket.end(' \n'));
    expect(reasonOf(await check(ask, silent.port))).toBe('no answer');
    const endless = await startServer('s1', (socket) => void socket.write('x'.repeat(100_000)));
    expect(await check(ask, endless.port)).toMatchObject({ passed: true, detail: 'x'.repeat(4_096) });
  });
});

it('no probe leaves a TIME_WAIT behind, at the server or here', async () => {
  const http = await startHttp((_, response) => response.end('OK'));
  const tls = await startOn(createTlsServer(certificate, (socket) => socket.on('error', () => undefined)));
  const talking = await startServer('s1', (socket) => void socket.write('hello\n'));
  const specs: readonly (readonly [ProbeSpec, number])[] = [
    [{ kind: 'tcp' }, talking.port],
    [get, http],
    [{ ...get, expectBody: 'OK' }, http],
    [{ kind: 'tls', tls: anyTls }, tls],
    [{ kind: 'expect', steps: [step('expect', 'hello')], tls: undefined }, talking.port],
    [{ kind: 'agent', send: undefined }, talking.port],
  ];
  for (const [spec, port] of specs) expect(await check(spec, port)).toMatchObject({ passed: true });
  const ports = new Set(specs.map(([, port]) => port));
  for (let i = 0; i < 200 && statesOf(ports).length > ports.size; i++) await turn();
  expect(statesOf(ports)).toEqual(Array.from(ports, () => listenState));
});

type RunningCheck = { readonly first: Promise<CheckResult>; timeOut(): Promise<CheckResult> };

function check(probe: ProbeSpec, port: number, source?: string): Promise<CheckResult> {
  return startCheck(probe, port, source).then(({ first }) => first);
}

function checkWithHeader(probe: ProbeSpec, port: number, sendProxy: ProxyVersion): Promise<CheckResult> {
  return startCheck(probe, port, undefined, sendProxy).then(({ first }) => first);
}

async function startCheck(
  probe: ProbeSpec,
  port: number,
  source?: string,
  sendProxy?: ProxyVersion,
): Promise<RunningCheck> {
  const clock = new SocketTestClock();
  const first = Promise.withResolvers<CheckResult>();
  const prober = new Prober({
    ...{ native, clock, random: { next: () => 0.5 }, logger: silentLogger },
    report: (report: CheckReport) => first.resolve(report.result),
  });
  await prober.start();
  onTestFinished(() => prober.stop());
  const timing = { interMs: 2000, fastinterMs: 2000, downinterMs: 2000, timeoutMs: 1000, rise: 2, fall: 3, jitter: 0 };
  const target = { service: 'web', server: 's1', address: ownAddress, port, source, sendProxy };
  prober.configure([{ ...target, probe, check: timing }]);
  return {
    first: first.promise,
    async timeOut() {
      // Whatever the server says on loopback has come by then.
      for (let i = 0; i < 50; i++) await turn();
      clock.advance(1000);
      return first.promise;
    },
  };
}

/** The port of a server that says something to whoever connects, and then no more. */
async function startHanging(answer: string): Promise<number> {
  const server = await startServer('s1', (socket) => void socket.write(answer));
  return server.port;
}

/** What a client says first, as much of it as asked for; the rest stays in the socket. */
function firstBytes(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const read = (): void => {
      const bytes = socket.read(length) as Buffer | null;
      if (bytes === null) return;
      socket.off('readable', read);
      resolve(bytes);
    };
    socket.on('readable', read);
  });
}

async function startHttp(answer: RequestListener): Promise<number> {
  return startOn(createHttpServer(answer));
}

async function startOn(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await listening(server);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function step(kind: ExpectStep['kind'], text: string): ExpectStep {
  return { kind, bytes: Buffer.from(text), label: text };
}

function reasonOf(result: CheckResult): string | undefined {
  return result.passed ? undefined : result.reason;
}

/** One that is killed but not yet buried does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const listenState = '0A';

/** The states of all sockets with these ports of this process's address at either end, as the kernel numbers them. */
function statesOf(ports: ReadonlySet<number>): readonly string[] {
  const own = Buffer.from(ownAddress.split('.').map(Number)).reverse().toString('hex').toUpperCase();
  const lines = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local = '', remote = '', state = ''] = line.trim().split(/\s+/);
    const isOne = [local, remote].some((end) => {
      const [address, port = ''] = end.split(':');
      return address === own && ports.has(Number.parseInt(port, 16));
    });
    return isOne ? [state] : [];
  });
}
