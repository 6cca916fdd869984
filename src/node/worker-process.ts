/** A proxy worker's process: the proxy domain's worker, wired to the main process. */
import { readFileSync } from 'node:fs';
import { ProxyWorker, relayDefaults } from '../proxy/io/index.ts';
import type { WorkerCommand, WorkerReport } from '../proxy/index.ts';
import { loadNative, silentLogger, systemClock, systemRandom } from '../runtime/index.ts';

/** Kept back for listeners, the poller, IPC, and for whatever Node opens in between. */
const descriptorsReserved = 128;

const worker = new ProxyWorker(
  { ...relayDefaults, connectionsMax: Math.floor((descriptorLimit() - descriptorsReserved) / 2) },
  {
    native: loadNative(),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    report: (report: WorkerReport) => {
      process.send?.(report, () => undefined);
      if (report.kind === 'stopped') process.disconnect();
    },
  },
);

await worker.start();
process.on('message', (message) => worker.handle(message as WorkerCommand));
// Without its main process a worker has neither health nor configuration: it ends, and with it its connections.
process.on('disconnect', () => process.exit(0));
// An operator's Ctrl-C reaches the whole process group; the main process decides in which order things end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

/** How many descriptors this process may have (`ulimit -n`): a connection takes two. */
function descriptorLimit(): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] === undefined ? 1_024 : Number(line[1]);
}
