/** The real keepalived in a lab's host: its configuration, and what it tells by its notify script and its log. */

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import { waitUntil } from './time.ts';

/** One `vrrp_instance`; its user's choices, everything else is keepalived's default. */
export type KeepalivedInstance = {
  readonly version: 2 | 3;
  readonly vrid: number;
  readonly interface: string;
  readonly priority: number;
  readonly advertIntervalMs: number;
  /** With prefix lengths; for IPv6 the first one is link-local. */
  readonly addresses: readonly string[];
  /** Where not, `nopreempt`. */
  readonly preempt: boolean;
  readonly unicast?: { readonly source: string; readonly peer: string };
  /** More lines of the instance. */
  readonly lines?: readonly string[];
};

export type KeepalivedOptions = {
  /** More lines of `global_defs`. */
  readonly globals?: readonly string[];
  /** Whether each change of state is written down by a notify script; default true. */
  readonly notify?: boolean;
};

export type NotifyState = 'MASTER' | 'BACKUP' | 'FAULT' | 'STOP';

/** What the notify script was called with, and when (wall clock). */
export type NotifyMarker = { readonly state: NotifyState; readonly priority: number; readonly atMs: number };

export type Keepalived = {
  readonly host: Host;
  readonly process: LabProcess;
  /** All calls of the notify script since this process was started, in their order. */
  markers(): readonly NotifyMarker[];
  /** Counters as keepalived names them, heading first: "Advertisements.Received". */
  statistics(): Promise<Readonly<Record<string, number>>>;
};

const instanceName = 'web';
const startTimeoutMs = 5_000;

/**
 * Starts keepalived in the foreground with files of its own; resolves when its instance is in the backup state, as each
 * instance is at first.
 */
export async function startKeepalived(
  lab: Lab,
  hostName: string,
  instance: KeepalivedInstance,
  options: KeepalivedOptions = {},
): Promise<Keepalived> {
  const host = lab.host(hostName);
  const directory = join(lab.directory, `keepalived-${hostName}`);
  // As after a reboot: it takes the pid of an earlier life for a daemon that is running.
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  const file = (name: string): string => join(directory, name);
  writeFileSync(file('markers'), '');
  writeFileSync(file('notify.sh'), `#!/bin/sh\necho "$(date +%s%N) $3 $4" >> ${file('markers')}\n`);
  chmodSync(file('notify.sh'), 0o755);
  const lines = [...(instance.lines ?? []), ...(options.notify === false ? [] : [`notify ${file('notify.sh')}`])];
  writeFileSync(file('keepalived.conf'), keepalivedConfig(hostName, { ...instance, lines }, options));
  const process = host.spawn(
    [
      ...['keepalived', '--dont-fork', '--vrrp', '--dont-respawn', '--log-console', '--no-syslog'],
      ...['--use-file', file('keepalived.conf'), '--pid', file('pid'), '--vrrp_pid', file('vrrp.pid')],
    ],
    { env: { TMPDIR: directory } },
  );
  await process.waitForLine(/Entering BACKUP STATE/, startTimeoutMs);
  return {
    host,
    process,
    markers: () => readMarkers(file('markers')),
    statistics: () => askStatistics(file('vrrp.pid'), file('keepalived.stats')),
  };
}

function keepalivedConfig(routerId: string, instance: KeepalivedInstance, { globals = [] }: KeepalivedOptions): string {
  const { version, vrid, priority, advertIntervalMs, addresses, preempt, unicast, lines = [] } = instance;
  const body = [
    'state BACKUP',
    `version ${version}`,
    `interface ${instance.interface}`,
    `virtual_router_id ${vrid}`,
    `priority ${priority}`,
    `advert_int ${advertIntervalMs / 1000}`,
    ...(preempt ? [] : ['nopreempt']),
    ...(unicast === undefined
      ? []
      : [`unicast_src_ip ${unicast.source}`, 'unicast_peer {', `  ${unicast.peer}`, '}', 'check_unicast_src']),
    'virtual_ipaddress {',
    ...addresses.map((address) => `  ${address}`),
    '}',
    ...lines,
  ];
  return [
    'global_defs {',
    ...[`router_id ${routerId}`, 'script_user root', ...globals].map((line) => `  ${line}`),
    '}',
    `vrrp_instance ${instanceName} {`,
    ...body.map((line) => `  ${line}`),
    '}',
    '',
  ].join('\n');
}

function readMarkers(path: string): NotifyMarker[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [nanoseconds = '', state = '', priority = ''] = line.split(' ');
      return { state: state as NotifyState, priority: Number(priority), atMs: Number(nanoseconds) / 1e6 };
    });
}

/** SIGUSR2 makes it write a file; a new one is there when the old one, removed before, is back and complete. */
async function askStatistics(pidPath: string, path: string): Promise<Readonly<Record<string, number>>> {
  writeFileSync(path, '');
  process.kill(Number(readFileSync(pidPath, 'utf8')), 'SIGUSR2');
  const isComplete = (text: string): boolean => /Priority Zero:\n\s+Received: \d+\n\s+Sent: \d+\n/.test(text);
  const text = await waitUntil(
    () => {
      const written = readFileSync(path, 'utf8');
      return isComplete(written) && written;
    },
    { timeoutMs: 3_000, what: 'keepalived writes its statistics' },
  );
  return parseStatistics(text);
}

/** Headings end with a colon and stand before the counters that are indented deeper. */
function parseStatistics(text: string): Readonly<Record<string, number>> {
  const statistics: Record<string, number> = {};
  let heading = '';
  for (const line of text.split('\n')) {
    const [, indent = '', name = '', value = ''] = /^( *)([^:]+): *(.*)$/.exec(line) ?? [];
    if (name === '') continue;
    if (value === '') heading = name;
    else if (/^\d+$/.test(value)) statistics[indent.length > 2 ? `${heading}.${name}` : name] = Number(value);
  }
  return statistics;
}
