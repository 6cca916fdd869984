/**
 * What each process of a node may do, as capabilities: it gives up all others when it has begun. The main process
 * can have them again by starting a program as root, because hooks are meant to have what Tandem was started with.
 */
import { readFileSync } from 'node:fs';
import { heldCapabilities, keepCapabilities } from '../runtime/index.ts';
import type { Capability, Logger, Native, Service } from '../runtime/index.ts';
import type { PrivilegeStatus, ProcessStatus } from './status-document.ts';

/** Raw sockets for adverts; addresses, virtual interfaces, ARP. */
export const vrrpCapabilities: readonly Capability[] = ['CAP_NET_ADMIN', 'CAP_NET_RAW'];
/** Low ports of services; sockets that speak for others' addresses. */
export const workerCapabilities: readonly Capability[] = ['CAP_NET_ADMIN', 'CAP_NET_BIND_SERVICE'];

/** It removes the virtual addresses when the vrrp process dies. */
export function mainCapabilities(syncPort: number | undefined): readonly Capability[] {
  const isLow = syncPort !== undefined && syncPort < 1024;
  return ['CAP_NET_ADMIN', ...(isLow ? (['CAP_NET_BIND_SERVICE'] as const) : [])];
}

/** Limits the main process when it is its turn: what was started before has used more. */
export class MainPrivileges implements Service {
  readonly name = 'privileges';
  readonly #kept: readonly Capability[];
  readonly #native: Native;
  readonly #logger: Logger;

  constructor(kept: readonly Capability[], { native, logger }: { native: Native; logger: Logger }) {
    this.#kept = kept;
    this.#native = native;
    this.#logger = logger;
  }

  start(): Promise<void> {
    const outcome = keepCapabilities(this.#native, this.#kept, { isFinal: false });
    if (outcome !== 'yes') this.#logger.warn({ outcome }, 'the main process could not give up its capabilities');
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the processes of the node may do now, by /proc: this one and the given ones, as far as they run. */
export function privilegesOf(
  processes: readonly ProcessStatus[],
  syncPort: number | undefined,
): readonly PrivilegeStatus[] {
  const all = [{ name: 'node', pid: process.pid }, ...processes];
  return all.flatMap(({ name, pid }) => {
    const status = pid === undefined ? undefined : readStatus(pid);
    return status === undefined ? [] : [privilegeOf(name, heldCapabilities(status), wantedBy(name, syncPort))];
  });
}

function privilegeOf(name: string, held: readonly string[], wanted: readonly Capability[]): PrivilegeStatus {
  return {
    process: name,
    held,
    missing: wanted.filter((capability) => !held.includes(capability)),
    surplus: held.filter((capability) => !wanted.some((one) => one === capability)),
  };
}

function wantedBy(process: string, syncPort: number | undefined): readonly Capability[] {
  if (process === 'node') return mainCapabilities(syncPort);
  return process === 'vrrp' ? vrrpCapabilities : workerCapabilities;
}

/** Undefined: it has just ended. */
function readStatus(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return undefined;
  }
}
