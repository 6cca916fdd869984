/**
 * keepalived + HAProxy as their users set them up for the same service: HAProxy listens on both hosts all the time,
 * keepalived moves the address. Real-time scheduling and locked memory, because Tandem has both; priorities, health
 * checks and `nopreempt` are those of Tandem's configuration.
 */

import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startKeepalived } from '../lab/keepalived.ts';
import type { KeepalivedInstance } from '../lab/keepalived.ts';
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/lab-process.ts';
import type { BalancerName } from '../lab/stage.ts';
import { serverPort, servicePort } from '../lab/tandem.ts';
import { waitUntil } from '../lab/time.ts';
import { virtualAddress } from '../lab/topology.ts';
import { priorities } from './failover-pair.ts';
import type { Software } from './failover-pair.ts';

const serverCount = 3;
const options = { globals: ['vrrp_rt_priority 50', 'vrrp_no_swap'], notify: false };

export const keepalivedSoftware: Software = {
  system: 'keepalived+haproxy',
  async start(lab, name, advertIntervalMs) {
    const haproxy = startHaproxy(lab, name);
    await waitUntilListening(lab, name, haproxy);
    await startKeepalived(lab, name, instance(name, advertIntervalMs), options);
    return { ready: () => waitUntilChecked(lab, name) };
  },
};

function instance(name: BalancerName, advertIntervalMs: number): KeepalivedInstance {
  return {
    version: 3,
    vrid: 51,
    interface: 'lan0',
    priority: priorities[name],
    advertIntervalMs,
    addresses: [`${virtualAddress}/24`],
    preempt: false,
  };
}

function startHaproxy(lab: Lab, name: BalancerName): LabProcess {
  const path = join(lab.directory, `haproxy-${name}.cfg`);
  writeFileSync(path, haproxyConfig(statsSocket(lab, name)));
  return lab.host(name).spawn(['haproxy', '-db', '-f', path]);
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

/** It takes its servers for healthy at first; each has passed a check of its own when it can be relied on. */
async function waitUntilChecked(lab: Lab, name: BalancerName): Promise<void> {
  await waitUntil(
    async () => (await askHaproxy(statsSocket(lab, name), 'show stat')).match(/,UP,.*,L4OK,/g)?.length === serverCount,
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

function statsSocket(lab: Lab, name: BalancerName): string {
  return join(lab.directory, `haproxy-${name}.sock`);
}

/** `transparent` lets it listen on an address that is elsewhere at the moment. */
function haproxyConfig(socketPath: string): string {
  const server = (name: string, last: number): string => `server ${name} 10.9.0.${last}:${serverPort}`;
  return `
global
  maxconn 8000
  stats socket ${socketPath} mode 600
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
