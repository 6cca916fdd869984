/** Real redis servers in a lab's hosts. */

import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import { requirePrograms } from './packages.ts';

export const redisPort = 6379;

export type RedisServer = {
  readonly host: Host;
  /** The answer, as redis-cli prints it, of this server itself. */
  ask(...command: readonly string[]): Promise<string>;
  crash(): Promise<void>;
  /** Starts it (again), with nothing in it but its name, unless it runs; resolves when it accepts connections. */
  start(): Promise<void>;
};

const startTimeoutMs = 10_000;

/** Each keeps its host's name under the key `name`; resolves when all accept connections. */
export async function startRedisServers(lab: Lab, hosts: Readonly<Record<string, string>>): Promise<RedisServer[]> {
  requirePrograms(['redis-server', 'redis-cli', 'redis-benchmark']);
  const servers = Object.entries(hosts).map(
    ([name, address]) => new MemoryServer(lab.host(name), { address, directory: lab.directory }),
  );
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

/** The command line of a client program with this server. */
export function redisClient(
  program: 'redis-cli' | 'redis-benchmark',
  address: string,
  ...args: readonly string[]
): string[] {
  return [program, '-h', address, '-p', String(redisPort), ...args];
}

class MemoryServer implements RedisServer {
  readonly host: Host;
  readonly #address: string;
  readonly #directory: string;
  #process: LabProcess | undefined;

  constructor(host: Host, options: { address: string; directory: string }) {
    this.host = host;
    this.#address = options.address;
    this.#directory = options.directory;
  }

  async ask(...command: readonly string[]): Promise<string> {
    const { stdout, stderr, code } = await this.host.exec(redisClient('redis-cli', this.#address, ...command));
    if (code !== 0) throw new Error(`${this.host.name}: ${command.join(' ')}: ${stderr}`);
    return stdout.trimEnd();
  }

  async crash(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#process?.exited;
  }

  async start(): Promise<void> {
    if (this.#process !== undefined && this.#process.exit === undefined) return;
    const settings = { port: String(redisPort), bind: this.#address, save: '', appendonly: 'no', dir: this.#directory };
    const options = Object.entries({ ...settings, 'protected-mode': 'no' });
    const argv = options.flatMap(([name, value]) => [`--${name}`, value]);
    this.#process = this.host.spawn(['redis-server', ...argv]);
    await this.#process.waitForLine(/Ready to accept connections/, startTimeoutMs);
    await this.ask('SET', 'name', this.host.name);
  }
}
