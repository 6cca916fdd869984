/** Real sockets on loopback around a worker: servers, clients and the main process's side of the protocol. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket, TcpNetConnectOpts } from 'node:net';
import { onTestFinished } from 'vitest';
import { ProxyWorker, relayDefaults } from '../../../../src/proxy/io/index.ts';
import type { ProxyWorkerOptions, WorkerPeers } from '../../../../src/proxy/io/index.ts';
import type {
  InactivityLimits,
  ServerCounters,
  ServiceCounters,
  WorkerCounters,
  WorkerReport,
  WorkerServer,
  WorkerService,
} from '../../../../src/proxy/index.ts';
import { ManualClock, loadNative, silentLogger, systemClock } from '../../../../src/runtime/index.ts';
import type { Clock, Native, Timer } from '../../../../src/runtime/index.ts';

export const native = loadNative();

/** Of 127.0.0.0/8, and of this process alone, so that ports which were free a moment ago still are. */
export const ownAddress = `127.${1 + (process.pid % 250)}.${1 + (Math.floor(process.pid / 250) % 250)}.1`;

export const workerOptions: ProxyWorkerOptions = { ...relayDefaults, connectionsMax: 10_000 };

/** Time stands still until it is moved, but sockets are real and so are turns of the event loop. */
export class SocketTestClock extends ManualClock implements Clock {
  override afterPoll(callback: () => void): Timer {
    return systemClock.afterPoll(callback);
  }
}

/** For what the kernel takes its time for: delayed confirmations, retransmissions. */
export class RealTimeClock extends SocketTestClock {
  override nowMs(): number {
    return systemClock.nowMs();
  }

  override after(delayMs: number, callback: () => void): Timer {
    return systemClock.after(delayMs, callback);
  }

  override every(periodMs: number, callback: () => void): Timer {
    return systemClock.every(periodMs, callback);
  }
}

export const noInactivityLimits: InactivityLimits = {
  clientMs: 0,
  serverMs: 0,
  tunnelMs: undefined,
  clientFinMs: undefined,
  serverFinMs: undefined,
};

export type TestWorker = {
  readonly worker: ProxyWorker;
  readonly clock: SocketTestClock;
  readonly reports: WorkerReport[];
  configure(...services: readonly WorkerService[]): WorkerReport & { kind: 'configured' };
  counters(): WorkerCounters;
  service(name?: string): ServiceCounters;
};

export type TestProxy = TestWorker & {
  readonly spec: WorkerService;
  connect(options?: Partial<TcpNetConnectOpts>): Socket;
};

export async function startWorker(
  given: {
    options?: Partial<ProxyWorkerOptions>;
    native?: Native;
    clock?: SocketTestClock;
    peers?: WorkerPeers;
    onReport?: (report: WorkerReport) => void;
  } = {},
): Promise<TestWorker> {
  const clock = given.clock ?? new SocketTestClock();
  const reports: WorkerReport[] = [];
  const report = (one: WorkerReport): void => {
    reports.push(one);
    given.onReport?.(one);
  };
  const worker = new ProxyWorker(
    { ...workerOptions, ...given.options },
    {
      ...{ native: given.native ?? native, clock, random: { next: () => 0 }, logger: silentLogger, report },
      ...(given.peers === undefined ? {} : { peers: given.peers }),
    },
  );
  await worker.start();
  onTestFinished(() => worker.stop());
  const counters = (): WorkerCounters => {
    worker.handle({ kind: 'report-counters', requestId: 1 });
    return last(reports, 'counters').counters;
  };
  return {
    worker,
    clock,
    reports,
    configure(...services) {
      worker.handle({ kind: 'configure', revision: 1, services });
      return last(reports, 'configured');
    },
    counters,
    service(name = 'web') {
      const found = counters().services.find((service) => service.service === name);
      if (found === undefined) throw new Error(`no counters of ${name}`);
      return found;
    },
  };
}

/** What a worker has counted of a server of its service; undefined when it does not know it. */
export function server(test: TestWorker, name: string): ServerCounters | undefined {
  return test.service().servers.find((one) => one.server === name);
}

