/**
 * Which of a service's servers get new connections now, and who gets the next one: backups only where no other server
 * can have any, and less than its share for a server that has just come into use.
 */
import { buildMaglevTable, eligibility, isHashed, pick, slowStartWeight } from '../index.ts';
import type { PoolView, WorkerService } from '../index.ts';
import type { Clock, Random } from '../../runtime/index.ts';
import type { ServerRuntime } from './server-runtime.ts';

/** Who wants a server: a connection. */
export type Seeker = { readonly source: string; readonly excluded: ReadonlySet<string> };

type Balancing = Pick<WorkerService, 'balance' | 'allBackups' | 'slowStartMs'>;

const picksAheadMax = 1000;

export class ServersInUse {
  readonly #clock: Clock;
  readonly #fraction: () => number;
  #balancing: Balancing;
  /** Servers that may get new connections, backups among them; undefined before the first configuration. */
  #eligible: ReadonlySet<ServerRuntime> | undefined;
  #view: PoolView<ServerRuntime> = { servers: [], maglevTable: () => buildMaglevTable([]) };
  /** What the table of `maglev` was made for. */
  #tableKey = '';
  #rising: readonly ServerRuntime[] = [];

  constructor(balancing: Balancing, dependencies: { readonly clock: Clock; readonly random: Random }) {
    const { clock, random } = dependencies;
    this.#balancing = balancing;
    this.#clock = clock;
    this.#fraction = () => random.next();
  }

  /** Goes by a changed specification, whose servers these are; those that were removed may be among them. */
  update(balancing: Balancing, servers: readonly ServerRuntime[], nowMs: number): void {
    this.#balancing = balancing;
    const eligible = servers.filter((server) => server.configured && eligibility(server.spec) === 'all');
    this.#startSlowly(servers, eligible, nowMs);
    this.#eligible = new Set(eligible);
    const others = eligible.filter(({ spec }) => spec.backup !== true);
    const backups = balancing.allBackups === true ? eligible : eligible.slice(0, 1);
    this.#setView(others.length > 0 ? others : backups);
  }

  /** Workers that all began with the first server would give it one connection each before any other gets one. */
  startAnywhere(): void {
    if (isHashed(this.#balancing.balance)) return;
    const weights = this.#view.servers.reduce((sum, server) => sum + server.weight, 0);
    const picksAhead = Math.floor(this.#fraction() * Math.min(weights, picksAheadMax));
    for (let i = 0; i < picksAhead; i++) this.pick({ source: '', excluded: new Set() });
  }

  /**
   * The next server by the service's algorithm, one that has room; hashing may answer one that is full. Undefined when
   * there is none.
   */
  pick({ source, excluded }: Seeker): ServerRuntime | undefined {
    const nowMs = this.#clock.nowMs();
    if (this.#rising.length > 0) this.#weigh(nowMs);
    return pick(this.#balancing.balance, this.#view, { source, excluded, nowMs, fraction: this.#fraction });
  }

  /** Whether some server might take the connection if only it had room. */
  hasServerFor({ excluded }: Seeker): boolean {
    return this.#view.servers.some(({ name }) => !excluded.has(name));
  }

  /** Whether the server may get new connections; a backup may although it gets none as long as there are others. */
  isEligible(server: ServerRuntime): boolean {
    return this.#eligible?.has(server) === true;
  }

  /** The table costs milliseconds: it is made when it is asked for, and only for another pool than before. */
  #setView(servers: readonly ServerRuntime[]): void {
    const key = servers.map(({ name, spec }) => `${name} ${spec.weight}`).join();
    const { maglevTable } = this.#view;
    let table: Uint16Array | undefined;
    const makeTable = (): Uint16Array => (table ??= buildMaglevTable(servers));
    this.#view = { servers, maglevTable: key === this.#tableKey ? maglevTable : makeTable };
    this.#tableKey = key;
  }

  /** Servers that come into use now begin with a small weight; at the start of the process all have been in use. */
  #startSlowly(servers: readonly ServerRuntime[], eligible: readonly ServerRuntime[], nowMs: number): void {
    const { balance, slowStartMs } = this.#balancing;
    const before = this.#eligible;
    const isGradual = slowStartMs !== undefined && !isHashed(balance) && balance !== 'first';
    for (const server of servers) {
      if (!eligible.includes(server)) server.risingSinceMs = undefined;
      else if (isGradual && before?.has(server) === false) server.risingSinceMs = nowMs;
    }
    this.#rising = eligible;
    this.#weigh(nowMs);
  }

  /** Gives each server the weight that it has now. */
  #weigh(nowMs: number): void {
    const { slowStartMs = 0 } = this.#balancing;
    for (const server of this.#rising) {
      const sinceMs = nowMs - (server.risingSinceMs ?? -Infinity);
      const { weight } = server.spec;
      if (sinceMs >= slowStartMs) server.risingSinceMs = undefined;
      server.weight = sinceMs >= slowStartMs ? weight : slowStartWeight(weight, sinceMs, slowStartMs);
    }
    this.#rising = this.#rising.filter((server) => server.risingSinceMs !== undefined);
  }
}
