/** The real servers and clients that tests use come from Debian: where they are, and what to do where one is not. */

import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorError } from '../../src/runtime/index.ts';

/** By program. */
const packages = {
  nginx: 'nginx',
  wrk: 'wrk',
  curl: 'curl',
  openssl: 'openssl',
  postgres: 'postgresql',
  initdb: 'postgresql',
  pgbench: 'postgresql',
  psql: 'postgresql',
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  'redis-benchmark': 'redis-tools',
} as const;

export type DebianProgram = keyof typeof packages;

const postgresqlDirectory = '/usr/lib/postgresql';

/** The environment to find them in: PostgreSQL's own are in a folder of their version, the newest counts. */
export const packagesEnv: Readonly<Record<string, string>> = {
  PATH: [...postgresqlDirectories(), process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(':'),
};

/** Throws OperatorError `PACKAGE_MISSING` for the first that is not there: tests do not skip what they cannot do. */
export function requirePrograms(programs: readonly DebianProgram[]): void {
  for (const program of programs) {
    if (isInstalled(program)) continue;
    const mend = `install Debian's package ${packages[program]}: make setup-test`;
    throw new OperatorError('PACKAGE_MISSING', `${program} is not there`, mend);
  }
}

function isInstalled(program: string): boolean {
  return (packagesEnv['PATH'] ?? '').split(':').some((directory) => isExecutable(join(directory, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function postgresqlDirectories(): readonly string[] {
  try {
    const versions = readdirSync(postgresqlDirectory).map(Number).filter(Number.isInteger);
    return versions.sort((a, b) => b - a).map((version) => join(postgresqlDirectory, String(version), 'bin'));
  } catch {
    return [];
  }
}
