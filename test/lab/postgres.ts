/** Real PostgreSQL servers in a lab's hosts, each with a cluster of its own in the lab's directory. */

import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import { packagesEnv, requirePrograms } from './packages.ts';
import { run, runChecked } from './run.ts';

export const postgresPort = 5432;

export type PostgresServer = {
  readonly host: Host;
  /** Rows of a query put to this server itself, their columns separated by `|`. */
  query(sql: string): Promise<readonly string[]>;
  /** Kills all its processes at once, as when the machine has lost them. */
  crash(): Promise<void>;
  /** Starts it (again, on the same cluster) unless it runs; resolves when it accepts connections. */
  start(): Promise<void>;
};

const superuser = 'postgres';
const startTimeoutMs = 30_000;
/** Durable is not asked for: what is stored is thrown away with the lab. */
const settings = ['fsync=off', 'max_connections=100', 'shared_buffers=32MB', 'dynamic_shared_memory_type=mmap'];

/** The same empty database on each host; resolves when all accept connections. */
export async function startPostgresServers(
  lab: Lab,
  hosts: Readonly<Record<string, string>>,
): Promise<PostgresServer[]> {
  requirePrograms(['postgres', 'initdb', 'psql', 'pgbench']);
  const cluster = await createCluster(lab);
  const servers = Object.entries(hosts).map(([name, address]) => {
    const directory = `${cluster}-${name}`;
    mkdirSync(directory, { mode: 0o700 });
    cpSync(cluster, directory, { recursive: true });
    return new ClusterServer(lab.host(name), { directory, address });
  });
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

/** The command line of a client program with this server: `postgresClient('psql', address, '-c', …)`. */
export function postgresClient(program: 'psql' | 'pgbench', address: string, ...args: readonly string[]): string[] {
  const target = ['-h', address, '-p', String(postgresPort), '-U', superuser];
  // psql's settings of who runs the tests would change its output.
  return [program, ...(program === 'psql' ? ['-X', '-v', 'ON_ERROR_STOP=1'] : []), ...target, ...args];
}

class ClusterServer implements PostgresServer {
  readonly host: Host;
  readonly #directory: string;
  readonly #address: string;
  #process: LabProcess | undefined;

  constructor(host: Host, options: { directory: string; address: string }) {
    this.host = host;
    this.#directory = options.directory;
    this.#address = options.address;
  }

  async query(sql: string): Promise<readonly string[]> {
    const argv = postgresClient('psql', this.#address, '-d', 'postgres', '-qAtc', sql);
    const { stdout, stderr, code } = await this.host.exec(argv, { env: packagesEnv });
    if (code !== 0) throw new Error(`${this.host.name}: ${sql}: ${stderr}`);
    return stdout.split('\n').filter((line) => line !== '');
  }

  async crash(): Promise<void> {
    const pids = this.host.processes();
    // It first, for it would start others in place of those that die; these at once, before they see it dead.
    this.#process?.kill('SIGKILL');
    for (const pid of pids) killPostgres(pid);
    await this.#process?.exited;
  }

  async start(): Promise<void> {
    if (this.#process !== undefined && this.#process.exit === undefined) return;
    // Left by a crash, it names a process number that may be somebody else's by now.
    rmSync(join(this.#directory, 'postmaster.pid'), { force: true });
    const options = [...settings, `listen_addresses=${this.#address}`, `unix_socket_directories=${this.#directory}`];
    const argv = ['postgres', '-D', this.#directory, '-p', String(postgresPort)];
    this.#process = this.host.spawn(
      [...(await unprivileged()), ...argv, ...options.flatMap((option) => ['-c', option])],
      { env: packagesEnv },
    );
    await this.#process.waitForLine(/ready to accept connections/, startTimeoutMs);
  }
}

/** One that has ended meanwhile is as good. */
function killPostgres(pid: number): void {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8') === 'postgres\n') process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

async function createCluster(lab: Lab): Promise<string> {
  const directory = join(lab.directory, 'postgres');
  mkdirSync(directory, { mode: 0o700 });
  const argv = ['initdb', '-D', directory, '-U', superuser, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  await runChecked([...(await unprivileged()), ...argv], { env: packagesEnv, timeoutMs: startTimeoutMs });
  appendFileSync(join(directory, 'pg_hba.conf'), 'host all all 10.9.0.0/24 trust\n');
  return directory;
}

/**
 * PostgreSQL refuses to be run by root. In a user namespace whose user `postgres` is the root of these tests it is not,
 * and yet the files are its own; that is possible for a root that is one in a user namespace only, as well. Its segment
 * of shared memory goes with the namespace: it would outlive a server that was killed.
 */
async function unprivileged(): Promise<readonly string[]> {
  const { stdout, code } = await run(['id', '-u', superuser]);
  if (code !== 0) throw new Error('there is no user postgres here: install PostgreSQL by: make setup-test');
  return ['unshare', '--user', '--ipc', `--map-user=${stdout.trim()}`];
}
