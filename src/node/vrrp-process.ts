/**
 * The vrrp process: elections and virtual addresses, and nothing that could delay them. It reads no file, writes no log
 * and serves nobody; what it does it reports to the main process. When that one is gone, it gives everything up.
 */
import { parseIp } from '../base/index.ts';
import {
  OperatorError,
  PreciseClock,
  errnoName,
  keepCapabilities,
  keepCompiledCode,
  loadNative,
} from '../runtime/index.ts';
import { vrrpCapabilities } from './privileges.ts';
import { Rehearsal, Reports, Routers, routerOptions } from './routers/index.ts';
import type { ConfiguredRouter, VrrpCommand } from './vrrp-protocol.ts';

/** In the middle: above everything that is not real-time, below what the kernel itself may need. */
const fifoPriority = 50;
/** Enough for V8 to compile what runs, too few to be noticed at a start. */
const rehearsals = 50;

const native = loadNative();
const clock = new PreciseClock({ native });
let rehearsal: Rehearsal | undefined;
const reports = new Reports({
  clock,
  send: (report) => {
    if (process.connected) process.send?.(report, () => undefined);
  },
});
const routers = new Routers({ native, clock, reports, onDownSoon: () => void rehearsal?.perform() });
/** Configurations are applied one after the other. */
let lastTurn: Promise<void> = Promise.resolve();

keepCompiledCode();
process.on('message', (message) => void handle(message as VrrpCommand));
process.on('disconnect', () => void giveUp());
// An operator's Ctrl-C reaches the whole process group; the main process decides in which order things end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

async function handle(command: VrrpCommand): Promise<void> {
  switch (command.type) {
    case 'configure':
      routers.permitPreempt(command.isPreemptPermitted);
      lastTurn = configure(command.routers);
      return lastTurn;
    case 'reconfigure':
      lastTurn = lastTurn.then(() => reconfigure(command.id, command.routers));
      return lastTurn;
    case 'health':
      routers.onHealth(command.router, command.health);
      return;
    case 'fence':
      routers.find(command.router)?.fence(command.fence);
      return;
    case 'peer-process-died':
    case 'peer-silent':
    case 'peer-resigned': {
      const address = parseIp(command.address);
      if (address !== undefined) routers.find(command.router)?.handle({ type: command.type, address });
      return;
    }
    case 'preempt-permitted':
      routers.permitPreempt(command.isPermitted);
      return;
    case 'fence-lifted':
      routers.find(command.router)?.handle({ type: 'fence-lifted' });
      return;
    case 'peer-epoch':
      routers.find(command.router)?.handle({ type: 'peer-epoch', epoch: command.epoch });
      return;
    case 'hand-over':
      routers.find(command.router)?.handle({ type: 'hand-over', graceMs: command.graceMs });
      return;
    case 'take-over':
      routers.find(command.router)?.handle({ type: 'take-over', epoch: command.epoch, graceMs: command.graceMs });
      return;
    case 'resign':
      routers.find(command.router)?.handle({ type: 'resign' });
      return;
    case 'report-status':
      reports.add({ type: 'status', id: command.id, routers: routers.report() });
      return;
    case 'stop':
      return giveUp();
  }
}

async function configure(specs: readonly ConfiguredRouter[]): Promise<void> {
  await startRehearsal(specs);
  const fifo = native.scheduleFifo(fifoPriority);
  const locked = native.lockMemory();
  // Both were the last use of theirs; what could not be given up is seen in the status.
  keepCapabilities(native, vrrpCapabilities, { isFinal: true });
  try {
    await routers.start(specs);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    reports.add({ type: 'failed', code: error.code, what: error.message, mend: error.mend });
    return giveUp();
  }
  reports.add({ type: 'ready', fifoScheduling: yesOrErrno(fifo), lockedMemory: yesOrErrno(locked) });
}

async function reconfigure(id: number, specs: readonly ConfiguredRouter[]): Promise<void> {
  try {
    await routers.reconfigure(specs);
    reports.add({ type: 'reconfigured', id, failure: undefined });
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    reports.add({ type: 'reconfigured', id, failure: { code: error.code, what: error.message, mend: error.mend } });
  }
}

/** With one router, which is enough: what differs between them are numbers. */
async function startRehearsal([spec]: readonly ConfiguredRouter[]): Promise<void> {
  if (spec === undefined) return;
  rehearsal = new Rehearsal(routerOptions(spec), spec.addresses, { native });
  await rehearsal.start();
  for (let round = 0; round < rehearsals; round++) await rehearsal.perform();
}

/** Releases everything with a goodbye, and ends. */
async function giveUp(): Promise<void> {
  await routers.stop();
  reports.flush();
  process.exit(0);
}

function yesOrErrno(result: number): string {
  return result < 0 ? errnoName(result) : 'yes';
}
