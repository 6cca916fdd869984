/** A proxy worker's process: the proxy domain's worker, wired to the main process. */
import { readFileSync } from 'node:fs';
import { ProxyWorker, SharedCounts, relayDefaults, warmUp } from '../proxy/io/index.ts';
import type { WorkerCommand, WorkerReport } from '../proxy/index.ts';
import {
  createCallbackLogger,
  keepCapabilities,
  keepCompiledCode,
  loadNative,
  systemClock,
  systemRandom,
} from '../runtime/index.ts';
import { workerCapabilities } from './privileges.ts';

/** Kept back for listeners, the poller, IPC, and for whatever Node opens in between; at most half of all. */
const descriptorsReserved = 128;

const options = {
  ...relayDefaults,
  connectionsMax: connectionsWith(descriptorLimit()),
};
const native = loadNative();
// What could not be given up is seen in the status.
keepCapabilities(native, workerCapabilities, { isFinal: true });
const dependencies = { native, clock: systemClock, random: systemRandom };
// The shared memory is the first descriptor behind the channel to the main process, then come the workers' bells.
const memoryFd = 4;
const [own = 0, workers = 1] = process.argv.slice(2).map(Number);
const peers = {
  counts: new SharedCounts(native, { fd: memoryFd, workers }),
  worker: own,
  bells: Array.from({ length: workers }, (_, index) => memoryFd + 1 + index),
};
// Several processes must not write to one log: what an operator should know is told to the main process.
const logger = createCallbackLogger((level, fields, message) => {
  if (level === 'warn' || level === 'error') report({ kind: 'warning', message, fields });
});
const worker = new ProxyWorker(options, { ...dependencies, logger, peers, report });

keepCompiledCode();
// Without its main process a worker has neither health nor configuration: it ends, and with it its connections.
// Not by process.exit, which waits for a thread that writes to a standard output that nobody reads.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// An operator's Ctrl-C reaches the whole process group; the main process decides in which order things end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

await warmUp(options, dependencies);
await worker.start();
// What was said until now is said again to the first that listens.
process.on('message', (message) => worker.handle(message as WorkerCommand));

function report(what: WorkerReport): void {
  process.send?.(what, () => undefined);
  if (what.kind === 'stopped') process.disconnect();
}

/** A connection takes two. */
function connectionsWith(descriptors: number): number {
  return Math.floor((descriptors - Math.min(descriptorsReserved, descriptors / 2)) / 2);
}

/** How many descriptors this process may have (`ulimit -n`). */
function descriptorLimit(): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === undefined ? 1_024 : Number(line[1]);
}
