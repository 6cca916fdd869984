/** What this process may do; the node will run as the same user. */
import type { Config } from '../../config/index.ts';
import { OperatorError, errnoName, heldCapabilities, loadNative } from '../../runtime/index.ts';
import type { Capability } from '../../runtime/index.ts';
import { doubtful, failing, well } from './finding.ts';
import type { Finding } from './finding.ts';

const grant = 'run as root, or grant it (docker: --cap-add; systemd: AmbientCapabilities=)';
/** Each relayed connection takes two. */
const descriptorsWanted = 65_536;

/** `status` and `limits` are the texts of the files of these names in /proc/self. */
export function checkPrivileges(config: Config, status: string, limits: string): readonly Finding[] {
  const held = heldCapabilities(status);
  const has = (capability: Capability): boolean => held.includes(capability);
  const required = (['CAP_NET_ADMIN', 'CAP_NET_RAW'] as const).map((capability) =>
    has(capability) ? well('privilege', capability) : failing('privilege', `no ${capability}`, grant),
  );
  return [
    ...required,
    bindFinding(config, has('CAP_NET_BIND_SERVICE')),
    lockingFinding(has('CAP_IPC_LOCK'), limits),
    ...descriptorFindings(limits),
  ];
}

/** Tried on this process, which ends soon: the capability alone does not say that the kernel agrees (cgroups). */
export function checkScheduling(): readonly Finding[] {
  try {
    const fifo = loadNative().scheduleFifo(1);
    return [well('addon', 'the native addon is loaded'), fifoFinding(fifo)];
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return [failing('addon', error.message, error.mend)];
  }
}

function fifoFinding(result: number): Finding {
  if (result >= 0) return well('realtime', 'SCHED_FIFO is to be had');
  const text = `no SCHED_FIFO (${errnoName(result)}): a busy machine delays adverts`;
  return doubtful('realtime', text, `CAP_SYS_NICE: ${grant}`);
}

/** Not tried: V8 cannot give memory back that is locked, and ends a process that has to. */
function lockingFinding(hasIpcLock: boolean, limits: string): Finding {
  const [, hard] = /^Max locked memory\s+\S+\s+(\S+)/m.exec(limits) ?? [];
  if (hasIpcLock || hard === 'unlimited') return well('realtime', 'memory can be locked');
  const text = 'memory cannot be locked: what is swapped out delays adverts';
  return doubtful('realtime', text, `CAP_IPC_LOCK: ${grant}`);
}

function bindFinding({ services }: Config, hasBindService: boolean): Finding {
  const low = services.find(({ listen }) => listen.port < 1024);
  if (hasBindService) return well('privilege', 'CAP_NET_BIND_SERVICE');
  if (low === undefined) return well('privilege', 'no CAP_NET_BIND_SERVICE, and no service needs it');
  return failing('privilege', `no CAP_NET_BIND_SERVICE, and service ${low.name} has port ${low.listen.port}`, grant);
}

function descriptorFindings(limits: string): readonly Finding[] {
  // Node raises its soft limit to the hard one.
  const [, hard] = /^Max open files\s+\S+\s+(\S+)/m.exec(limits) ?? [];
  if (hard === undefined) return [];
  const connections = Math.floor(Number(hard) / 2);
  if (hard === 'unlimited' || Number(hard) >= descriptorsWanted) return [well('descriptors', `up to ${hard}`)];
  const text = `up to ${hard}: a worker relays at most ${connections} connections`;
  return [doubtful('descriptors', text, `raise it to ${descriptorsWanted}: ulimit -Hn, LimitNOFILE= in systemd`)];
}