export function last<Kind extends WorkerReport['kind']>(
  reports: readonly WorkerReport[],
  kind: Kind,
): WorkerReport & { kind: Kind } {
  const found = reports.findLast((report) => report.kind === kind);
  if (found === undefined) throw new Error(`no report ${kind}`);
  return found as WorkerReport & { kind: Kind };
}

/** A worker with one service in front of these servers, and a client maker for it. */
export async function startProxy(
  servers: readonly WorkerServer[],
  given: Parameters<typeof startWorker>[0] & { service?: Partial<WorkerService> } = {},
): Promise<TestProxy> {
  const test = await startWorker(given);
  const spec = serviceSpec({ servers, ...given.service });
  const { failures } = test.configure(spec);
  if (failures.length > 0) throw new Error(JSON.stringify(failures));
  return { ...test, spec, connect: (options) => connectTo(spec.address, spec.port, options) };
}

export function serviceSpec(given: Partial<WorkerService> = {}): WorkerService {
  return {
    name: 'web',
    address: ownAddress,
    port: given.port ?? freePort(),
    balance: 'roundrobin',
    servers: [],
    retries: 3,
    connectTimeoutMs: 5000,
    inactivity: noInactivityLimits,
    tcp: { noDelay: true, keepalive: undefined, userTimeoutMs: 0 },
    source: undefined,
    stick: undefined,
    ...given,
  };
}

export function serverSpec(name: string, port: number, given: Partial<WorkerServer> = {}): WorkerServer {
  return { name, address: ownAddress, port, weight: 1, admin: 'ready', health: 'up', ...given };
}

/** A server whose connections go to `onSocket`; half-open ones stay open. */
export async function startServer(name: string, onSocket: (socket: Socket) => void, port = 0): Promise<WorkerServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await listening(server, port);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return serverSpec(name, (server.address() as AddressInfo).port);
}

/** A server that sends its name and keeps the connection. */
export function startNamedServer(name: string): Promise<WorkerServer> {
  return startServer(name, (socket) => void socket.write(name));
}

/** Two such servers, a and b. */
export async function startTwoServers(): Promise<[WorkerServer, WorkerServer]> {
  return [await startNamedServer('a'), await startNamedServer('b')];
}

export function startEchoServer(name = 'echo'): Promise<WorkerServer> {
  return startServer(name, (socket) => void socket.pipe(socket));
}

/** A server at which nobody listens: connecting is refused. */
export function deadServer(name: string): WorkerServer {
  return serverSpec(name, freePort());
}

/** A server whose queue is full, so that the kernel drops every SYN: connecting takes for ever. */
export async function startSilentServer(name: string): Promise<WorkerServer> {
  const fd = native.tcpListen(ownAddress, 0, 0);
  onTestFinished(() => void native.close(fd));
  const port = localPort(fd);
  await once(connectTo(ownAddress, port), 'connect');
  return serverSpec(name, port);
}

export function connectTo(host: string, port: number, options: Partial<TcpNetConnectOpts> = {}): Socket {
  const socket = connect({ host, port, allowHalfOpen: true, ...options });
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  return socket;
}

export function freePort(): number {
  const fd = native.tcpListen(ownAddress, 0, 1);
  const port = localPort(fd);
  native.close(fd);
  return port;
}

export async function listening(server: Server, port = 0): Promise<void> {
  server.listen(port, ownAddress);
  await once(server, 'listening');
}

/** Sends the text; resolves with what comes next. */
export function exchange(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return nextData(socket);
}

export async function nextData(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}

/** The code of the error that ends the socket: "ECONNRESET". */
export async function nextError(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.resume();
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.once('end', () => resolve('end'));
  });
}

/** Lets the event loop turn until it is so; the test's own time limit bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** Waits until the value has not changed for 50 turns. */
export async function untilStalled(value: () => number): Promise<void> {
  for (let before = -1, same = 0; same < 50;) {
    await turn();
    same = value() === before ? same + 1 : 0;
    before = value();
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => void systemClock.afterPoll(resolve));
}

export function localPort(fd: number): number {
  const endpoint = new Uint8Array(20);
  native.localName(fd, endpoint);
  return ((endpoint[2] ?? 0) << 8) | (endpoint[3] ?? 0);
}
