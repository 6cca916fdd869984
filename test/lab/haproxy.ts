/** The real HAProxy before the lab's servers, set up as the lab's nodes are. */

import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import type { BalancerName } from './stage.ts';
import { serverPort, servicePort } from './tandem.ts';
import { waitUntil } from './time.ts';
import { virtualAddress } from './topology.ts';

export type Haproxy = {
  readonly process: LabProcess;
  /** It takes its servers for healthy at first; resolves when each has passed a check of its own. */
  readonly waitUntilChecked: () => Promise<void>;
};

const serverCount = 3;

export type HaproxyOptions = {
  /** Tells processes of one host from each other; they share the address. */
  readonly instance?: string;
  /** Default: one per core. */
  readonly threads?: number;
};

/** Resolves when it listens. */
export async function startHaproxy(lab: Lab, name: BalancerName, options: HaproxyOptions = {}): Promise<Haproxy> {
  const file = join(lab.directory, ['haproxy', name, options.instance ?? []].flat().join('-'));
  const socketPath = `${file}.sock`;
  writeFileSync(`${file}.cfg`, haproxyConfig(socketPath, options.threads));
  const process = lab.host(name).spawn(['haproxy', '-db', '-f', `${file}.cfg`]);
  await waitUntilListening(lab, name, process);
  return { process, waitUntilChecked: () => waitUntilChecked(name, socketPath) };
}

async function waitUntilListening(lab: Lab, name: BalancerName, haproxy: LabProcess): Promise<void> {
  await waitUntil(
    async () => {
      if (haproxy.exit !== undefined) throw new Error(haproxy.describe('ended at once'));
      const { stdout } = await lab.host(name).exec(['ss', '-Hltn', `sport = :${servicePort}`]);
      return stdout.includes(virtualAddress);
    },
    { timeoutMs: 5_000, everyMs: 50, what: `HAProxy on ${name} listens` },
  );
}

async function waitUntilChecked(name: BalancerName, socketPath: string): Promise<void> {
  await waitUntil(
    async () => (await askHaproxy(socketPath, 'show stat')).match(/,UP,.*,L4OK,/g)?.length === serverCount,
    { timeoutMs: 10_000, everyMs: 50, what: `HAProxy on ${name} has checked its servers` },
  );
}

/** One command on its socket, of which it closes the connection after the answer. */
function askHaproxy(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let answer = '';
    socket.on('data', (bytes: Buffer) => (answer += bytes.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.end(`${command}\n`);
  });
}

/** `transparent` lets it listen on an address that is elsewhere at the moment. */
function haproxyConfig(socketPath: string, threads: number | undefined): string {
  const server = (name: string, last: number): string => `server ${name} 10.9.0.${last}:${serverPort}`;
  return `
global
  maxconn 8000
  stats socket ${socketPath} mode 600
  ${threads === undefined ? '' : `nbthread ${threads}`}
defaults
  mode tcp
  timeout connect 4s
  timeout client 1h
  timeout server 1h
  timeout check 400ms
  retries 3
  option redispatch
  default-server check inter 500ms rise 1 fall 2
listen web
  bind ${virtualAddress}:${servicePort} transparent
  balance roundrobin
  ${server('s1', 21)}
  ${server('s2', 22)}
  ${server('s3', 23)}
`;
}
