/**
 * The worker of a standby has never served anybody when its node becomes active, and then runs all its code for the
 * first time, and at once. So it first serves a few connections of its own over loopback, by a service that is gone
 * before the worker takes orders.
 */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { assert } from '../../base/index.ts';
import { silentLogger } from '../../runtime/index.ts';
import type { Clock, Native, Random } from '../../runtime/index.ts';
import type { WorkerService } from '../index.ts';
import { ProxyWorker } from './worker.ts';
import type { ProxyWorkerOptions } from './worker.ts';

/** Enough for V8 to compile what runs for each connection, too few to be noticed at a start. */
const roundCount = 30;
const connectionsPerRound = 8;
/** Without loopback, or on a machine that is too busy, it is left out. */
const timeoutMs = 2_000;

/** A port that is free on one address of loopback, with no socket on all addresses, is free on the other. */
const serverAddress = '127.0.0.1';
const serviceAddress = '127.0.0.2';

/** Answers with how many connections were served; never rejects. */
export async function warmUp(
  options: ProxyWorkerOptions,
  dependencies: { readonly native: Native; readonly clock: Clock; readonly random: Random },
): Promise<number> {
  const worker = new ProxyWorker(options, { ...dependencies, logger: silentLogger, report: () => undefined });
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  const timeout = new AbortController();
  let served = 0;
  const serve = async (port: number): Promise<void> => {
    for (let round = 0; round < roundCount && !timeout.signal.aborted; round++) {
      await Promise.all(Array.from({ length: connectionsPerRound }, () => roundTrip(port)));
      served += connectionsPerRound;
    }
  };
  try {
    await worker.start();
    const port = await listen(server);
    worker.handle({ kind: 'configure', revision: 1, services: [scratchService(port)] });
    await Promise.race([serve(port), dependencies.clock.sleep(timeoutMs, timeout.signal)]);
  } catch {
    // What does not work is told where it is needed; a worker that is cold works as well.
  } finally {
    timeout.abort();
    server.close();
    await worker.stop();
  }
  return served;
}

const noInactivityLimits = {
  clientMs: 0,
  serverMs: 0,
  tunnelMs: undefined,
  clientFinMs: undefined,
  serverFinMs: undefined,
} as const;

function scratchService(port: number): WorkerService {
  const server = { name: 'loopback', address: serverAddress, port, weight: 1, admin: 'ready', health: 'up' } as const;
  return {
    name: 'warm-up',
    address: serviceAddress,
    port,
    balance: 'roundrobin',
    servers: [server],
    retries: 0,
    connectTimeoutMs: timeoutMs,
    inactivity: noInactivityLimits,
    tcp: { noDelay: true, keepalive: undefined, userTimeoutMs: 0 },
    source: undefined,
    stick: undefined,
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, serverAddress, () => {
      const address = server.address() as AddressInfo | null;
      assert(address !== null, 'a server that listens has an address');
      resolve(address.port);
    });
  });
}

/** A client that sends a line and waits for it to come back, and then for the end. */
function roundTrip(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: serviceAddress, port, noDelay: true });
    socket.on('error', reject);
    socket.on('data', () => socket.end());
    socket.on('close', () => resolve());
    socket.write('warm-up\n');
  });
}
