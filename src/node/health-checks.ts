/** Asks the servers how they are, and their agents what they are good for, and tells the pools. */
import type { ServiceConfig } from '../config/index.ts';
import { hearAgent, setAgent, setHealth, silentAgent } from '../proxy/index.ts';
import type { AgentState, CheckResult, PoolServer, PoolUpdate, ServerPool } from '../proxy/index.ts';
import { Prober } from '../proxy/io/index.ts';
import type { CheckReport } from '../proxy/io/index.ts';
import type { Clock, Logger, Native, Random, Service } from '../runtime/index.ts';
import { agentTargets, checkTargets } from './check-settings.ts';
import type { EventLog } from './events.ts';
import { keyOf } from './replicated-state.ts';
import type { AgentStatus } from './status-document.ts';

export type HealthChecksPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly native: Native;
  readonly random: Random;
  readonly events: EventLog;
  readonly services: () => readonly ServiceConfig[];
  readonly pool: (service: string) => ServerPool;
  readonly store: (service: string, update: PoolUpdate) => void;
};

export class HealthChecks implements Service {
  readonly name = 'health checks';
  readonly #ownAddress: string;
  readonly #ports: HealthChecksPorts;
  readonly #checks: Prober;
  readonly #agents: Prober;
  readonly #lastChecks = new Map<string, string>();
  readonly #lastAnswers = new Map<string, string>();
  #isRunning = false;

  /** Checks leave from `ownAddress`, those to servers of its family. */
  constructor(options: { readonly ownAddress: string }, ports: HealthChecksPorts) {
    const { native, clock, random, logger } = ports;
    this.#ownAddress = options.ownAddress;
    this.#ports = ports;
    const shared = { native, clock, random, logger };
    this.#checks = new Prober({ ...shared, report: (report) => this.#onCheck(report) });
    this.#agents = new Prober({ ...shared, report: (report) => this.#onAgent(report) });
  }

  async start(): Promise<void> {
    await Promise.all([this.#checks.start(), this.#agents.start()]);
    this.#isRunning = true;
    this.configure();
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all([this.#checks.stop(), this.#agents.stop()]);
  }

  /** To be called when services, servers or administrative states have changed; the start does it by itself. */
  configure(): void {
    if (!this.#isRunning) return;
    const { services, pool } = this.#ports;
    for (const service of services()) this.#takeBack(service);
    this.#forgetRemoved();
    const targets = services().map((service) => [service, pool(service.name), this.#ownAddress] as const);
    this.#checks.configure(targets.flatMap((target) => checkTargets(...target)));
    this.#agents.configure(targets.flatMap((target) => agentTargets(...target)));
  }

  /** What the last check of a server found; undefined before the first. */
  lastCheck(service: string, server: string): string | undefined {
    return this.#lastChecks.get(keyOf(service, server));
  }

  /** Undefined where the service has no agents. */
  agentStatus(service: ServiceConfig, server: PoolServer): AgentStatus | undefined {
    if (service.agent === undefined) return undefined;
    const { admin, down, percent, load, maxconn } = server.agent ?? silentAgent;
    const lastAnswer = this.#lastAnswers.get(keyOf(service.name, server.name));
    return { state: admin, down, percent, load, maxconn, lastAnswer };
  }

  /** What nobody looks after any more must not hold for ever. */
  #takeBack({ name, check, agent }: ServiceConfig): void {
    const { pool, store } = this.#ports;
    for (const server of pool(name).keys()) {
      if (check === undefined) {
        this.#lastChecks.delete(keyOf(name, server));
        const update = setHealth(pool(name), server, 'up');
        if (update.ok) store(name, update.value);
      }
      if (agent === undefined) {
        this.#lastAnswers.delete(keyOf(name, server));
        const update = setAgent(pool(name), server, undefined);
        if (update.ok) store(name, update.value);
      }
    }
  }

  #forgetRemoved(): void {
    const { services, pool } = this.#ports;
    const keys = new Set(services().flatMap(({ name }) => [...pool(name).keys()].map((server) => keyOf(name, server))));
    for (const results of [this.#lastChecks, this.#lastAnswers]) {
      for (const key of results.keys()) if (!keys.has(key)) results.delete(key);
    }
  }

  #onCheck({ service, server, result, health }: CheckReport): void {
    this.#lastChecks.set(keyOf(service, server), describeResult(result));
    const update = setHealth(this.#ports.pool(service), server, health);
    if (!update.ok || update.value.change === undefined) return;
    const reason = result.passed ? '' : ` (${result.reason})`;
    this.#ports.events.add('server', `${service}: ${server} went ${health}${reason}`, { service, server, health });
    this.#ports.store(service, update.value);
  }

  /** An agent that does not answer changes nothing: whether the server can be reached is for the checks to find out. */
  #onAgent({ service, server, result }: CheckReport): void {
    const key = keyOf(service, server);
    if (!result.passed) {
      this.#lastAnswers.set(key, `no answer: ${result.reason}`);
      return;
    }
    const pool = this.#ports.pool(service);
    const before = pool.get(server)?.agent ?? silentAgent;
    const after = hearAgent(before, result.detail ?? '');
    const unknown = after.unknownWord === undefined ? '' : `, with an unknown word: ${after.unknownWord}`;
    this.#lastAnswers.set(key, `${describeAgent(after)}${unknown}`);
    const update = setAgent(pool, server, after);
    if (!update.ok) return;
    this.#tell(service, server, before, after);
    this.#ports.store(service, update.value);
    if (before.admin !== after.admin) this.configure();
  }

  /** A weight may change with every answer, which would drown all other events. */
  #tell(service: string, server: string, before: AgentState, after: AgentState): void {
    const { admin, down, unknownWord } = after;
    const fields = { service, server };
    const says = (word: string): void =>
      this.#ports.events.add('server', `${service}: ${server}'s agent says ${word}`, fields);
    if (admin !== before.admin) says(admin);
    if (down !== before.down) says(down ?? 'up');
    if (unknownWord !== undefined && unknownWord !== before.unknownWord) {
      this.#ports.logger.warn(fields, 'an agent says what nobody understands');
    }
  }
}

function describeResult(result: CheckResult): string {
  if (!result.passed) return `failed: ${result.reason}`;
  const detail = result.detail === undefined ? '' : `: ${result.detail}`;
  return `passed in ${result.durationMs.toFixed(1)} ms${detail}`;
}

/** "ready, up, 75%, load 0.37, maxconn 30" */
function describeAgent({ admin, down, percent, load, maxconn }: AgentState): string {
  return [
    admin,
    down ?? 'up',
    `${percent}%`,
    ...(load === 0 ? [] : [`load ${load}`]),
    ...(maxconn === undefined ? [] : [`maxconn ${maxconn}`]),
  ].join(', ');
}
