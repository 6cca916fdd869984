/** The stage of the bench `connections`: a lab whose servers and clients exchange messages, and who stands between. */

import { startHaproxy } from '../lab/haproxy.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import type { LabProcess } from '../lab/lab-process.ts';
import { startPair } from '../lab/stage.ts';
import { serverPort, servicePort } from '../lab/tandem.ts';
import { virtualAddress } from '../lab/topology.ts';
import type { ClientEvent } from './exchange-client.ts';
import { memoryOf } from './memory.ts';

/** What stands between clients and servers, on lb1 (Tandem on lb2 as well, as the standby). */
export type Balancing = { readonly system: string; readonly start: (lab: Lab) => Promise<void> };

/** Two workers of one thread each, as everywhere here: this machine may give 20,000 descriptors to a process. */
const workers = 2;
const serverHosts = { s1: '10.9.0.21', s2: '10.9.0.22', s3: '10.9.0.23' };
/** A client of 5,000 connections has two addresses, so that ports are no bottleneck even where few are free. */
const clientSources = [
  ['10.9.0.31', '10.9.0.32'],
  ['10.9.0.33', '10.9.0.34'],
];
const startTimeoutMs = 10_000;
/** More than any phase takes beyond its own time. */
const answerTimeoutMs = 30_000;

export const tandemPair: Balancing = {
  system: 'tandem',
  start: async (lab) => {
    await startPair(lab, { proxy: { workers } });
  },
};

/** As many processes as Tandem has workers, of one thread each; they share the address by SO_REUSEPORT. */
export const haproxyProcesses: Balancing = {
  system: 'haproxy',
  start: async (lab) => {
    await lab.host('lb1').exec(['ip', 'address', 'add', `${virtualAddress}/24`, 'dev', 'lan0']);
    for (let index = 1; index <= workers; index++) {
      const { waitUntilChecked } = await startHaproxy(lab, 'lb1', { instance: String(index), threads: 1 });
      await waitUntilChecked();
    }
  },
};

export class ExchangeStage {
  readonly #lab: Lab;
  #clients: readonly LabProcess[] = [];

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  static async create(): Promise<ExchangeStage> {
    const lab = await createLab();
    try {
      await startServers(lab);
      for (const source of clientSources.flat()) {
        await lab.host('client').exec(['ip', 'address', 'add', `${source}/24`, 'dev', 'lan0']);
      }
      return new ExchangeStage(lab);
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  async destroy(): Promise<void> {
    await this.#lab.destroy();
  }

  /**
   * Resolves when the balancer serves and the clients are ready. They are there before any memory is measured: what
   * processes share, as programs do that run the same Node, counts less for each of them with each one more.
   */
  async start(balancing: Balancing): Promise<void> {
    await balancing.start(this.#lab);
    this.#clients = clientSources.map((sources, index) => startClient(this.#lab, index + 1, sources));
    await Promise.all(this.#clients.map((client) => client.waitForLine(/"event":"ready"/, startTimeoutMs)));
  }

  /** As after a reboot: nothing runs on the balancers' hosts, and they have no address but their own. */
  async stop(): Promise<void> {
    for (const client of this.#clients) await client.stop();
    this.#clients = [];
    for (const host of ['lb1', 'lb2'].map((name) => this.#lab.host(name))) {
      host.killAll('SIGKILL');
      await host.exec(['ip', 'address', 'flush', 'dev', 'lan0', 'to', virtualAddress]);
    }
  }

  /** Of all processes of the balancer, on both hosts, in bytes. */
  memory(): number {
    return memoryOf(['lb1', 'lb2'].flatMap((name) => this.#lab.host(name).processes()));
  }

  /** Opens connections, each through to a server, evenly from all clients. */
  async open(connections: number): Promise<readonly ClientEvent[]> {
    return this.#order(`open ${connections / clientSources.length}`, 'opened', answerTimeoutMs);
  }

  /** Sends requests over them at this rate together, evenly from all clients. */
  async serve(rate: number, forMs: number): Promise<readonly ClientEvent[]> {
    return this.#order(`serve ${rate / clientSources.length} ${forMs}`, 'served', forMs + answerTimeoutMs);
  }

  async close(): Promise<readonly ClientEvent[]> {
    return this.#order('close', 'closed', answerTimeoutMs);
  }

  async #order(command: string, answer: ClientEvent['event'], timeoutMs: number): Promise<readonly ClientEvent[]> {
    const answers = this.#clients.map(async (client) => {
      const from = client.lines.length;
      client.tell(command);
      const line = await client.waitForLine(new RegExp(`"event":"${answer}"`), timeoutMs, from);
      return JSON.parse(line) as ClientEvent;
    });
    return Promise.all(answers);
  }
}

async function startServers(lab: Lab): Promise<void> {
  const servers = Object.entries(serverHosts).map(([name, address]) =>
    lab.host(name).spawn([...program('exchange-server.ts'), address, String(serverPort)]),
  );
  await Promise.all(servers.map((server) => server.waitForLine(/"event":"listening"/, startTimeoutMs)));
}

function startClient(lab: Lab, seed: number, sources: readonly string[]): LabProcess {
  const target = [virtualAddress, String(servicePort)];
  return lab.host('client').spawn([...program('exchange-client.ts'), ...target, String(seed), sources.join(',')]);
}

function program(file: string): string[] {
  return [process.execPath, new URL(file, import.meta.url).pathname];
}
