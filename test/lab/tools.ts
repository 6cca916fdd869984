/** The lab's own programs as tests use them: servers, the verifier and the prober, each a process in a host. */

import type { Host } from './host.ts';
import type { LabProcess } from './lab-process.ts';
import type { ProberOptions, ProberReport } from './prober.ts';
import type { Behaviour } from './server.ts';
import type { VerifierEvent, VerifierOptions, VerifierReport } from './verifier.ts';

const startTimeoutMs = 10_000;
const reportTimeoutMs = 30_000;

export type ServerHandle = {
  readonly process: LabProcess;
  /** Resolves when new connections are met in this way. */
  setBehaviour(behaviour: Behaviour): Promise<void>;
};

/** Starts a server named as its host, unless told otherwise; resolves when it listens. */
export async function startServer(
  host: Host,
  options: { readonly name?: string; readonly port: number; readonly behaviour?: Behaviour },
): Promise<ServerHandle> {
  const process = host.spawn([
    ...program('server.ts'),
    ...['--name', options.name ?? host.name],
    ...['--port', String(options.port)],
    ...['--behaviour', options.behaviour ?? 'serve'],
  ]);
  await process.waitForLine(/"event":"listening"/, startTimeoutMs);
  return {
    process,
    async setBehaviour(behaviour) {
      const done = `"event":"behaviour","behaviour":"${behaviour}"`;
      const before = process.lines.length;
      process.tell(behaviour);
      await process.waitForLine(new RegExp(done), startTimeoutMs, before);
    },
  };
}

export type VerifierHandle = {
  readonly process: LabProcess;
  /** The connections that have ended before their time, so far. */
  endings(): Extract<VerifierEvent, { event: 'ended' }>[];
  /** Sends no more, waits for what is due (at most `stallMs`), closes and reports. */
  stop(): Promise<VerifierReport>;
};

/** Starts a verifier; resolves when each of its connections is open or has failed. */
export async function startVerifier(
  host: Host,
  options: Pick<VerifierOptions, 'address' | 'port'> & Partial<VerifierOptions>,
): Promise<VerifierHandle> {
  const process = host.spawn([
    ...program('verifier.ts'),
    ...['--target', `${options.address}:${options.port}`],
    ...flag('--connections', options.connections),
    ...flag('--mode', options.mode),
    ...flag('--rate', options.rate),
    ...flag('--block', options.blockBytes),
    ...flag('--think', options.thinkMs),
    ...flag('--stall', options.stallMs),
    ...flag('--seed', options.seed),
  ]);
  await process.waitForLine(/"event":"ready"/, startTimeoutMs + (options.stallMs ?? 0));
  return {
    process,
    endings: () => process.stdout.map(readEvent).filter((event) => event.event === 'ended'),
    async stop() {
      process.tell('stop');
      const line = await process.waitForLine(/"event":"report"/, reportTimeoutMs);
      return (JSON.parse(line) as { report: VerifierReport }).report;
    },
  };
}

export type ProberHandle = {
  readonly process: LabProcess;
  stop(): Promise<ProberReport>;
};

/** Starts a prober; resolves when it has begun. */
export async function startProber(
  host: Host,
  options: Pick<ProberOptions, 'address' | 'port'> & Partial<ProberOptions>,
): Promise<ProberHandle> {
  const process = host.spawn([
    ...program('prober.ts'),
    ...['--target', `${options.address}:${options.port}`],
    ...flag('--interval', options.intervalMs),
    ...flag('--timeout', options.timeoutMs),
    ...flag('--prompt', options.promptMs),
  ]);
  await process.waitForLine(/"event":"probing"/, startTimeoutMs);
  return {
    process,
    async stop() {
      process.tell('stop');
      const line = await process.waitForLine(/"event":"report"/, reportTimeoutMs);
      return (JSON.parse(line) as { report: ProberReport }).report;
    },
  };
}

/** Runs one of the lab's programs in a host to its end: "forge.ts". Fails unless it exits with 0. */
export async function runProgram(host: Host, file: string, args: readonly string[]): Promise<void> {
  const process = host.spawn([...program(file), ...args]);
  const { code } = await process.exited;
  if (code !== 0) throw new Error(process.describe('has failed'));
}

function program(file: string): string[] {
  return [process.execPath, new URL(file, import.meta.url).pathname];
}

function flag(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [name, String(value)];
}

function readEvent(line: string): VerifierEvent {
  return JSON.parse(line) as VerifierEvent;
}
