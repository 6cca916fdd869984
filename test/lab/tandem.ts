/** Real nodes in a lab's hosts: their config and key, `tandem run`, and the command line that operators use. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import type { Lab } from './lab.ts';
import type { Host } from './host.ts';
import type { LabProcess } from './lab-process.ts';
import type { RunResult } from './run.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

export const tandemPath = new URL('../../bin/tandem', import.meta.url).pathname;

/** Where the lab's servers listen, and the service that stands before them. */
export const serverPort = 8080;
export const servicePort = 80;

const startTimeoutMs = 15_000;
const commandTimeoutMs = 60_000;

/** The environment of everything Tandem in the lab: the same Node as the tests', found first. */
const env = { PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` };

/** Sections of the config file that replace the pair's own; `undefined` leaves one out. */
export type ConfigOverrides = Readonly<Record<string, unknown>>;

/**
 * A config for lb1 (preferred) and lb2 with one virtual router on the LAN and one service for s1 to s3. Written as
 * JSON, which is YAML as well, and so needs no quoting rules. The key file is made on first use.
 */
export function pairConfig(lab: Lab, overrides: ConfigOverrides = {}): string {
  const server = (name: string, last: number): object => ({ name, address: `10.9.0.${last}:${serverPort}` });
  const config = {
    nodes: [
      { name: 'lb1', address: '10.9.0.11', syncAddress: '10.9.1.11' },
      { name: 'lb2', address: '10.9.0.12', syncAddress: '10.9.1.12' },
    ],
    sync: { port: 7400, keyFile: keyFile(lab) },
    virtualRouters: [
      {
        name: 'web',
        vrid: 51,
        interface: 'lan0',
        addresses: [`${virtualAddress}/24`],
        advertInterval: '100ms',
        priority: { lb1: 200, lb2: 100 },
      },
    ],
    services: [
      {
        name: 'web',
        listen: `${virtualAddress}:${servicePort}`,
        balance: 'roundrobin',
        check: { inter: '500ms', timeout: '400ms', rise: 1, fall: 2 },
        servers: [server('s1', 21), server('s2', 22), server('s3', 23)],
      },
    ],
    admin: { socket: lab.directory },
    state: { directory: join(lab.directory, 'state') },
    ...overrides,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

export type TandemNode = {
  readonly host: Host;
  readonly process: LabProcess;
  readonly configPath: string;
  /** The admin API of this node, a UNIX socket. */
  readonly socketPath: string;
};

/**
 * Writes the config, runs `tandem run` in the host of the same name and resolves when the admin socket answers. Fails
 * at once, with the node's last lines, when the process ends instead. A wrapper may take privileges away.
 */
export async function startNode(
  lab: Lab,
  name: string,
  configText: string = pairConfig(lab),
  wrapper: readonly string[] = [],
): Promise<TandemNode> {
  const host = lab.host(name);
  const configPath = join(lab.directory, `${name}.yaml`);
  const socketPath = join(lab.directory, `${name}.sock`);
  writeFileSync(configPath, configText);
  const process = host.spawn([...wrapper, tandemPath, 'run', '-c', configPath, '--node', name], { env });
  try {
    await waitUntil(() => process.exit !== undefined || answersHttp(socketPath), {
      timeoutMs: startTimeoutMs,
      what: `${name} answers on ${socketPath}`,
    });
  } catch (cause) {
    throw new Error(process.describe('did not come up'), { cause });
  }
  if (process.exit !== undefined) throw new Error(process.describe('ended at once'));
  return { host, process, configPath, socketPath };
}

/** Runs a command of the CLI against a node, in the node's host: `tandem(node, 'server', 'list', 'web')`. */
export function tandem(node: TandemNode, ...args: readonly string[]): Promise<RunResult> {
  return node.host.exec([tandemPath, ...args, '--node', node.host.name], {
    env: { ...env, TANDEM_SOCKET: dirname(node.socketPath) },
    timeoutMs: commandTimeoutMs,
  });
}

/** Like `tandem` with `--json`; fails unless the command prints JSON. Exit codes are the caller's to judge. */
export async function tandemJson(
  node: TandemNode,
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly json: unknown }> {
  const { code, stdout, stderr } = await tandem(node, ...args, '--json');
  try {
    return { code, json: JSON.parse(stdout) as unknown };
  } catch (cause) {
    throw new Error(`tandem ${args.join(' ')}: exit code ${code}, no JSON:\n${stdout}${stderr}`, { cause });
  }
}

/** Both nodes read the same key, as the same file here. */
function keyFile(lab: Lab): string {
  const path = join(lab.directory, 'sync.key');
  try {
    writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return path;
}

/** Whether anything speaks HTTP on the socket, whatever it says; the file of a dead node's socket refuses. */
function answersHttp(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/healthz', timeout: 1000 }, (response) => {
      response.resume();
      resolve(true);
    });
    asked.on('error', () => resolve(false));
    asked.on('timeout', () => asked.destroy());
    asked.end();
  });
}
