/** The names that services have in place of servers: asked for again and again, each node on its own. */
import { formatEndpoint, ipFamily } from '../base/index.ts';
import type { DiscoveryConfig, Endpoint, ServerConfig, ServiceConfig } from '../config/index.ts';
import { newDiscovery, stepDiscovery } from '../proxy/index.ts';
import type { Answer, DiscoveryState, Found } from '../proxy/index.ts';
import { DnsLookup, dnsLookupDefaults } from '../proxy/io/index.ts';
import type { DnsQuestion } from '../proxy/io/index.ts';
import type { Clock, Logger, Timer } from '../runtime/index.ts';
import type { EventLog } from './events.ts';
import type { DiscoveryStatus } from './status-document.ts';

/** Asks; never rejects. */
export type Ask = (question: DnsQuestion) => Promise<Answer>;

/** Asks these DNS servers; those of the host where there are none. */
export function askDns(resolvers: readonly Endpoint[]): Ask {
  const lookup = new DnsLookup({ resolvers, ...dnsLookupDefaults });
  return (question) => lookup.ask(question);
}

export type DiscoveryPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventLog;
  /** A service has other servers. */
  readonly onChanged: () => void;
};

type Name = {
  readonly service: string;
  config: DiscoveryConfig;
  readonly question: DnsQuestion;
  readonly firstAnswer: PromiseWithResolvers<undefined>;
  state: DiscoveryState;
  timer: Timer | undefined;
  lookups: number;
  failures: number;
};

/** A node that starts, or reads names that are new, waits so long for their first answers, and then goes on without. */
const firstAnswersMs = 2_000;

export class Discovery {
  readonly #ports: DiscoveryPorts;
  #ask: Ask;
  readonly #names = new Map<string, Name>();

  constructor(ask: Ask, ports: DiscoveryPorts) {
    this.#ask = ask;
    this.#ports = ports;
  }

  /**
   * Looks up the names of these services as well, those that are new for the first time. Resolves when they have been
   * answered, or soon. What is known already goes on.
   */
  async learn(services: readonly ServiceConfig[], ask: Ask = this.#ask): Promise<void> {
    this.#ask = ask;
    const added = services
      .flatMap((service) => service.discoveries.map((config) => this.#newName(service, config)))
      .filter((name) => !this.#names.has(keyOf(name)));
    for (const name of added) {
      this.#names.set(keyOf(name), name);
      void this.#lookUp(name);
    }
    if (added.length === 0) return;
    const patience = new AbortController();
    await Promise.race([
      Promise.all(added.map(({ firstAnswer }) => firstAnswer.promise)),
      this.#ports.clock.sleep(firstAnswersMs, patience.signal),
    ]);
    patience.abort();
  }

  /** Only the names of these services from now on, as they are configured now. */
  retain(services: readonly ServiceConfig[]): void {
    const wanted = services.flatMap((service) => service.discoveries.map((config) => this.#newName(service, config)));
    const configs = new Map(wanted.map((name) => [keyOf(name), name.config]));
    for (const [key, name] of this.#names) {
      const config = configs.get(key);
      if (config !== undefined) {
        name.config = config;
        continue;
      }
      name.timer?.cancel();
      this.#names.delete(key);
    }
  }

  stop(): void {
    for (const { timer } of this.#names.values()) timer?.cancel();
    this.#names.clear();
  }

  /** The servers that the names of a service stand for now. */
  of(service: ServiceConfig): readonly ServerConfig[] {
    return service.discoveries.flatMap((config) => {
      const known = this.#names.get(keyOf(this.#newName(service, config)));
      return (known?.state.found ?? []).map((found) => serverOf(config, found));
    });
  }

  status(service: string): readonly DiscoveryStatus[] {
    const nowMs = this.#ports.clock.nowMs();
    const names = [...this.#names.values()].filter((name) => name.service === service);
    return names.map(({ config, state, lookups, failures, question }) => ({
      name: config.name,
      asks: askedFor(question),
      servers: state.found.length,
      lookups,
      failures,
      trouble: state.trouble,
      nextLookupInMs: Math.max(0, state.nextLookupAtMs - nowMs),
    }));
  }

  #newName(service: ServiceConfig, config: DiscoveryConfig): Name {
    const family = ipFamily(service.listen.address) ?? 4;
    return {
      service: service.name,
      config,
      question: { ...config.lookup, family },
      firstAnswer: Promise.withResolvers(),
      state: newDiscovery(this.#ports.clock.nowMs()),
      ...{ timer: undefined, lookups: 0, failures: 0 },
    };
  }

  async #lookUp(name: Name): Promise<void> {
    const answer = await this.#ask(name.question);
    if (this.#names.get(keyOf(name)) !== name) return;
    const { clock } = this.#ports;
    const before = name.state;
    const state = stepDiscovery(name.config.holdMs, before, answer, clock.nowMs());
    name.state = state;
    name.lookups++;
    if (answer.kind !== 'found') name.failures++;
    name.timer = clock.after(Math.max(0, state.nextLookupAtMs - clock.nowMs()), () => void this.#lookUp(name));
    this.#tell(name, before, state);
    name.firstAnswer.resolve(undefined);
    const isSame = namesOf(name, before).join(' ') === namesOf(name, state).join(' ');
    if (!isSame) this.#ports.onChanged();
  }

  /** Once when trouble begins, when it ends, and whenever the servers are others. */
  #tell(name: Name, before: DiscoveryState, state: DiscoveryState): void {
    const { service, config, question } = name;
    const { logger, events } = this.#ports;
    const [old, now] = [before, state].map((one) =>
      one.found.map(({ address, port }) => formatEndpoint(address, port)),
    );
    const changes = [
      ...(now ?? []).filter((one) => !(old ?? []).includes(one)).map((one) => `+ ${one}`),
      ...(old ?? []).filter((one) => !(now ?? []).includes(one)).map((one) => `- ${one}`),
    ];
    const fields = { service, name: config.name, asked: askedFor(question) };
    if (changes.length > 0) events.add('server', `${service}: ${config.name}: ${changes.join(', ')}`, fields);
    if ((before.trouble === undefined) === (state.trouble === undefined)) return;
    const what = state.trouble === undefined ? 'is found again' : `is not found (${state.trouble})`;
    if (state.trouble !== undefined) logger.warn({ ...fields, trouble: state.trouble }, 'a DNS name is not found');
    events.add('server', `${service}: ${askedFor(question)} ${what}`, { ...fields, trouble: state.trouble });
  }
}

/** What else changes about a name changes nothing of what is known of it. */
function keyOf({ service, config, question }: Name): string {
  return JSON.stringify([service, config.name, question]);
}

/** Named by what does not change when others come and go. */
function serverOf({ name, lookup, template }: DiscoveryConfig, { address, port, weight }: Found): ServerConfig {
  return {
    ...template,
    ...(weight === undefined ? {} : { weight }),
    name: `${name}-${lookup.kind === 'address' ? address : formatEndpoint(address, port)}`,
    address: { address, port },
  };
}

function namesOf({ config }: Name, { found }: DiscoveryState): readonly string[] {
  return found.map((one) => `${serverOf(config, one).name}=${one.weight ?? ''}`);
}

function askedFor(question: DnsQuestion): string {
  return question.kind === 'address' ? question.host : question.service;
}
